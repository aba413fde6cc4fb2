"""Score matrices and how well embeddings of a given dimension can reproduce them (Proposition 1, finite case)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dualenc.data import frames
from dualenc.data.runs import Run
from dualenc.runtime.errors import UserError
from dualenc.training.supervision import in_hash_order

COLUMNS = {**dict.fromkeys(("evalset", "qid", "pid"), frames.text), "score": frames.number}


def read(root: Path, name: str, seed: int, evalset: str) -> pd.DataFrame:
    """The score matrix (Q, P) of a run below the results folder ``root``, on an evaluation set.

    Raises `UserError` that names the file if it is missing or broken.
    """
    path = root / "score-matrices" / name / f"seed-{seed}.parquet"
    frame = frames.read(path, COLUMNS, "make this run's score matrix first")
    block = frame[frame.evalset == evalset].set_index(["qid", "pid"]).score
    if block.empty or not block.index.is_unique or len(block) != np.prod(block.index.levshape):
        raise UserError(f"{path} lacks scores for some {evalset} pairs of its queries and passages: make it again.")
    return block.unstack()


def block(
    candidates: Run, qrels: Mapping[str, Mapping[str, int]], *, queries: int, passages: int
) -> tuple[list[str], list[str]]:
    """The qids (Q) and pids (P) of a score matrix: a random sample of queries, and passages that belong to them.

    Queries are the first in hash order, at most ``queries``. Passages are one relevant passage of each of them, so
    that each can be ranked well or badly, then a random sample of their candidates, at most ``passages`` in all.
    Raises `UserError` if there are fewer passages than queries, as some query then has no relevant one.
    """
    if passages < queries:
        raise UserError(
            f"a score matrix of {queries} queries and {passages} passages lacks relevant passages: ask for at least "
            "as many passages as queries."
        )
    qids = in_hash_order([qid for qid in candidates if qid in qrels])[:queries]
    relevant = [max(qrels[qid], key=qrels[qid].get) for qid in qids]
    others = in_hash_order([pid for qid in qids for pid in candidates[qid].pids])
    return qids, list(dict.fromkeys([*relevant, *others]))[:passages]


def centred(scores: ArrayLike) -> np.ndarray:
    """Scores (Q, P) without each query's mean, in float64.

    A query's constant changes no ranking. A dot product of dimension r stays one: z.w - mean(z.w) = z.(w - mean(w)).
    """
    scores = np.asarray(scores, dtype=np.float64)
    return scores - scores.mean(axis=1, keepdims=True)


def best(scores: np.ndarray, rank: int) -> np.ndarray:
    """The matrix (Q, P) of at most ``rank`` that is nearest to ``scores`` in the Frobenius norm: its truncated SVD.

    Its rows are dot products of query and passage embeddings of dimension ``rank`` (section 3.1). Source: Eckart and
    Young, The approximation of one matrix by another of lower rank (Psychometrika, 1936).
    """
    left, singular, right = np.linalg.svd(scores, full_matrices=False)
    return (left[:, :rank] * singular[:rank]) @ right[:rank]


def best_errors(scores: np.ndarray) -> np.ndarray:
    """||scores - best(scores, r)|| / ||scores|| for r = 1 .. min(Q, P), from the singular values beyond r."""
    squared = np.linalg.svd(scores, compute_uv=False) ** 2
    beyond = squared[::-1].cumsum()[::-1]
    return np.sqrt(np.append(beyond[1:], 0.0) / beyond[0])


def error(scores: np.ndarray, approximation: np.ndarray) -> float:
    """min over a of ||scores - a approximation|| / ||scores||, in [0, 1].

    A factor changes no ranking and no dimension of embeddings, so no ``approximation`` of rank r is below the r-th of
    `best_errors`.
    """
    cosine = np.vdot(scores, approximation) / (np.linalg.norm(scores) * np.linalg.norm(approximation))
    return float(np.sqrt(max(0.0, 1.0 - cosine**2)))
