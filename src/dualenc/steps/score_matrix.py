"""A model's scores of whole blocks of queries and passages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dualenc.analysis import factorisation
from dualenc.data.collection import read_qrels
from dualenc.data.runs import Ranking
from dualenc.runtime.files import atomic
from dualenc.scorers import models, reading, scoring
from dualenc.steps.inputs import passage_rows, read_candidates, rows

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
        query_rows, qrels = rows(folder, split), read_qrels(evaluation / f"{split}.qrels.tsv")
        candidates = read_candidates(evaluation, split, query_rows)
        qids, pids = factorisation.block(candidates, qrels, **size)
        known = passage_rows(folder, {"": Ranking(pids, np.zeros(len(pids)))})
        source = reading.texts(token_folder, split, parameters["tokens_per_batch"])
        frame = pd.DataFrame({"evalset": split, "qid": np.repeat(qids, len(pids)), "pid": pids * len(qids)})
        pairs = [query_rows[qid] for qid in frame.qid], [known[pid] for pid in frame.pid]
        frames.append(frame.assign(score=scoring.score(model, source, *map(np.array, pairs))))
    with atomic(output) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
