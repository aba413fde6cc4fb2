"""Where two scorers disagree: pairs that only one of them scores high, and queries that only one ranks well."""

import pandas as pd

from dualenc.analysis.margins import score_range
from dualenc.data.words import words


def pairs(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The pairs that both scored, starting with those that ``first`` scores furthest above ``second``.

    Columns: qid, pid, relevant, and for either scorer ``rank_...`` and ``score_...``, its score minus the mean of
    the query's scores, divided by its maximal score range (`margins.score_range`): what scorers add to all
    passages of a query and what they multiply all scores by does not count. ``disagreement`` is the difference.
    Ties are ordered by qid and pid.
    """
    both = _standardised(first).merge(
        _standardised(second), on=["qid", "pid", "relevant"], suffixes=("_first", "_second")
    )
    both["disagreement"] = both.score_first - both.score_second
    return both.sort_values(["disagreement", "qid", "pid"], ascending=[False, True, True], ignore_index=True)


def _standardised(scored: pd.DataFrame) -> pd.DataFrame:
    centred = scored.score - scored.groupby("qid").score.transform("mean")
    return scored.assign(score=centred / (score_range(scored) or 1.0))


def token_overlap(query: str, passage: str) -> float:
    """The fraction of the query's distinct words, in lower case, that are also in the passage; 0 without words."""
    asked, found = set(words(query)), set(words(passage))
    return len(asked & found) / max(len(asked), 1)
