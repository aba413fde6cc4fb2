"""What a build will take, before anything starts: runs, jobs, hours, memory and storage of each artefact.

Time is the models' arithmetic (multiplications and additions of the encoders, attention included) over the rate that
`benchmarks/throughput.json` has for such a model on some hardware; memory and storage follow from sizes. All of it is
an estimate of the order of magnitude: texts are taken as long as `scales.<scale>.sizes` says.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from dualenc.orchestration import dag, workflow
from dualenc.runtime.files import read_json
from dualenc.study.config import Study
from dualenc.study.kinds import KINDS
from dualenc.study.schema import Encoder, Experiment

BACKWARD = 2  # the backward pass takes twice the arithmetic of the forward pass
RUN_LINE = 14  # bytes of a line of a compressed run file
STATES = 16  # bytes for each weight in training: itself, its gradient and Adam's two moments, in float32
ACTIVATIONS = 40  # numbers kept for the backward pass, for each token, layer and unit of width
HALF, SINGLE = 2, 4  # bytes
TRAINS = ("train", "train_with_checkpoints")  # rules


class Rate(BaseModel):
    """Operations per second of a model of some width."""

    width: PositiveInt
    training: PositiveFloat
    scoring: PositiveFloat


class Hardware(BaseModel):
    """What an entry of `benchmarks/throughput.json` must say about a device."""

    hardware: str
    gpu: bool = False
    seconds_per_job: NonNegativeFloat
    rates: list[Rate] = Field(min_length=1)


def measured(path: str | Path) -> list[Mapping[str, Any]]:
    """The entries of a file such as `benchmarks/throughput.json`. Raises ``UserError`` that names a broken one."""
    return read_json(path, list[Hardware])


class Job(NamedTuple):
    """One job of the workflow that runs a model, or evaluates one."""

    rule: str
    run: str
    seed: int


class Cost(NamedTuple):
    """Arithmetic of training and of scoring (operations), largest memory of a model and storage (bytes)."""

    training: float
    scoring: float
    memory: float
    storage: float


def jobs(of: Iterable[dag.Job], study: Study) -> set[Job]:
    """The jobs among some of the DAG that run or evaluate a model; a job done in parts is one job here."""
    found = set()
    for job in of:
        run = job.wildcards.get("run") or job.wildcards.get("teacher")
        if run and not job.temporary and run not in workflow.UNTRAINED:
            name, _, seed = run.partition("/seed-")  # as rules of evaluation have it
            found.add(Job(job.rule, name, int(seed or job.wildcards.get("seed", study.at.seeds[0]))))
    return found


def cost(study: Study, job: Job) -> Cost:
    """What one job takes. Jobs that run no model take next to nothing."""
    experiment, at = study.run(job.run), study.at
    encoder = study.params.encoders[experiment.encoder]
    weights = at.vocabulary * encoder.width + encoder.layers * 12 * encoder.width**2
    model = SINGLE * weights
    evaluated = {**at.sizes.queries, "train": at.train_evaluation}
    probed = min(evaluated.pop("validation"), at.probes.queries)
    if job.rule in TRAINS:
        tokens = _step(study, experiment)
        training = (1 + BACKWARD) * experiment.steps * _arithmetic(study, experiment, tokens)
        kept = SINGLE * ACTIVATIONS * sum(tokens.values()) * encoder.layers * encoder.width
        probes = -(-experiment.steps // experiment.evaluate_every)
        validation = _scored(study, experiment, probed, min(at.depth, at.probes.depth))
        models = 1 + (len(study.checkpoint_steps) if job.rule == "train_with_checkpoints" else 0)
        return Cost(training, probes * validation, STATES * weights + kept / at.processes, models * model)
    if job.rule in ("rerank", "rerank_checkpoint"):
        counts = list(evaluated.values())
        if job.rule == "rerank_checkpoint":  # one here, though each early model has a job
            counts = [evaluated[name] for name in workflow.CHECKPOINT_SETS] * len(study.checkpoint_steps)
        scoring = sum(_scored(study, experiment, count, at.depth) for count in counts)
        return Cost(0, scoring, model, sum(counts) * at.depth * RUN_LINE)
    if job.rule == "teacher_scores":
        pairs = at.train_lists * at.list_length
        scoring = _scored(study, experiment, at.train_lists, at.list_length)
        return Cost(0, scoring, model, pairs * 2 * SINGLE)
    if job.rule == "retrieval":
        vectors = HALF * at.sizes.passages * encoder.width
        scoring = _arithmetic(study, experiment, {_passage(study): at.sizes.passages * _passage(study)})
        lines = at.sizes.queries["test"] * at.retrieval_depth * RUN_LINE
        return Cost(0, scoring, model + min(vectors, 1 << 32), vectors + lines)
    if job.rule == "score_matrix":
        pairs = at.score_matrix.queries * at.score_matrix.passages
        return Cost(0, 2 * _scored(study, experiment, at.score_matrix.queries, at.score_matrix.passages), model, pairs)
    if job.rule != "score_updates":
        return Cost(0, 0, 0, 0)
    updates = at.score_updates.pairs * (1 + 2 * at.score_updates.others)
    return Cost(0, 3 * _scored(study, experiment, updates, 1), model, updates * SINGLE)


def _passage(study: Study) -> int:
    return min(study.at.sizes.passage_tokens + 2, study.at.lengths.text)


def _query(study: Study) -> int:
    return min(study.at.sizes.query_tokens + 2, study.at.lengths.text)


def _pair(study: Study) -> int:
    return min(study.at.sizes.query_tokens + study.at.sizes.passage_tokens + 3, study.at.lengths.pair)


def _step(study: Study, experiment: Experiment) -> dict[int, int]:
    """Length of the texts of one training step -> tokens in all texts of that length."""
    size = experiment.batch_size
    if KINDS[experiment.model].reads == "pair":
        return {_pair(study): size * experiment.list_size * _pair(study)}
    passages = size * experiment.list_size + experiment.uniform
    tokens = {_passage(study): passages * _passage(study)}
    tokens[_query(study)] = tokens.get(_query(study), 0) + size * _query(study)
    return tokens


def _scored(study: Study, experiment: Experiment, queries: int, depth: int) -> float:
    """Arithmetic of scoring ``depth`` passages for each query; a model of single texts encodes each once.

    With large sets it does so in each of the parts that are kept (``scoring.PAIRS_AT_ONCE``), which is not counted.
    """
    if KINDS[experiment.model].reads == "pair":
        return _arithmetic(study, experiment, {_pair(study): queries * depth * _pair(study)})
    passages = min(queries * depth, study.at.sizes.passages)
    asked = _arithmetic(study, experiment, {_query(study): queries * _query(study)})
    return asked + _arithmetic(study, experiment, {_passage(study): passages * _passage(study)})


def _arithmetic(study: Study, experiment: Experiment, tokens: Mapping[int, int]) -> float:
    encoder = study.params.encoders[experiment.encoder]
    words = 2 * encoder.width * study.at.vocabulary if "words" in KINDS[experiment.model].heads else 0
    return _forward(encoder, tokens) + words * sum(tokens.values())


def _forward(encoder: Encoder, tokens: Mapping[int, int]) -> float:
    """Operations of a forward pass: 24 width^2 + 4 length x width for each token and layer."""
    return sum(
        count * encoder.layers * (24 * encoder.width**2 + 4 * length * encoder.width)
        for length, count in tokens.items()
    )


def pretraining_seconds(study: Study, encoder: Encoder, hardware: Mapping[str, Any]) -> float:
    """Seconds of pre-training one miniature on one device, without probes."""
    about = study.at.pretraining
    pair = study.at.lengths.pair
    tokens = {pair: about.batch_size * about.list_size * pair}
    text = study.at.lengths.text
    tokens[text] = tokens.get(text, 0) + (3 * about.batch_size + about.texts_per_step) * text
    steps = about.steps if encoder.steps is None else encoder.steps
    return (1 + BACKWARD) * steps * _forward(encoder, tokens) / _rate(hardware, encoder.width)["training"]


def _rate(hardware: Mapping[str, Any], width: int) -> Mapping[str, float]:
    return min(hardware["rates"], key=lambda one: max(one["width"] / width, width / one["width"]))


def seconds(study: Study, all_jobs: Iterable[Job], hardware: Mapping[str, Any]) -> float:
    """Seconds of jobs one after the other on one device.

    ``hardware`` has ``rates``: for some widths the operations per second in training and in scoring. A model takes
    those of the width nearest to its own, as a ratio.
    """
    total = 0.0
    for job in all_jobs:
        rate = _rate(hardware, study.params.encoders[study.run(job.run).encoder].width)
        takes = cost(study, job)
        total += takes.training / rate["training"] + takes.scoring / rate["scoring"] + hardware["seconds_per_job"]
    return total


def plan(study: Study, artefacts: list[str], measured: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each artefact and one for all of them together, in which shared jobs count once."""
    makers = {job.wildcards["artefact"]: job for job in dag.read(study) if "artefact" in job.wildcards}
    of_each = {name: jobs(makers[name].with_what_it_needs(), study) for name in artefacts}
    of_each["all"] = set().union(*of_each.values())
    rows = []
    for name, found in of_each.items():
        costs = [cost(study, job) for job in found]
        row: dict[str, Any] = {"artefact": name, "runs": sum(job.rule in TRAINS for job in found), "jobs": len(found)}
        row |= {f"hours, {one['hardware']}": seconds(study, found, one) / 3600 for one in measured}
        row["memory, GB"] = max((one.memory for one in costs), default=0) / 1e9
        row["storage, GB"] = sum(one.storage for one in costs) / 1e9
        rows.append(row)
    return rows


def as_text(rows: list[Mapping[str, Any]], study: Study) -> str:
    """Rows for the terminal, and what they are based on."""
    head = list(rows[0])
    cells = [head, *([_cell(row[name]) for name in head] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (zip(line, widths, strict=True) for line in cells)
    ]
    sizes = study.at.sizes
    lines += [
        "",
        f"Scale {study.scale}, {sizes.passages:,} passages of {sizes.passage_tokens} tokens. Hours are those of one "
        "device that runs one job after another; jobs that several artefacts share count once under all. Memory is "
        "that of each process of the largest training run; storage that of models, runs, scores and embeddings.",
    ]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
