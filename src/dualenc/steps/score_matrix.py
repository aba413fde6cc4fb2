"""A model's scores of whole blocks of queries and passages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dualenc import datasets, models, scoring
from dualenc.analysis import factorisation
from dualenc.datasets import read_qrels
from dualenc.files import atomic
from dualenc.runs import read_run
from dualenc.steps.inputs import rows

SPLITS = ["train", "test"]


def score_matrix(
    folder: Path, token_folder: Path, evaluation: Path, run: Path, parameters: Mapping[str, Any], output: Path
) -> None:
    """Score `dualenc.analysis.factorisation.block` of train and test: evalset, qid, pid, score (parquet).

    The model is in the folder ``run``. ``parameters`` has its kind (``model``), ``queries`` and ``passages``, the
    size of a block, and ``tokens_per_batch``.
    """
    model = models.load(run / "model", parameters["model"])
    size = {name: parameters[name] for name in ("queries", "passages")}
    frames = []
    for split in SPLITS:
        candidates, qrels = read_run(evaluation / f"{split}.run.gz"), read_qrels(evaluation / f"{split}.qrels.tsv")
        qids, pids = factorisation.block(candidates, qrels, **size)
        query_rows, passage_rows = rows(folder, split), datasets.rows(folder, "passages", pids)
        source = scoring.texts(token_folder, split, parameters["tokens_per_batch"])
        frame = pd.DataFrame({"evalset": split, "qid": np.repeat(qids, len(pids)), "pid": pids * len(qids)})
        pairs = [query_rows[qid] for qid in frame.qid], [passage_rows[pid] for pid in frame.pid]
        frames.append(frame.assign(score=scoring.score(model, source, *map(np.array, pairs))))
    with atomic(output) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
