"""Full retrieval by a learned sparse model: exact search, as in `dualenc.retrieval.dense` for dense vectors."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from sentence_transformers import SparseEncoder

from dualenc.data.runs import Run
from dualenc.retrieval import dense
from dualenc.runtime.progress import reported
from dualenc.scorers.kinds import learned_sparse
from dualenc.scorers.reading import Texts

PASSAGES_AT_ONCE = 1 << 14  # in a block, whose scores for all queries are in memory


def retrieve(model: SparseEncoder, source: Texts, qids: Sequence[str], pids: pa.Array, depth: int) -> Run:
    """The ``depth`` passages with the largest dot products for each query, best first (`dualenc.data.runs`).

    ``qids`` and ``pids`` name all rows of ``source``. Equal scores are in the order of the rows; which of those at the
    end of a block's list are in it is left to numpy. Raises ``UserError`` if ``depth`` exceeds the collection.
    """
    queries = learned_sparse.embed(model, source.queries, np.arange(len(qids)), source)

    def found() -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        starts = range(0, len(pids), PASSAGES_AT_ONCE)
        for start in reported(starts, "searching", "blocks", len(starts)):
            rows = np.arange(start, min(start + PASSAGES_AT_ONCE, len(pids)))
            scores = (queries @ learned_sparse.embed(model, source.passages, rows, source).T).toarray()
            yield *_best(scores, min(depth, len(rows))), len(rows)

    return dense.named(qids, pids, *dense.best(len(qids), found(), depth))


def _best(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` largest of the scores (Q, N), best first, and their columns, both (Q, ``count``)."""
    at = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    found = np.take_along_axis(scores, at, 1)
    order = np.lexsort((at, -found))
    return np.take_along_axis(found, order, 1), np.take_along_axis(at, order, 1)
