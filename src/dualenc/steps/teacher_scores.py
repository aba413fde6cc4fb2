"""The teacher's scores of the training lists."""

from pathlib import Path

import numpy as np
import pandas as pd

from dualenc import models, scoring, supervision
from dualenc.files import md5
from dualenc.steps.inputs import data, read_lists


def teacher_scores(
    folder: Path, token_folder: Path, model: Path, kind: str, lists: Path, tokens_per_batch: int, output: Path
) -> None:
    """Score every training list with a model of this ``kind``: the lists again, with ``teacher_scores``."""
    texts = data(folder, token_folder, tokens_per_batch)
    frame = pd.read_parquet(lists)
    read = read_lists(lists, folder, texts.query_rows["train"])
    teacher = models.load(model, kind)
    query_rows = np.repeat(read.queries, read.passages.shape[1])
    scores = scoring.score(teacher, texts.sources["train"], query_rows, read.passages.ravel()).reshape(
        read.passages.shape
    )
    about = {
        "teacher_md5": md5(model / "model.safetensors"),
        "max_length": models.max_length(teacher),
        "dtype": "float32",
        "scores": supervision.summary(scores),
    }
    supervision.write(output, supervision.with_scores(frame, scores), about)
