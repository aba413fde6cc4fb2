"""The teacher's scores of the training lists."""

from pathlib import Path

import numpy as np
import pandas as pd

from dualenc import models, scoring, supervision
from dualenc.files import md5
from dualenc.steps.inputs import rows


def teacher_scores(
    folder: Path, token_folder: Path, model: Path, lists: Path, tokens_per_batch: int, output: Path
) -> None:
    """Score every training list with a cross-attention model: the lists again, with ``teacher_scores``."""
    frame = pd.read_parquet(lists)
    read = supervision.read(lists, rows(folder, "train"), rows(folder, "passages"))
    teacher = models.load(model, "cross-attention")
    source = scoring.texts(token_folder, "train", tokens_per_batch)
    query_rows = np.repeat(read.queries, read.passages.shape[1])
    scores = scoring.score(teacher, source, query_rows, read.passages.ravel()).reshape(read.passages.shape)
    about = {
        "teacher_md5": md5(model / "model.safetensors"),
        "max_length": teacher.max_length,
        "dtype": "float32",
        "scores": {name: float(getattr(scores, name)()) for name in ("mean", "std", "min", "max")},
    }
    supervision.write(output, supervision.with_scores(frame, scores), about)
