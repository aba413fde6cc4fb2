"""How far an update on one pair carries over to other pairs (section 3.3)."""

from pathlib import Path

import pandas as pd

from dualenc.data import frames
from dualenc.runtime.errors import UserError

COLUMNS = {
    **dict.fromkeys(("qid", "pid", "shared", "checkpoint"), frames.text),
    **dict.fromkeys(("own_change", "change"), frames.number),
}


def read(root: Path, name: str, seed: int) -> pd.DataFrame:
    """The score updates of a run below the results folder ``root``: what `score_updates.changes` gives.

    Raises `UserError` that names the file if it is missing or broken.
    """
    path = root / "score-updates" / name / f"seed-{seed}.parquet"
    return frames.read(path, COLUMNS, "make the score updates of this run first")


def relative(updates: pd.DataFrame) -> pd.Series:
    """How far each other pair's score moved relative to the stepped pair's own: |change| / |own change|, (N,).

    1: it moved as much as the pair that the step was for; 0: it did not move. ``updates`` is as
    `dualenc.analysis.score_updates.changes` gives it. Raises `UserError` if a step left its own score as it was.
    """
    still = updates[updates.own_change == 0]
    if len(still):
        raise UserError(
            f"The step on query {still.qid.iloc[0]!r} and passage {still.pid.iloc[0]!r} did not change its own score: "
            "raise score_updates.step of the scale in params.yaml."
        )
    return (updates.change / updates.own_change).abs()


def excess(updates: pd.DataFrame, shared: str) -> pd.Series:
    """How much more pairs move that share something with the stepped pair than pairs that share nothing.

    For each stepped query, indexed by qid: the mean of `relative` where ``shared`` is "query" or "passage", minus
    that where it is "neither". What moves all scores alike, such as the bias of a cross-attention head, changes no
    ranking and does not count.
    """
    moved = relative(updates).groupby([updates.shared, updates.qid]).mean()
    return (moved[shared] - moved["neither"]).dropna()
