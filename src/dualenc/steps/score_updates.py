"""What one gradient step on a pair does to other scores, along a training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dualenc.analysis import score_updates
from dualenc.data.collection import read_qrels
from dualenc.runtime.files import atomic
from dualenc.scorers import models, reading
from dualenc.steps.inputs import passage_rows, read_candidates, rows

SPLIT = "test"


def updates(
    folder: Path, token_folder: Path, evaluation: Path, checkpoints: Path, run: Path, parameters: Mapping[str, Any],
    output: Path,
) -> None:  # fmt: skip
    """Write `dualenc.analysis.score_updates.changes` of test pairs, with ``checkpoint``, to ``output`` (parquet).

    Checkpoints are ``step-<k>`` of the folder ``checkpoints`` for each k of ``parameters["checkpoints"]``, and
    "end", the model in the folder ``run``. ``parameters`` also has the kind of ``model``, ``pairs``, ``others``,
    ``step`` and ``tokens_per_batch``.
    """
    query_rows, qrels = rows(folder, SPLIT), read_qrels(evaluation / f"{SPLIT}.qrels.tsv")
    candidates = read_candidates(evaluation, SPLIT, query_rows)
    watched = score_updates.neighbours(candidates, qrels, pairs=parameters["pairs"], others=parameters["others"])
    source = reading.texts(token_folder, SPLIT, parameters["tokens_per_batch"])
    identifiers = query_rows, passage_rows(folder, candidates)
    stages = {f"step-{step}": checkpoints / f"step-{step}" for step in parameters["checkpoints"]} | {"end": run}
    frames = []
    for checkpoint, stage in stages.items():
        model = models.load(stage / "model", parameters["model"])
        changed = score_updates.changes(model, source, watched, *identifiers, step=parameters["step"])
        frames.append(changed.assign(checkpoint=checkpoint))
    with atomic(output) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
