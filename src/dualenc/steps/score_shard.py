"""A model's scores of a part of the training lists."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dualenc.data import arrays
from dualenc.runtime import provenance, states
from dualenc.scorers import models, parts, scoring
from dualenc.scorers.scoring import PAIRS_AT_ONCE
from dualenc.steps.arguments import File, Folder, Output, Params, Scratch, Shard, check_shard, set_torch_threads
from dualenc.steps.inputs import data, model_files, read_lists
from dualenc.study.settings import Scorer, ScoreShard


def score_shard(
    params: Params[ScoreShard], dataset: Folder, tokens: Folder, model: Folder, lists: File, shard: Shard,
    scratch: Scratch, output: Output,
) -> None:  # fmt: skip
    """Score one shard of the training lists with a teacher.

    Writes the scores (n,) float32, .npy, of its pairs, which come list by list. Raises ``UserError`` if there is no
    such shard.
    """
    check_shard(shard, params.shards)
    set_torch_threads()
    with scored(params, dataset, tokens, model, lists, scratch, params.shards, shard) as (_, scores):
        arrays.write(output, (arrays.read(file, 1) for file in scores), np.float32)


@contextmanager
def scored(
    params: Scorer, dataset: Path, tokens: Path, model: Path, lists: Path, scratch: Path, shards: int, shard: int
) -> Iterator[tuple[models.Model, list[Path]]]:
    """The model, and files with its scores of a shard.

    They lie in a state folder, which is removed when the block succeeds.
    """
    about = {"kind": params.model, "tokens_per_batch": params.tokens_per_batch, "shards": shards, "number": shard}
    inputs = [*model_files(model), lists, dataset / "manifest.json", tokens / "manifest.json"]
    state = states.state_folder(scratch, about, inputs, provenance.code("steps.score_shard"))
    with states.locked(state):
        texts = data(dataset, tokens, params.tokens_per_batch)
        read = read_lists(lists, dataset, texts.query_rows["train"])
        pairs = np.repeat(read.queries, read.passages.shape[1]), read.passages.ravel()
        rows = parts.split(len(read.passages.ravel()), PAIRS_AT_ONCE, shards, shard)
        teacher = models.load(model, params.model)
        yield teacher, scoring.score_in_parts(teacher, texts.sources["train"], *pairs, rows, state / "scores")
        shutil.rmtree(state)
