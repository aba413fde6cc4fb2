"""A model's scores of whole blocks of queries and passages."""

import numpy as np
import pandas as pd

from dualenc.analysis import factorisation
from dualenc.data.collection import read_qrels
from dualenc.data.runs import Ranking
from dualenc.runtime.files import atomic
from dualenc.scorers import models, reading, scoring
from dualenc.steps.arguments import Folder, Output, Params, set_torch_threads
from dualenc.steps.inputs import passage_rows, read_candidates, rows
from dualenc.study.settings import ScoreMatrix

SPLITS = ["train", "test"]


def score_matrix(
    params: Params[ScoreMatrix], dataset: Folder, tokens: Folder, evaluation: Folder, run: Folder, output: Output
) -> None:
    """Score blocks of queries and passages with one model, every query with every passage.

    The blocks are `dualenc.analysis.factorisation.block` of train and test; the model is in the folder ``run``. Writes
    evalset, qid, pid, score (parquet).
    """
    set_torch_threads()
    size = params.score_matrix
    model = models.load(run / "model", params.model)
    frames = []
    for split in SPLITS:
        query_rows, qrels = rows(dataset, split), read_qrels(evaluation / f"{split}.qrels.tsv")
        candidates = read_candidates(evaluation, split, query_rows)
        qids, pids = factorisation.block(candidates, qrels, queries=size.queries, passages=size.passages)
        known = passage_rows(dataset, {"": Ranking(pids, np.zeros(len(pids)))})
        source = reading.texts(tokens, split, params.tokens_per_batch)
        frame = pd.DataFrame({"evalset": split, "qid": np.repeat(qids, len(pids)), "pid": pids * len(qids)})
        pairs = [query_rows[qid] for qid in frame.qid], [known[pid] for pid in frame.pid]
        frames.append(frame.assign(score=scoring.score(model, source, *map(np.array, pairs))))
    with atomic(output) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
