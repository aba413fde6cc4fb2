"""params.yaml, read and checked: experiments resolved, names looked up, errors that say what to change.

A study is params.yaml at one scale. An experiment is resolved from the root of its inheritance to itself; at
each level the entry of ``experiments`` is followed by the one of ``scales.<scale>.experiments``, so that a scale
may change a number of one experiment and of all that inherit from it.

A *run name* is ``<experiment>`` or ``<experiment>.<encoder>``, the experiment with another encoder. The encoder
that the experiment has anyway is left out of the name, so that runs shared by several artefacts are made once.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from dualenc.errors import UserError
from dualenc.losses import LOSSES, PARAMETERS
from dualenc.parameters import Experiment, Params


class Study:
    """params.yaml at one scale, checked, with every experiment resolved."""

    def __init__(self, params: Params):
        self.params = params
        self.scale = params.scale
        self.at = _choose("scale", params.scale, {name: at for name, at in params.scales.items() if at})
        self.evaluation = params.evaluation
        self.dataset = _choose(f"scales.{self.scale}.dataset", self.at.dataset, params.datasets)
        for name, encoder in params.encoders.items():
            if encoder.width % encoder.heads:
                raise UserError(
                    f"params.yaml: encoders.{name}.heads = {encoder.heads} does not divide its width {encoder.width}."
                )
        for family, names in self.at.encoders.items():
            for name in names:
                _choose(f"scales.{self.scale}.encoders.{family}", name, params.encoders)
        if self.at.lengths.text > self.at.lengths.pair:
            raise UserError(
                f"scales.{self.scale}.lengths.text = {self.at.lengths.text} is larger than lengths.pair = "
                f"{self.at.lengths.pair}, the positions that an encoder has: lower the one or raise the other."
            )
        for name in self.at.experiments:
            _choose(f"scales.{self.scale}.experiments", name, params.experiments)
        self.experiments = {name: self._resolve(name) for name in params.experiments if name != "base"}
        for name, experiment in self.experiments.items():
            self._check(name, experiment)
        for name, artefact in params.artefacts.items():
            for experiment in artefact.experiments:
                _choose(f"artefacts.{name}.experiments", experiment, self.experiments)
            if artefact.encoders is not None:
                _choose(f"artefacts.{name}.encoders", artefact.encoders, self.at.encoders)

    def _resolve(self, name: str) -> Experiment:
        """The experiment ``name`` with all that it inherits, at this scale."""
        chain: list[str] = []
        parent: str | None = name
        while parent is not None:
            if parent in chain:
                raise UserError(f"experiments.{name} inherits from itself ({' -> '.join([*chain, parent])}).")
            _choose(f"experiments.{(chain or [name])[-1]}.inherits", parent, self.params.experiments)
            chain.append(parent)
            parent = self.params.experiments[parent].get("inherits")
        merged: dict[str, Any] = {}
        for level in reversed(chain):
            merged |= self.params.experiments[level]
            merged |= self.at.experiments.get(level, {})
        merged.pop("inherits", None)
        experiment = _validate(Experiment, merged, f"experiments.{name}")
        # An experiment may name a family of the scale; its largest encoder, listed last, is meant.
        family = self.at.encoders.get(experiment.encoder)
        return experiment.model_copy(update={"encoder": family[-1]}) if family else experiment

    def _check(self, name: str, experiment: Experiment) -> None:
        """What no field can see alone."""
        where = f"experiments.{name}"
        encoders = list(self.params.encoders) + list(self.at.encoders)
        _choose(f"{where}.encoder", experiment.encoder, encoders)
        loss = _choose(f"{where}.loss", experiment.loss, LOSSES)
        if set(experiment.loss_parameters) != set(loss.parameters):
            raise UserError(
                f"{where}.loss_parameters has {sorted(experiment.loss_parameters)}, but the loss "
                f"{experiment.loss!r} takes {sorted(loss.parameters)}."
            )
        for parameter, value in experiment.loss_parameters.items():
            allowed, in_words = PARAMETERS[parameter]
            if not allowed(value):
                raise UserError(f"params.yaml: {where}.loss_parameters.{parameter} = {value} must be {in_words}.")
        if experiment.list_size > self.at.list_length:
            raise UserError(
                f"{where}.list_size = {experiment.list_size} is larger than the {self.at.list_length} passages "
                f"that scales.{self.scale}.list_length keeps for a query: lower the one or raise the other."
            )
        if loss.needs_teacher or experiment.selection == "top":
            if experiment.teacher is None:
                raise UserError(f"{where} has no teacher, but its loss or its selection needs scores: name one.")
            teacher = _choose(f"{where}.teacher", experiment.teacher, self.experiments)
            if teacher.model != "cross-attention" or teacher.teacher is not None:
                raise UserError(
                    f"{where}.teacher = {experiment.teacher!r} is no cross-attention model trained on labels: name one."
                )
        elif experiment.teacher is not None:
            raise UserError(
                f"{where}.teacher = {experiment.teacher!r}, but a one-hot loss on sampled lists uses no teacher: "
                "set it to null."
            )

    def run(self, name: str) -> Experiment:
        """The experiment behind a run name. Raises ``UserError`` for an unknown experiment or encoder."""
        experiment, _, encoder = name.partition(".")
        resolved = _choose("run", experiment, self.experiments)
        if not encoder:
            return resolved
        _choose(f"run {name!r}: encoder", encoder, self.params.encoders)
        return resolved.model_copy(update={"encoder": encoder})

    def run_name(self, experiment: str, encoder: str | None) -> str:
        """The one name of ``experiment`` with ``encoder``."""
        own = self.experiments[experiment].encoder
        return experiment if encoder in (None, own) else f"{experiment}.{encoder}"

    def runs(self, artefact: str) -> list[str]:
        """Run names that an artefact shows, in its order."""
        wanted = self.params.artefacts[artefact]
        encoders = self.at.encoders[wanted.encoders] if wanted.encoders else [None]
        return [self.run_name(experiment, encoder) for experiment in wanted.experiments for encoder in encoders]


def load(path: str | Path, overrides: Mapping[str, Any] = {}) -> Study:
    """The study in a params.yaml; ``overrides`` replace top-level keys. Raises ``UserError``."""
    try:
        values = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: run in the folder that holds params.yaml.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    return study({**values, **overrides})


def study(values: Mapping[str, Any]) -> Study:
    """The study in the values of a params.yaml. Raises ``UserError`` that names the key at fault."""
    return Study(_validate(Params, values, ""))


def nearest(name: object, allowed: Iterable[str]) -> str:
    """``allowed are a, b; did you mean a?`` for an error about ``name``."""
    allowed = list(allowed)
    close = difflib.get_close_matches(str(name), allowed, n=1, cutoff=0.4)
    return f"allowed are {', '.join(allowed)}" + (f"; did you mean {close[0]}?" if close else ".")


def _choose(key: str, name: str, allowed: Mapping[str, Any] | Iterable[str]) -> Any:
    """``allowed[name]`` or an error that names the key, the value, what is allowed and the nearest name."""
    if name not in allowed:
        raise UserError(f"params.yaml: {key} = {name!r} is unknown; {nearest(name, allowed)}")
    return allowed[name] if isinstance(allowed, Mapping) else name


def _validate(model: type[BaseModel], values: Any, where: str) -> Any:
    """``model`` from ``values``; the first error as one sentence, an unknown key before all that it leads to."""
    try:
        return model.model_validate(values)
    except ValidationError as errors:
        error = min(errors.errors(), key=lambda one: one["type"] != "extra_forbidden")
        path = ".".join(str(part) for part in (where, *error["loc"]) if part != "")
        if error["type"] == "extra_forbidden":
            fields = _fields(model, error["loc"][:-1])
            raise UserError(f"params.yaml: {path} is no known key; {nearest(error['loc'][-1], fields)}") from None
        if error["type"] == "missing":
            raise UserError(f"params.yaml: {path} is missing.") from None
        message = error["msg"][0].lower() + error["msg"][1:]
        value = error["input"]
        expected = error.get("ctx", {}).get("expected", "")
        names = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
        hint = f"; {nearest(value, names)}" if error["type"] == "literal_error" else f": {message}."
        raise UserError(f"params.yaml: {path} = {value!r} is not allowed{hint}") from None


def _fields(model: type[BaseModel], path: tuple) -> list[str]:
    """Names of the fields of the model nested in ``model`` at ``path``."""
    for part in path:
        if part in model.model_fields:
            model = next(_models(model.model_fields[part].annotation), model)
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within an annotation such as ``dict[str, Scale | None]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
