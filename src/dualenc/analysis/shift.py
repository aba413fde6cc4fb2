"""Constants that a scorer adds: what figures take out of its scores, and what logit matching stumbles over."""

import pandas as pd

from dualenc.runtime.errors import UserError


def centred(pairs: pd.DataFrame) -> pd.DataFrame:
    """``pairs`` with one constant taken from all scores, so that their mean is 0 (section 3.3, figure 2)."""
    return pairs.assign(score=pairs.score - pairs.score.mean())


def between(student: pd.DataFrame, teacher: pd.DataFrame) -> pd.Series:
    """The baseline shift of each query: its mean score by ``student`` minus that by ``teacher``, indexed by qid.

    Matching raw scores asks a student to undo it; margins and softmax do not see it (section 4.1, figure 6).
    Raises `UserError` if the two did not score the same pairs.
    """
    keys = ["qid", "pid"]
    both = student.merge(teacher, on=keys, suffixes=("_student", "_teacher"))
    if not len(both) == len(student) == len(teacher):
        raise UserError(
            f"The two runs have {len(student)} and {len(teacher)} pairs, but share only {len(both)}: re-rank the same "
            "candidates with both."
        )
    return (both.score_student - both.score_teacher).groupby(both.qid).mean()
