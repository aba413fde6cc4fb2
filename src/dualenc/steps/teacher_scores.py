"""The teacher's scores of the training lists."""

import math
from collections.abc import Sequence
from pathlib import Path

from dualenc.encoders import precision
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5
from dualenc.scorers import models, parts
from dualenc.steps.arguments import File, Folder, Output, Params, Scratch, Shards, set_torch_threads
from dualenc.steps.score_shard import scored
from dualenc.study.settings import Scorer
from dualenc.training import supervision


def teacher_scores(
    params: Params[Scorer], dataset: Folder, tokens: Folder, model: Folder, lists: File, scratch: Scratch,
    output: Output, scores: Shards = None,
) -> None:  # fmt: skip
    """Score the training lists with a teacher, or put the shards of its scores together.

    Writes the lists again, with ``teacher_scores``. ``scores`` are the files of `dualenc.steps.score_shard`, in order;
    with none, the lists are scored here. Raises ``UserError`` if they are not those of all pairs.
    """
    set_torch_threads()
    if scores:
        _write(model, models.load(model, params.model), lists, scores, output)
        return
    with scored(params, dataset, tokens, model, lists, scratch, shards=1, shard=0) as (teacher, files):
        _write(model, teacher, lists, files, output)


def _write(folder: Path, teacher: models.Model, lists: Path, files: Sequence[Path], output: Path) -> None:
    frame = supervision.load(lists)
    scores, shape = parts.joined(files), (len(frame), len(frame.pids[0]))
    if scores.size != math.prod(shape):
        raise UserError(
            f"{files[0].parent} has {scores.size:,} scores for the {math.prod(shape):,} pairs in {lists}: score "
            "all shards of these lists again."
        )
    scores = scores.reshape(shape)
    about = {
        "teacher_md5": md5(folder / "model.safetensors"),
        "max_length": models.max_length(teacher),
        "dtype": "float32",
        "layers": precision.way(teacher.transformers_model.config.hidden_size, training=False),
        "scores": supervision.summary(scores),
    }
    supervision.write(output, supervision.with_scores(frame, scores), about)
