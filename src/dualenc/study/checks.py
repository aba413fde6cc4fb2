"""What no field of params.yaml can check alone, each with a sentence that says what to change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dualenc.data import datasets as kinds
from dualenc.data.collection import SPLITS
from dualenc.losses import LOSSES, PARAMETERS
from dualenc.paper.measures import called
from dualenc.paper.naming import label, series
from dualenc.runtime.errors import UserError
from dualenc.runtime.lookup import choose
from dualenc.study import artefacts
from dualenc.study.kinds import KINDS
from dualenc.study.schema import Artefact, Encoder, Experiment, Params, Requirements, Scale

if TYPE_CHECKING:
    from dualenc.study.config import Study


RESERVED = {
    "random": "the candidates in random order",
    "bm25": "the candidates in BM25's order",
    "one-hot": "training lists without a teacher",
}
"""Names with a meaning in tables and among the results: not available to experiments."""


def names(params: Params, at: Scale) -> None:
    """Check that no name means two things. Raises ``UserError``."""
    for name in params.experiments:
        if name in RESERVED:
            raise UserError(
                f"params.yaml: experiments.{name} needs another name, as {name!r} stands for {RESERVED[name]}."
            )
    for family in at.encoders:
        if family in params.encoders:
            raise UserError(
                f"params.yaml: scales.{params.scale}.encoders.{family} is a family named like an encoder: rename "
                "one of them."
            )


def encoders(params: Params, scale: str, at: Scale) -> None:
    """Check shapes, families and lengths. Raises ``UserError``."""
    for name, encoder in params.encoders.items():
        if encoder.width % encoder.heads:
            raise UserError(
                f"params.yaml: encoders.{name}.heads = {encoder.heads} does not divide its width {encoder.width}."
            )
        _origin(name, encoder)
        _growth(params, name)
    for family, some in at.encoders.items():
        for name in some:
            choose(f"scales.{scale}.encoders.{family}", name, params.encoders)
    if "student" not in at.encoders:
        raise UserError(f"params.yaml: scales.{scale}.encoders.student is missing: all texts use its tokenizer.")
    if at.lengths.text > at.lengths.pair:
        raise UserError(
            f"scales.{scale}.lengths.text = {at.lengths.text} is larger than lengths.pair = "
            f"{at.lengths.pair}, the positions that an encoder has: lower one or raise the other."
        )


def _growth(params: Params, name: str) -> None:
    """Check what a miniature grows from: another one, and finally one that grows from none."""
    chain, where = [name], f"encoders.{name}.grows_from"
    while (lower := params.encoders[chain[-1]].grows_from) is not None:
        choose(f"encoders.{chain[-1]}.grows_from", lower, params.encoders)
        if lower in chain:
            raise UserError(f"params.yaml: {where} leads back to itself ({' -> '.join([*chain, lower])}).")
        encoder, start = params.encoders[chain[-1]], params.encoders[lower]
        if start.width != encoder.width or start.layers > encoder.layers:
            raise UserError(
                f"params.yaml: encoders.{chain[-1]}.grows_from = {lower!r}, with {start.layers} layers of width "
                f"{start.width}, is not allowed: {chain[-1]} has {encoder.layers} layers of width {encoder.width}, so "
                "name one of the same width that is not deeper."
            )
        chain.append(lower)


def evaluation(study: Study) -> None:
    """Check that measures of further test sets are of sets that some dataset has, and the candidates' source."""
    datasets = study.params.datasets.values()
    further = {name for dataset in datasets for name in getattr(dataset, "splits", ())} - set(SPLITS)
    for name in study.evaluation.sets:
        choose("evaluation.sets", name, sorted(further))
    official = study.at.candidates == "official"
    if official and not hasattr(kinds.kind(study.dataset), "candidates"):
        raise UserError(
            f"scales.{study.scale}.candidates = 'official', but {study.at.dataset}, of kind {study.dataset.kind}, has "
            "no candidates of its own: set it to bm25."
        )
    for key in ("max_words", "max_passages") if official else ():
        if getattr(study.dataset, key, None) is not None:
            raise UserError(
                f"params.yaml: datasets.{study.at.dataset}.{key} = {getattr(study.dataset, key)} must be null with "
                f"scales.{study.scale}.candidates = 'official', which are whole passages of the whole collection."
            )


