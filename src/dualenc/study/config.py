"""params.yaml, read and checked: experiments and artefacts resolved, names looked up, errors that say what to change.

A study is params.yaml at one scale. An experiment is resolved from the root of its inheritance to itself; at
each level the entry of ``experiments`` is followed by the one of ``scales.<scale>.experiments``, so that a scale
may change a number of one experiment and of all that inherit from it. An artefact is what its module declares in
``SHOWS``, followed by the entry of ``scales.<scale>.artefacts``; options that are not named there stay.

A *run name* is ``<experiment>`` or ``<experiment>.<encoder>``, the experiment with another encoder. The experiment's
own encoder is left out of the name, so that runs shared by several artefacts are made once.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, create_model

from dualenc.data.collection import SPLITS, evaluated
from dualenc.runtime.errors import UserError
from dualenc.runtime.lookup import choose, dotted
from dualenc.runtime.shape import checked
from dualenc.study import artefacts, checks
from dualenc.study.schema import OPTIONS, Artefact, Choice, Experiment, Params, Shows, Strict

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where available: ten times as fast


class Study:
    """params.yaml at one scale, checked, with every experiment and artefact resolved."""

    def __init__(self, params: Params):
        self.params = params
        self.scale = params.scale
        self.at = choose("scale", params.scale, {name: at for name, at in params.scales.items() if at})
        self.evaluation = params.evaluation
        self.dataset = choose(f"scales.{self.scale}.dataset", self.at.dataset, params.datasets)
        checks.names(params, self.at)
        checks.encoders(params, self.scale, self.at)
        checks.evaluation(self)
        checks.scale(self)
        for key, known in (("experiments", params.experiments), ("artefacts", artefacts.kinds())):
            for name in getattr(self.at, key):
                choose(f"scales.{self.scale}.{key}", name, known)
        self.experiments = {name: self._experiment(name) for name in params.experiments if name != "base"}
        for name, experiment in self.experiments.items():
            checks.experiment(self, name, experiment)
        checks.published_scores(self)
        self.artefacts = {name: self._artefact(name, kind) for name, kind in artefacts.kinds().items()}
        for name, artefact in self.artefacts.items():
            checks.artefact(self, name, artefact)

    @property
    def splits(self) -> list[str]:
        """Train, validation, test, and the further test sets of the dataset: each has candidates and judgements."""
        return [*SPLITS, *(name for name in getattr(self.dataset, "splits", ()) if name not in SPLITS)]

    @property
    def sets(self) -> list[str]:
        """The sets that models are evaluated on: train, test and the further test sets."""
        return evaluated(self.splits)

    @property
    def test_sets(self) -> list[str]:
        """Test and the further test sets."""
        return self.splits[SPLITS.index("test") :]

    @property
    def checkpoint_steps(self) -> list[int]:
        """The steps of a training run, before its end, whose models are kept for figures that look at them."""
        return [0, self.at.early]

    @property
    def trained(self) -> list[str]:
        """The runs that artefacts show, and the teachers of all these."""
        found = [run for artefact in self.artefacts for run in self.runs(artefact)]
        for run in found:  # which grows: a teacher may have a teacher
            found += [name for name in (self.run(run).teacher,) if name and name not in found]
        return list(dict.fromkeys(found))

    def chain(self, experiment: str) -> list[str]:
        """The experiments that one inherits from, ``base`` first, itself last."""
        chain: list[str] = []
        parent: str | None = experiment
        while parent is not None:
            if parent in chain:
                raise UserError(f"experiments.{experiment} inherits from itself ({' -> '.join([*chain, parent])}).")
            choose(f"experiments.{(chain or [experiment])[-1]}.inherits", parent, self.params.experiments)
            chain.append(parent)
            parent = self.params.experiments[parent].get("inherits")
        return chain[::-1]

    def _experiment(self, name: str) -> Experiment:
        """The experiment ``name`` with all that it inherits, at this scale."""
        merged: dict[str, Any] = {}
        for level in self.chain(name):
            merged |= self.params.experiments[level]
            merged |= self.at.experiments.get(level, {})
        merged.pop("inherits", None)
        experiment = checked(merged, Experiment, "params.yaml", f"experiments.{name}")
        # An experiment may name a family of the scale; its largest encoder, listed last, is meant.
        family = self.at.encoders.get(experiment.encoder)
        return experiment.model_copy(update={"encoder": family[-1]}) if family else experiment

    def _artefact(self, name: str, kind: str) -> Artefact:
        """The artefact ``name`` at this scale."""
        shows = checked(artefacts.declared(kind, name, "SHOWS"), Shows, artefacts.path(kind, name), "SHOWS")
        chosen = self.at.artefacts.get(name, Choice())
        shape = _options(**artefacts.declared(kind, name, "REQUIRES").get("options", {}))
        where = self.where(kind, name, "options").split(": ")
        options = checked(shows.options | chosen.options, shape, *where).model_dump()
        values = {"kind": kind, **shows.model_dump(), **chosen.model_dump(exclude_unset=True), "options": options}
        return Artefact(**values)

    def where(self, kind: str, name: str, key: str) -> str:
        """Where it says what an artefact shows, as errors say it: file and key."""
        chosen = self.at.artefacts.get(name, Choice())
        if key in chosen.model_fields_set:
            return f"params.yaml: scales.{self.scale}.artefacts.{name}.{key}"
        return f"{artefacts.path(kind, name)}: SHOWS.{key}"

    def run(self, name: str, key: str = "run") -> Experiment:
        """The experiment behind a run name; ``key`` says where it is.

        Raises ``UserError`` for an unknown experiment or encoder.
        """
        experiment, encoder = self.split(name)
        resolved = choose(key, experiment, self.experiments)
        if encoder is None:
            return resolved
        choose(f"{key} {name!r}: encoder", encoder, self.params.encoders)
        return resolved.model_copy(update={"encoder": encoder})

    def split(self, run: str) -> tuple[str, str | None]:
        """Experiment and encoder of a run name, None for the experiment's own."""
        experiment, _, encoder = run.partition(".")
        return experiment, encoder or None

    def run_name(self, experiment: str, encoder: str | None) -> str:
        """The one name of ``experiment`` with ``encoder``."""
        own = self.experiments[experiment].encoder
        return experiment if encoder in (None, own) else f"{experiment}.{encoder}"

    def runs(self, artefact: str) -> list[str]:
        """Run names that an artefact shows, in its order."""
        wanted = self.artefacts[artefact]
        encoders = [name for family in wanted.encoders for name in self.at.encoders[family]] or [None]
        names = [self.run_name(experiment, encoder) for experiment in wanted.experiments for encoder in encoders]
        return list(dict.fromkeys([*wanted.besides, *names]))

    def seeds(self, artefact: str) -> list[int]:
        """The seeds that an artefact shows."""
        return self.at.seeds if self.artefacts[artefact].seeds == "all" else self.at.seeds[:1]


