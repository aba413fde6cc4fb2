"""The scored (query, passage) pairs of a run, with what the judgements say about them."""

from pathlib import Path

import numpy as np
import pandas as pd

from dualenc.data.collection import read_qrels
from dualenc.data.runs import read_run
from dualenc.runtime.errors import UserError


def of_run(root: Path, name: str, seed: int, evalset: str) -> pd.DataFrame:
    """`read` for the run ``name`` below the results folder ``root``, on one of its evaluation sets."""
    return read(root / "runs" / name / f"seed-{seed}" / f"{evalset}.run.gz", _qrels(root, evalset))


def of_checkpoint(root: Path, name: str, seed: int, step: int, evalset: str) -> pd.DataFrame:
    """`read` for the run ``name`` as it was after ``step`` steps of training."""
    folder = root / "checkpoints" / name / f"seed-{seed}" / f"step-{step}"
    return read(folder / f"{evalset}.run.gz", _qrels(root, evalset))


def read(run: Path, qrels: Path) -> pd.DataFrame:
    """The pairs of a run file, a line each: qid, pid, relevant (bool), score (float64) and rank (from 1).

    Passages without a judgement are negatives. Queries without any judgement are left out, as TREC DL judged only a few
    of its queries. Raises `UserError` if there is no positive or no negative pair.
    """
    judged = read_qrels(qrels)
    rankings = {qid: ranking for qid, ranking in read_run(run).items() if qid in judged}
    pairs = [(qid, pid) for qid, ranking in rankings.items() for pid in ranking.pids]
    frame = pd.DataFrame(pairs, columns=["qid", "pid"])
    frame["relevant"] = [judged[qid].get(pid, 0) > 0 for qid, pid in pairs]
    frame["score"] = np.concatenate([np.empty(0), *(ranking.scores for ranking in rankings.values())])
    frame["rank"] = frame.groupby("qid").cumcount() + 1
    if frame.relevant.nunique() < 2:
        raise UserError(
            f"{run} has {len(frame)} pairs of judged queries, but not both relevant and irrelevant ones: make it again "
            f"from the candidates that belong to {qrels}, or raise the scale's depth."
        )
    return frame


def _qrels(root: Path, evalset: str) -> Path:
    return root / "evaluation" / f"{evalset}.qrels.tsv"
