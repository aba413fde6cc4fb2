"""params.yaml, read and checked: experiments and artefacts resolved, names looked up, errors that say what to change.

A study is params.yaml at one scale. An experiment is resolved from the root of its inheritance to itself; at
each level the entry of ``experiments`` is followed by the one of ``scales.<scale>.experiments``, so that a scale
may change a number of one experiment and of all that inherit from it. An artefact is its entry of ``artefacts``
followed by the one of ``scales.<scale>.artefacts``.

A *run name* is ``<experiment>`` or ``<experiment>.<encoder>``, the experiment with another encoder. The encoder
that the experiment has anyway is left out of the name, so that runs shared by several artefacts are made once.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from dualenc import checks
from dualenc.errors import UserError
from dualenc.lookup import choose, nearest
from dualenc.parameters import Artefact, Experiment, Params


class Study:
    """params.yaml at one scale, checked, with every experiment and artefact resolved."""

    def __init__(self, params: Params):
        self.params = params
        self.scale = params.scale
        self.at = choose("scale", params.scale, {name: at for name, at in params.scales.items() if at})
        self.evaluation = params.evaluation
        self.dataset = choose(f"scales.{self.scale}.dataset", self.at.dataset, params.datasets)
        checks.datasets(params)
        checks.encoders(params, self.scale, self.at)
        checks.evaluation(self)
        for key in ("experiments", "artefacts"):
            for name in getattr(self.at, key):
                choose(f"scales.{self.scale}.{key}", name, getattr(params, key))
        self.experiments = {name: self._experiment(name) for name in params.experiments if name != "base"}
        for name, experiment in self.experiments.items():
            checks.experiment(self, name, experiment)
        checks.published_scores(self)
        self.artefacts = {name: self._artefact(name) for name in params.artefacts}
        for name, artefact in self.artefacts.items():
            checks.artefact(self, name, artefact)

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
        experiment = _validate(Experiment, merged, f"experiments.{name}")
        # An experiment may name a family of the scale; its largest encoder, listed last, is meant.
        family = self.at.encoders.get(experiment.encoder)
        return experiment.model_copy(update={"encoder": family[-1]}) if family else experiment

    def _artefact(self, name: str) -> Artefact:
        """The artefact ``name`` at this scale."""
        return _validate(Artefact, self.params.artefacts[name] | self.at.artefacts.get(name, {}), f"artefacts.{name}")

    def run(self, name: str, key: str = "run") -> Experiment:
        """The experiment behind a run name; ``key`` says where it stands.

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
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run in the folder that holds params.yaml.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    return study({**values, **overrides})


def study(values: Mapping[str, Any]) -> Study:
    """The study in the values of a params.yaml. Raises ``UserError`` that names the key at fault."""
    return Study(_validate(Params, values, ""))


def _validate(model: type[BaseModel], values: Any, where: str) -> Any:
    """``model`` from ``values``; the first error as one sentence, an unknown key before all that it leads to."""
    try:
        return model.model_validate(values)
    except ValidationError as errors:
        error = min(errors.errors(), key=lambda one: one["type"] != "extra_forbidden")
        path = ".".join(str(part) for part in (where, *_keys(values, error["loc"])) if part != "")
        if error["type"] == "extra_forbidden":
            fields = _fields(model, error["loc"][:-1])
            raise UserError(f"params.yaml: {path} is no known key; {nearest(error['loc'][-1], fields)}") from None
        if error["type"] == "missing":
            raise UserError(f"params.yaml: {path} is missing.") from None
        if error["type"] == "union_tag_invalid":
            allowed = [tag.strip("'") for tag in error["ctx"]["expected_tags"].split(", ")]
            tag = error["ctx"]["tag"]
            raise UserError(f"params.yaml: {path}.kind = {tag!r} is not allowed; {nearest(tag, allowed)}") from None
        message = error["msg"][0].lower() + error["msg"][1:]
        value = error["input"]
        expected = error.get("ctx", {}).get("expected", "")
        names = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
        hint = f"; {nearest(value, names)}" if error["type"] == "literal_error" else f": {message}."
        raise UserError(f"params.yaml: {path} = {value!r} is not allowed{hint}") from None


def _keys(values: Any, location: tuple) -> Iterator[str | int]:
    """The keys of ``values`` on the way to an error; its ``location`` also names the kind of what may be of several."""
    for key in location:
        if isinstance(values, Mapping) and key not in values and key == values.get("kind"):
            continue
        yield key
        values = values[key] if isinstance(values, Mapping) and key in values else None


def _fields(model: type[BaseModel], location: tuple) -> list[str]:
    """Names of the fields of the model nested in ``model`` at the ``location`` of an error."""
    models = [model]
    for key in location:
        within = [
            inner for one in models if key in one.model_fields for inner in _models(one.model_fields[key].annotation)
        ]
        of_kind = [
            one for one in models if "kind" in one.model_fields and key in get_args(one.model_fields["kind"].annotation)
        ]
        models = within or of_kind or models
    return list(models[0].model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within an annotation such as ``dict[str, Scale | None]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
