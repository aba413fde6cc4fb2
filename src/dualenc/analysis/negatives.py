"""How diffuse a scorer's negatives are."""

import pandas as pd

from dualenc.analysis.margins import score_range


def spread(pairs: pd.DataFrame) -> pd.Series:
    """The interquartile range of a query's negatives over the maximal score range, indexed by qid (section 3.3).

    Small where a scorer gives most negatives nearly the same score, whatever a few of them get. ``pairs`` is as
    `dualenc.analysis.pairs.read` gives it.
    """
    scores = pairs[~pairs.relevant].groupby("qid").score
    return (scores.quantile(0.75) - scores.quantile(0.25)) / (score_range(pairs) or 1.0)
