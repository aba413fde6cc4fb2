"""Full retrieval: a dual-encoder's best passages of the whole collection, by exact search (Table 1, "retrieval").

Nothing of the first stage takes part: every passage is a candidate of every query.
"""

from collections.abc import Iterator, Sequence

import faiss
import numpy as np
from sentence_transformers import SentenceTransformer

from dualenc.errors import UserError
from dualenc.runs import Run, ranked
from dualenc.scoring import Texts, embed

PASSAGES_AT_ONCE = 1 << 17  # bounds the memory that embeddings take, and has no influence on what is found


def retrieve(model: SentenceTransformer, source: Texts, qids: Sequence[str], pids: Sequence[str], depth: int) -> Run:
    """The ``depth`` passages with the largest dot products for each query, best first by the rule of `dualenc.runs`.

    ``qids`` and ``pids`` name all rows of ``source``. Raises ``UserError`` if ``depth`` exceeds the collection.
    """
    queries = embed(model, source.queries, np.arange(len(qids)), source)
    blocks = (
        embed(model, source.passages, np.arange(start, min(start + PASSAGES_AT_ONCE, len(pids))), source)
        for start in range(0, len(pids), PASSAGES_AT_ONCE)
    )
    scores, rows = search(queries, blocks, depth)
    return {qid: ranked(qid, [pids[row] for row in rows[i]], scores[i]) for i, qid in enumerate(qids)}


def search(queries: np.ndarray, blocks: Iterator[np.ndarray], depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and rows (Q, ``depth``) of the passages with the largest dot products, best first.

    ``queries`` are (Q, D) float32 and ``blocks`` the passages in the order of their rows, some (n, D) at a time.
    Which of several equal scores at the end of the list are in it is left to FAISS. Raises ``UserError`` if there
    are fewer than ``depth`` passages.
    """
    scores = np.empty((len(queries), 0), dtype=np.float32)
    rows = np.empty((len(queries), 0), dtype=np.int64)
    count = 0
    for block in blocks:
        index = faiss.IndexFlatIP(block.shape[1])
        index.add(block)
        found, at = index.search(queries, min(depth, len(block)))
        scores, rows = np.hstack([scores, found]), np.hstack([rows, at + count])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
        count += len(block)
    if count < depth:
        raise UserError(f"{depth} passages are to be found among {count}: lower the scale's retrieval_depth.")
    return scores, rows
