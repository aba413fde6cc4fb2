"""More negatives for the lists of a minibatch: each other's passages, and passages of the collection (Appendix C.12).

A passage that joins a list is a negative of its query. It is never one that the list already has, nor one that is
judged for the query. A teacher has not scored it: its score is written as minus infinity, which the losses of
`dualenc.losses` take for a negative that the teacher puts below all passages of the list that it scored.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Pool(NamedTuple):
    """The distinct passages (U,) that a minibatch encodes, and where each list's (B, K) are among them."""

    passages: np.ndarray
    places: np.ndarray


def pooled(passages: np.ndarray, extra: np.ndarray, judged: Sequence[np.ndarray]) -> Pool:
    """The pool of the lists ``passages`` (B, K), with the passages ``extra`` (E,) as negatives after each list's own.

    ``judged[b]`` are passages that may not be negatives of list b. All lists get the same number of negatives: where
    one can take fewer than others, the last ones of the others are left out.
    """
    pool = np.unique(np.concatenate([passages.ravel(), extra]))
    own = np.searchsorted(pool, passages)
    allowed = np.tile(np.isin(pool, extra), (len(passages), 1))
    for row, (places, forbidden) in enumerate(zip(own, judged, strict=True)):
        allowed[row, places] = False
        allowed[row, np.isin(pool, forbidden)] = False
    count = allowed.sum(1).min()
    more = [np.flatnonzero(row)[:count] for row in allowed]
    return Pool(pool, np.hstack([own, np.stack(more)]))
