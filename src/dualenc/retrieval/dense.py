"""Full retrieval: a dual-encoder's best passages of the whole collection, by exact search (Table 1, "retrieval").

The first stage plays no part: every passage is a candidate of every query. Passages are encoded and searched in
blocks, so that memory does not depend on the size of the collection. Embeddings of a large one are made in shards, each
by a separate job; a shard is a run of whole blocks, so that the number of shards does not affect a single bit.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import faiss
import numpy as np
import pyarrow as pa
import torch
from sentence_transformers import SentenceTransformer

from dualenc.data.runs import Run, ranked
from dualenc.runtime.errors import UserError
from dualenc.runtime.progress import reported
from dualenc.scorers import parts
from dualenc.scorers.reading import Texts
from dualenc.scorers.vectors import embed

PASSAGES_AT_ONCE = 1 << 18  # in a block: lists are merged once for each


def shard(count: int, shards: int, number: int) -> range:
    """The rows of shard ``number`` (from 0) of ``count`` passages; shards differ in size by a block at most."""
    return parts.split(count, PASSAGES_AT_ONCE, shards, number)


def encode(model: SentenceTransformer, source: Texts, rows: range) -> Iterator[np.ndarray]:
    """Embeddings (n, D) float32 of the passages in ``rows``, block by block."""
    starts = rows[::PASSAGES_AT_ONCE]
    for start in reported(starts, "encoding", "blocks", len(starts)):
        yield embed(model, source.passages, np.arange(start, min(start + PASSAGES_AT_ONCE, rows.stop)), source)


def retrieve(
    model: SentenceTransformer,
    source: Texts,
    qids: Sequence[str],
    pids: pa.Array,
    blocks: Iterable[np.ndarray],
    depth: int,
) -> Run:
    """The ``depth`` passages with the largest dot products for each query, best first (`dualenc.data.runs`).

    ``qids`` and ``pids`` name all rows of ``source``; ``blocks`` are the embeddings of its passages. Raises
    ``UserError`` if ``depth`` exceeds the collection.
    """
    queries = embed(model, source.queries, np.arange(len(qids)), source)
    return named(qids, pids, *search(queries, blocks, depth))


def named(qids: Sequence[str], pids: pa.Array, scores: np.ndarray, rows: np.ndarray) -> Run:
    """The run of scores and rows (Q, K) of passages."""
    found = zip(qids, rows, scores, strict=True)
    return {qid: ranked(qid, pids.take(pa.array(at)).to_pylist(), score) for qid, at, score in found}


def search(queries: np.ndarray, blocks: Iterable[np.ndarray], depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and rows (Q, ``depth``) of the passages with the largest dot products, best first.

    ``queries`` are (Q, D) float32 and ``blocks`` the passages in the order of their rows, some (n, D) at a time. Equal
    scores are in the order of the rows; which of those at the end of a block's list are in it is left to FAISS. Uses a
    GPU if FAISS has one, and else as many threads as torch. Raises ``UserError`` for fewer than ``depth`` passages.
    """
    faiss.omp_set_num_threads(torch.get_num_threads())
    knn = partial(faiss.knn_gpu, faiss.StandardGpuResources()) if faiss.get_num_gpus() else faiss.knn

    def of_block(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found, at = knn(
            queries, block.astype(np.float32, copy=False), min(depth, len(block)), metric=faiss.METRIC_INNER_PRODUCT
        )
        _order_equal(found, at)
        return found, at

    return best(len(queries), ((*of_block(block), len(block)) for block in blocks), depth)


def best(
    queries: int, found: Iterable[tuple[np.ndarray, np.ndarray, int]], depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and rows (Q, ``depth``) of the best passages of all blocks, from those of each.

    A block has scores (Q, k), best first, the rows (Q, k) within it that they belong to, and its size. Raises
    ``UserError`` for fewer than ``depth`` passages.
    """
    scores = np.empty((queries, 0), dtype=np.float32)
    rows = np.empty((queries, 0), dtype=np.int64)
    count = 0
    for more, at, size in found:
        scores, rows = np.hstack([scores, more]), np.hstack([rows, at + count])
        # A stable sort merges sorted lists in linear time, and keeps earlier rows first.
        order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        scores, rows = np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
        count += size
    if count < depth:
        raise UserError(f"the search is asked for {depth} out of {count} passages: lower the scale's retrieval_depth.")
    return scores, rows


def _order_equal(scores: np.ndarray, rows: np.ndarray) -> None:
    """Put equal ones of the ``scores`` (Q, N), which are descending, into the order of their ``rows``, in place.

    Few lines have any, so only those are sorted where FAISS did otherwise.
    """
    wrong = (scores[:, 1:] == scores[:, :-1]) & (rows[:, 1:] < rows[:, :-1])
    lines = np.flatnonzero(wrong.any(axis=1))
    order = np.lexsort((rows[lines], -scores[lines]))
    scores[lines] = np.take_along_axis(scores[lines], order, 1)
    rows[lines] = np.take_along_axis(rows[lines], order, 1)
