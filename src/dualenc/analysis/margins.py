"""Normalised margins: how far a scorer keeps the positives of a query above its negatives.

Throughout, ``pairs`` is what `dualenc.analysis.pairs.read` gives.
"""

import pandas as pd


def score_range(pairs: pd.DataFrame) -> float:
    """rho, the maximal score range (section 3.3): the largest difference between two scores of the same query.

    "Maximal" is read as the maximum over queries. The range over all pairs at once would grow with what a scorer
    adds to all passages of a query, on which neither margins nor rankings depend.
    """
    by_query = pairs.groupby("qid").score
    return float((by_query.max() - by_query.min()).max())


def normalised(pairs: pd.DataFrame) -> pd.DataFrame:
    """(s(q, d+) - s(q, d-)) / rho for every positive and every negative of each query (section 3.3).

    Columns: qid and margin, in [-1, 1]. Queries without a positive or without a negative among ``pairs`` have no
    line. If all scores are equal, every margin is 0.
    """
    columns = ["qid", "score"]
    positives, negatives = pairs.loc[pairs.relevant, columns], pairs.loc[~pairs.relevant, columns]
    both = positives.merge(negatives, on="qid", suffixes=("_positive", "_negative"))
    margin = (both.score_positive - both.score_negative) / (score_range(pairs) or 1.0)
    return pd.DataFrame({"qid": both.qid, "margin": margin})
