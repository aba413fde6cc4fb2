"""What no field of params.yaml can see alone, each a sentence that says what to change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dualenc.errors import UserError
from dualenc.lookup import choose
from dualenc.losses import LOSSES, PARAMETERS
from dualenc.parameters import (
    Artefact,
    DprDataset,
    Encoder,
    Experiment,
    IrDataset,
    Params,
    Scale,
    Source,
    Splits,
)

if TYPE_CHECKING:
    from dualenc.config import Study


def encoders(params: Params, scale: str, at: Scale) -> None:
    """Check shapes, families and lengths. Raises ``UserError``."""
    for name, encoder in params.encoders.items():
        if encoder.width % encoder.heads:
            raise UserError(
                f"params.yaml: encoders.{name}.heads = {encoder.heads} does not divide its width {encoder.width}."
            )
        if "." in name:
            raise UserError(f"params.yaml: encoders.{name} has a dot, which ends the experiment in a run's name.")
        _origin(name, encoder)
    for family, names in at.encoders.items():
        for name in names:
            choose(f"scales.{scale}.encoders.{family}", name, params.encoders)
    if at.lengths.text > at.lengths.pair:
        raise UserError(
            f"scales.{scale}.lengths.text = {at.lengths.text} is larger than lengths.pair = "
            f"{at.lengths.pair}, the positions that an encoder has: lower the one or raise the other."
        )


def evaluation(study: Study) -> None:
    """Check that measures of further test sets are of sets that some dataset has, and the candidates' source."""
    datasets = study.params.datasets.values()
    further = {name for dataset in datasets for name in getattr(dataset, "splits", ())} - set(Splits.model_fields)
    for name in study.evaluation.sets:
        choose("evaluation.sets", name, sorted(further))
    if study.at.candidates == "official" and not isinstance(study.dataset, IrDataset | DprDataset):
        raise UserError(
            f"scales.{study.scale}.candidates = 'official', but {study.at.dataset}, of kind {study.dataset.kind}, has "
            "no candidates of its own: set it to bm25."
        )


def _origin(name: str, encoder: Encoder) -> None:
    if encoder.hub is None:
        if encoder.revision is not None:
            raise UserError(f"params.yaml: encoders.{name} has a revision but no hub: add one or leave it out.")
        return
    if encoder.folder is not None or encoder.grows_from is not None:
        raise UserError(f"params.yaml: encoders.{name} comes from the hub: leave out its folder and grows_from.")
    if encoder.revision is not None and not re.fullmatch("[0-9a-f]{40}", encoder.revision):
        raise UserError(
            f"params.yaml: encoders.{name}.revision = {encoder.revision!r} is no commit of {encoder.hub}: give the 40 "
            "hexadecimal digits of one, as what a branch or a tag names may change."
        )


def experiment(study: Study, name: str, experiment: Experiment) -> None:
    """Check one resolved experiment. Raises ``UserError``."""
    where = f"experiments.{name}"
    if "." in name:
        raise UserError(f"params.yaml: {where} has a dot, which ends the experiment in a run's name.")
    choose(f"{where}.encoder", experiment.encoder, list(study.params.encoders) + list(study.at.encoders))
    _loss(where, experiment)
    _teacher(study, where, experiment)
    at = study.at
    if experiment.batch_size % at.processes or at.processes % at.nodes:
        raise UserError(
            f"{where}.batch_size = {experiment.batch_size} cannot be shared by scales.{study.scale}.processes = "
            f"{at.processes} on nodes = {at.nodes}: each number has to be a multiple of the next."
        )
    if experiment.list_size > study.at.list_length:
        raise UserError(
            f"{where}.list_size = {experiment.list_size} is larger than the {study.at.list_length} passages "
            f"that scales.{study.scale}.list_length keeps for a query: lower the one or raise the other."
        )
    if experiment.model == "cross-attention":
        for key in ("in_batch", "uniform", "mlm_weight"):
            if getattr(experiment, key):
                raise UserError(
                    f"{where}.{key} = {getattr(experiment, key)}, but a cross-attention model encodes pairs, and "
                    "this is for models that encode single texts: leave it out."
                )


def _loss(where: str, experiment: Experiment) -> None:
    loss = choose(f"{where}.loss", experiment.loss, LOSSES)
    if set(experiment.loss_parameters) != set(loss.parameters):
        raise UserError(
            f"{where}.loss_parameters has {sorted(experiment.loss_parameters)}, but the loss "
            f"{experiment.loss!r} takes {sorted(loss.parameters)}."
        )
    for parameter, value in experiment.loss_parameters.items():
        allowed, in_words = PARAMETERS[parameter]
        if not allowed(value):
            raise UserError(f"params.yaml: {where}.loss_parameters.{parameter} = {value} must be {in_words}.")


def _teacher(study: Study, where: str, experiment: Experiment) -> None:
    if LOSSES[experiment.loss].needs_teacher or experiment.selection == "top":
        if experiment.teacher is None:
            raise UserError(f"{where} has no teacher, but its loss or its selection needs scores: name one.")
        teacher = study.run(experiment.teacher, f"{where}.teacher")
        if teacher.teacher is not None:
            raise UserError(
                f"{where}.teacher = {experiment.teacher!r} is itself distilled from {teacher.teacher!r}: "
                "name a run that is trained on labels."
            )
    elif experiment.teacher is not None:
        raise UserError(
            f"{where}.teacher = {experiment.teacher!r}, but a one-hot loss on sampled lists uses no teacher: "
            "set it to null."
        )


def datasets(params: Params) -> None:
    """Check where the files of datasets come from. Raises ``UserError``."""
    for name, dataset in params.datasets.items():
        if isinstance(dataset, DprDataset):
            source(f"datasets.{name}.train", dataset.train)
            source(f"datasets.{name}.dev", dataset.dev)


def published_scores(study: Study) -> None:
    """Check where published scores come from and whose they are. Raises ``UserError``."""
    published, where = study.at.published_scores, f"scales.{study.scale}.published_scores"
    if published:
        source(where, published)
        choose(f"{where}.teacher", published.teacher, study.experiments)


def source(where: str, source: Source) -> None:
    """Check that a file comes from one place. Raises ``UserError``."""
    if (source.path is None) == (source.url is None):
        raise UserError(f"params.yaml: {where} must have either a path or a url: give one of them.")


def artefact(study: Study, name: str, artefact: Artefact) -> None:
    """Check one resolved artefact. Raises ``UserError``."""
    where = f"artefacts.{name}"
    for key in ("experiments", "besides"):
        for experiment in getattr(artefact, key):
            choose(f"{where}.{key}", experiment, study.experiments)
    for family in artefact.encoders:
        choose(f"{where}.encoders", family, study.at.encoders)
    for run in study.runs(name) if "checkpoints" in artefact.needs else []:
        steps = study.run(run).steps
        if study.at.early >= steps:
            raise UserError(
                f"{where} needs checkpoints of {run}, but scales.{study.scale}.early = {study.at.early} is not "
                f"before its last step {steps}: lower it."
            )