def scale(study: Study) -> None:
    """Check the numbers of a scale that belong together. Raises ``UserError``."""
    at, where = study.at, f"params.yaml: scales.{study.scale}"
    known = [*SPLITS[1:], *(name for name in getattr(study.dataset, "splits", ()) if name not in SPLITS)]
    for name in at.sizes.queries:
        choose(f"scales.{study.scale}.sizes.queries", name, known)
    for name in known:
        if name not in at.sizes.queries:
            raise UserError(
                f"{where}.sizes.queries.{name} is missing: say about how many queries {study.at.dataset} has there."
            )
    if at.list_length > at.depth and not at.published_scores:
        raise UserError(
            f"{where}.list_length = {at.list_length} is larger than depth = {at.depth}, the candidates that a list is "
            "made from: lower one or raise the other."
        )
    if at.score_matrix.passages < at.score_matrix.queries:
        raise UserError(
            f"{where}.score_matrix.passages = {at.score_matrix.passages} is less than its queries = "
            f"{at.score_matrix.queries}, each with a relevant passage: raise one or lower the other."
        )
    if at.pretraining.list_size > at.list_length:
        raise UserError(
            f"{where}.pretraining.list_size = {at.pretraining.list_size} is larger than list_length = {at.list_length}:"
            " lower one or raise the other."
        )
    for key in ("corpora", "texts"):
        for name in getattr(at.pretraining, key):
            choose(f"scales.{study.scale}.pretraining.{key}", name, study.params.datasets)
    told = at.pretraining.objectives.sentences or at.pretraining.objectives.pieces
    if told and at.pretraining.sentence_encoder is None:
        raise UserError(
            f"{where}.pretraining.objectives has weights for sentences or pieces, but there is no sentence_encoder to "
            "teach them: add one, or set both to 0."
        )


def _origin(name: str, encoder: Encoder) -> None:
    where = f"params.yaml: encoders.{name}"
    if encoder.hub is None and encoder.revision is not None:
        raise UserError(f"{where} has a revision but no hub: add a hub or drop the revision.")
    of_package = [encoder.package, encoder.path, encoder.sha256]
    if any(of_package) and not all(of_package):
        raise UserError(f"{where} needs all three of package, path and sha256, or none: add or drop some.")
    if encoder.hub and encoder.package:
        raise UserError(f"{where} has both a hub and a package: keep one of them.")
    if encoder.fetched and (encoder.folder is not None or encoder.grows_from is not None):
        source = "the hub" if encoder.hub else "a package"
        raise UserError(f"{where} comes from {source}: leave out its folder and grows_from.")
    if encoder.keep is not None:
        if not encoder.fetched:
            raise UserError(f"{where} keeps layers of nothing: add a hub or a package, or drop keep.")
        if len(encoder.keep) != encoder.layers or encoder.keep != sorted(set(encoder.keep)):
            raise UserError(
                f"{where}.keep = {encoder.keep} has to be {encoder.layers} different layers in ascending order, as "
                f"layers = {encoder.layers}: correct one of them."
            )
    if encoder.revision is not None and not re.fullmatch("[0-9a-f]{40}", encoder.revision):
        raise UserError(
            f"params.yaml: encoders.{name}.revision = {encoder.revision!r} is not a commit of {encoder.hub}: give "
            "the 40 hexadecimal digits of one, as a branch or a tag may move."
        )


