"""The teacher's scores of the training lists."""

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dualenc.data import arrays
from dualenc.encoders import precision
from dualenc.runtime import provenance, states
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5
from dualenc.scorers import models, parts, scoring
from dualenc.scorers.scoring import PAIRS_AT_ONCE
from dualenc.steps.inputs import data, model_files, read_lists
from dualenc.training import supervision


class Task(NamedTuple):
    """Lists to score: folders of the dataset, its tokens and the model, which is of this ``kind``."""

    folder: Path
    token_folder: Path
    model: Path
    kind: str
    lists: Path
    tokens_per_batch: int


def teacher_scores(task: Task, shards: Sequence[Path], scratch: Path, output: Path) -> None:
    """Score every training list with a model: the lists again, with ``teacher_scores``.

    ``shards`` are the files of ``shard``, in order; with none, the lists are scored here.
    """
    if shards:
        _write(task, models.load(task.model, task.kind), shards, output)
        return
    with _scored(task, 1, 0, scratch) as (model, scores):
        _write(task, model, scores, output)


def shard(task: Task, count: int, number: int, scratch: Path, output: Path) -> None:
    """Scores (n,) float32, .npy, of the pairs of shard ``number`` (from 0) of ``count``; pairs come list by list."""
    with _scored(task, count, number, scratch) as (_, scores):
        arrays.write(output, (arrays.read(file, 1) for file in scores), np.float32)


def _write(task: Task, model: models.Model, files: Sequence[Path], output: Path) -> None:
    frame = supervision.load(task.lists)
    scores, shape = parts.joined(files), (len(frame), len(frame.pids[0]))
    if scores.size != math.prod(shape):
        raise UserError(
            f"{files[0].parent} has {scores.size:,} scores of the {math.prod(shape):,} pairs in {task.lists}: score "
            "all shards of these lists again."
        )
    scores = scores.reshape(shape)
    about = {
        "teacher_md5": md5(task.model / "model.safetensors"),
        "max_length": models.max_length(model),
        "dtype": "float32",
        "layers": precision.way(model.transformers_model.config.hidden_size, training=False),
        "scores": supervision.summary(scores),
    }
    supervision.write(output, supervision.with_scores(frame, scores), about)


@contextmanager
def _scored(task: Task, count: int, number: int, scratch: Path) -> Iterator[tuple[models.Model, list[Path]]]:
    """The model, and files with its scores of a shard.

    They lie in a state folder, which is removed when the block succeeds.
    """
    about = {"kind": task.kind, "tokens_per_batch": task.tokens_per_batch, "shards": count, "number": number}
    manifests = [folder / "manifest.json" for folder in (task.folder, task.token_folder)]
    inputs = [*model_files(task.model), task.lists, *manifests]
    state = states.state_folder(scratch, about, inputs, provenance.code("steps.teacher_scores"))
    with states.locked(state):
        texts = data(task.folder, task.token_folder, task.tokens_per_batch)
        read = read_lists(task.lists, task.folder, texts.query_rows["train"])
        pairs = np.repeat(read.queries, read.passages.shape[1]), read.passages.ravel()
        rows = parts.split(len(read.passages.ravel()), PAIRS_AT_ONCE, count, number)
        model = models.load(task.model, task.kind)
        yield model, scoring.score_in_parts(model, texts.sources["train"], *pairs, rows, state / "scores")
        shutil.rmtree(state)