def load(path: str | Path, overrides: Mapping[str, Any] = {}) -> Study:
    """The study in a params.yaml; ``overrides`` replace top-level keys. Raises ``UserError``."""
    return study({**read(path), **overrides})


def override(text: str) -> tuple[str, Any]:
    """Key and value of ``scale=paper``, as the command line has them. Raises ``UserError`` that says what is wrong."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--config {text!r} has no value: write <key>=<value>, such as scale=paper.")
    choose("--config", key, Params.model_fields)
    try:
        return key, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UserError(f"--config {text!r} has a value that is not YAML: correct it.") from None


def read(path: str | Path) -> dict[str, Any]:
    """The values of a params.yaml. Raises ``UserError`` if it cannot be read, and for a key that appears twice.

    Other readers, Snakemake's and DVC's among them, silently take the last of such keys.
    """
    loader = None
    try:
        loader = LOADER(Path(path).read_bytes().decode("utf-8-sig"))
        root = loader.get_single_node()
        if isinstance(root, yaml.MappingNode):
            _check_node(path, root, {})
            return loader.construct_document(root)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run this in the folder that holds params.yaml.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): make it a file that you can read.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 at byte {error.start + 1}: save it as UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UserError(f"{path} is not YAML: {where}{error.problem or error.context}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # also endless nesting, and 30 February
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    finally:
        if loader is not None:
            loader.dispose()
    what = "is empty" if root is None else "is not a mapping of keys to values"
    raise UserError(f"{path} {what}: start from the params.yaml that came with the project.")


def _check_node(path: str | Path, node: yaml.Node, done: dict[int, bool], *keys: str) -> None:
    """Raise ``UserError`` for a key that appears twice, and for an alias of what contains it.

    ``done`` has the nodes that were met before, and whether all below them was checked: an alias is met again.
    """
    if id(node) in done:
        if not done[id(node)]:
            raise UserError(f"{path}: {dotted(*keys)} is an alias of what contains it: write out its value.")
        return
    done[id(node)] = False
    if isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            _check_node(path, item, done, *keys, str(place))
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"{path}, line {key.start_mark.line + 1}: a key must be one word, without brackets.")
            line = key.start_mark.line + 1
            if key.value in lines:
                where = f"in line {line}" if line == lines[key.value] else f"in lines {lines[key.value]} and {line}"
                raise UserError(f"{path}: {dotted(*keys, key.value)} appears twice, {where}: keep one of them.")
            lines[key.value] = line
            _check_node(path, value, done, *keys, key.value)
    done[id(node)] = True


def study(values: Mapping[str, Any]) -> Study:
    """The study in the values of a params.yaml. Raises ``UserError`` that names the key at fault."""
    _check_keys(values)
    return Study(checked(values, Params, "params.yaml"))


@cache
def _options(**kinds: str) -> type[BaseModel]:
    """The schema of options of these kinds."""
    return create_model("Options", __base__=Strict, **{option: (OPTIONS[kind], ...) for option, kind in kinds.items()})


def _check_keys(values: Any, *keys: str) -> None:
    """Raise ``UserError`` for a key that YAML does not take for text, such as ``on``, 1 or null."""
    if isinstance(values, list):
        values = dict(zip(map(str, range(len(values))), values, strict=True))
    for key, value in values.items() if isinstance(values, Mapping) else ():
        if not isinstance(key, str):
            where = f"{dotted(*keys)} has " if keys else ""
            raise UserError(f"params.yaml: {where}the key {key!r}, which is not text: put it in quotes or change it.")
        _check_keys(value, *keys, key)