def experiment(study: Study, name: str, experiment: Experiment) -> None:
    """Check one resolved experiment. Raises ``UserError``."""
    where = f"experiments.{name}"
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
            f"that scales.{study.scale}.list_length keeps for a query: lower one or raise the other."
        )
    if KINDS[experiment.model].reads == "pair":
        for key in ("in_batch", "uniform", "mlm_weight"):
            if getattr(experiment, key):
                raise UserError(
                    f"{where}.{key} = {getattr(experiment, key)}, but a {experiment.model} model reads pairs, and "
                    "this is for models that read single texts: leave it out."
                )

    if experiment.sparsity and KINDS[experiment.model].searches != "sparse":
        raise UserError(
            f"params.yaml: {where}.sparsity = {experiment.sparsity} is for learned-sparse models, but this is a "
            f"{experiment.model} model: set it to 0."
        )
    if experiment.mlm_weight and not experiment.mlm_masked:
        raise UserError(
            f"params.yaml: {where}.mlm_masked = {experiment.mlm_masked} masks no words, but mlm_weight = "
            f"{experiment.mlm_weight} asks for a loss on masked words: raise one or set the other to 0."
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
            raise UserError(f"{where} has no teacher, but its loss or its selection needs scores: name a teacher.")
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


def published_scores(study: Study) -> None:
    """Check whose the published scores are. Raises ``UserError``."""
    published = study.at.published_scores
    if published:
        choose(f"scales.{study.scale}.published_scores.teacher", published.teacher, study.experiments)


def artefact(study: Study, name: str, artefact: Artefact) -> None:
    """Check one resolved artefact, and that it has what its module requires. Raises ``UserError``."""
    known = {"experiments": study.experiments, "besides": study.experiments, "encoders": study.at.encoders}
    for key, allowed in known.items():
        for one in getattr(artefact, key):
            choose(study.where(artefact.kind, name, key), one, allowed)
    for run in study.runs(name) if "checkpoints" in artefact.needs else []:
        steps = study.run(run).steps
        if study.at.early >= steps:
            raise UserError(
                f"params.yaml: scales.{study.scale}.early = {study.at.early} is not before {steps}, the last step of "
                f"{run}, whose checkpoints {name} needs: lower it."
            )
    required = Requirements(**artefacts.declared(artefact.kind, name, "REQUIRES"))
    for measure in required.measures:
        _has_measure(study, name, measure)
    for option, kind in required.options.items():
        where = study.where(artefact.kind, name, "options")
        if kind == "measure":
            _has_measure(study, f"{where}.{option}", artefact.options[option])
        if kind == "run":
            choose(f"{where}.{option}", artefact.options[option], study.runs(name))
    _runs(study, name, artefact, required)


def _runs(study: Study, name: str, artefact: Artefact, required: Requirements) -> None:
    """Check the runs of an artefact: which there must be, which there may be, and that none hides another."""
    where, names = study.where(artefact.kind, name, "experiments"), study.runs(name)
    runs = [{"name": run, "experiment": study.split(run)[0], **dict(study.run(run))} for run in names]
    for run in runs:
        run |= {"width": study.params.encoders[run["encoder"]].width, "series": series(run), "label": label(run)}
    if artefact.needs and not runs:
        raise UserError(f"{where} = [] is not allowed: {name} shows one or more.")
    for run in required.runs:
        if run not in names:
            raise UserError(f"{where} lacks {run!r}, which {name} is about: add it, with its own encoder.")
    for encoder in dict.fromkeys(run["encoder"] for run in runs) if required.paired else ():
        shown = [run["experiment"] for run in runs if run["encoder"] == encoder]
        for experiment in required.paired:
            if experiment not in shown:
                raise UserError(
                    f"{where} must show {' and '.join(required.paired)} with each encoder, but lacks {experiment} with "
                    f"{encoder}: add it, or give the artefact one family of encoders and nothing else."
                )
    if required.count not in (None, len(runs)):
        raise UserError(f"{where} make {len(runs)} runs ({', '.join(names)}), but {name} shows {required.count}.")
    for field, wanted in (("model", required.models), ("series", required.series)):
        if wanted and sorted(wanted) != sorted(run[field] for run in runs):
            shown = ", ".join(f"{run['name']}: {run[field]}" for run in runs)
            raise UserError(f"{where} = {artefact.experiments} ({shown}) must be one {' and one '.join(wanted)}.")
    for run in runs:
        for field, allowed in required.only.items():
            if run[field] not in allowed:
                what = "" if field == "experiment" else f", whose {field} is {run[field]}"
                raise UserError(
                    f"{where} make {run['name']}{what}, but {name} shows only {', '.join(allowed)}: leave it out."
                )
        if artefact.kind == "figure" and not KINDS[run["model"]].shown:
            raise UserError(
                f"{where}: {run['name']} is a {run['model']} model, which figures cannot show: leave it out."
            )
        whole = run["name"].removesuffix(required.without or "")
        if whole not in names:
            raise UserError(f"{where} lacks {whole!r}, with which {name} compares {run['name']}: add it.")
    shown: dict[tuple, str] = {}
    for run in runs if required.distinct else ():
        other = shown.setdefault(tuple(run[field] for field in required.distinct), run["name"])
        if other != run["name"]:
            fields = " and ".join(required.distinct).replace("list_size", "list size")
            raise UserError(
                f"{where}: {name} tells runs apart by their {fields}, which {other} and {run['name']} share: keep one."
            )


def _has_measure(study: Study, where: str, measure: str) -> None:
    """Check that runs are evaluated with what an artefact shows."""
    measures = study.evaluation.measures
    if measure not in map(called, measures):
        raise UserError(f"params.yaml: evaluation.measures = {measures} lacks {measure}, which {where} shows: add it.")
