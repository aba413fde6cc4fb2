"""First-stage candidates: BM25 over the whole collection, for every split (Robertson & Zaragoza, 2009).

The collection is read once, as a stream, and then searched part by part. Each part is weighted with the statistics of
the whole (document frequencies, mean length), so that scores do not depend on the parts, and memory does not depend on
how many there are. The terms are those of bm25s, and so are the scores, to the last bit.
"""

import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import Stemmer
from bm25s.tokenization import Tokenizer
from scipy.sparse import csc_array

from dualenc.errors import UserError
from dualenc.progress import Progress, reported
from dualenc.runs import Run, ranked

PASSAGES_AT_ONCE = 1 << 19  # in a part
PASSAGES_READ_AT_ONCE = 1 << 10


class Terms(NamedTuple):
    """The terms of N passages as int32 numbers in a file, one passage after the other, and what is known of them all.

    ``lengths`` (N,) count the terms of each passage; ``idf`` (V,) float32 weighs each term of the vocabulary.
    """

    file: BinaryIO
    lengths: np.ndarray
    idf: np.ndarray


def bm25(
    pids: pa.Array,
    passages: Iterable[str],
    queries: Mapping[str, str],
    *,
    depth: int,
    k1: float,
    b: float,
    stop_words: str,
    stemmer: str,
) -> Run:
    """The ``depth`` best passages of each query (qid -> text), best first. ``passages`` are read once.

    Passages that share no term with the query are not retrieved, so a list may be shorter than ``depth``. Which of
    several equal scores at the end of a list are in it is left to numpy. Raises ``UserError`` if ``depth`` is larger
    than the collection.
    """
    if depth > len(pids):
        raise UserError(f"BM25 is asked for {depth} candidates of {len(pids)} passages: lower the scale's depth.")
    stem = Stemmer.Stemmer(stemmer) if stemmer != "none" else None
    tokenizer = Tokenizer(stopwords="en" if stop_words == "english" else None, stemmer=stem)
    with tempfile.TemporaryFile() as file:
        terms = _read(tokenizer, reported(passages, Progress("BM25", "passages", len(pids))), file)
        asked = list(tokenizer.streaming_tokenize(list(queries.values()), update_vocab=False, allow_empty=False))
        found = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))] * len(asked)
        starts = range(0, len(pids), PASSAGES_AT_ONCE)
        for start in reported(starts, Progress("BM25", "parts", len(starts))):
            weights = _weights(terms, start, k1, b)
            for number, query in enumerate(asked):
                found[number] = _best(*found[number], _scores(weights, query), start, depth)
    return {
        qid: ranked(qid, pids.take(pa.array(rows)).to_pylist(), scores)
        for qid, (rows, scores) in zip(queries, found, strict=True)
    }


def _read(tokenizer: Tokenizer, passages: Iterable[str], file: BinaryIO) -> Terms:
    """Write the terms of the passages to ``file`` and count them; the tokenizer learns the vocabulary."""
    stream = tokenizer.streaming_tokenize(passages, update_vocab=True, allow_empty=False)
    lengths, having = [], np.empty(0, dtype=np.int64)
    while some := list(islice(stream, PASSAGES_READ_AT_ONCE)):
        lengths.append(np.fromiter(map(len, some), dtype=np.int32))
        file.write(np.fromiter(chain.from_iterable(some), dtype=np.int32).data)
        distinct = np.fromiter(chain.from_iterable(map(set, some)), dtype=np.int64)
        counts = np.bincount(distinct, minlength=len(having))
        counts[: len(having)] += having
        having = counts
    total = sum(map(len, lengths))
    idf = [math.log(1 + (total - count + 0.5) / (count + 0.5)) for count in having.tolist()]
    return Terms(file, np.concatenate(lengths), np.array(idf, dtype=np.float32))


def _weights(terms: Terms, start: int, k1: float, b: float) -> csc_array:
    """What each term adds to the scores of the passages from row ``start`` on: (passages of the part, V) float32."""
    lengths = terms.lengths[start : start + PASSAGES_AT_ONCE]
    terms.file.seek(int(terms.lengths[:start].sum(dtype=np.int64)) * np.dtype(np.int32).itemsize)
    ids = np.fromfile(terms.file, dtype=np.int32, count=lengths.sum())
    passages = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    counts = csc_array((np.ones(len(ids), dtype=np.float32), (passages, ids)), shape=(len(lengths), len(terms.idf)))
    norms = k1 * (1 - b + b * lengths / terms.lengths.mean())
    saturated = counts.data / (norms[counts.indices] + counts.data)
    counts.data = (np.repeat(terms.idf, np.diff(counts.indptr)) * saturated).astype(np.float32)
    return counts


def _scores(weights: csc_array, query: Sequence[int]) -> np.ndarray:
    scores = np.zeros(weights.shape[0], dtype=np.float32)
    for term in query:
        column = slice(weights.indptr[term], weights.indptr[term + 1])
        scores[weights.indices[column]] += weights.data[column]
    return scores


def _best(
    rows: np.ndarray, scores: np.ndarray, part: np.ndarray, start: int, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """A query's list so far, ``rows`` with their ``scores``, and what enters it from the scores of a ``part``."""
    if len(rows) == depth:  # then only what is better than its last can
        better = np.flatnonzero(part > scores.min())
        at = np.sort(better[_top(part[better], depth)])
    else:
        at = _top(part, depth)
        at = np.sort(at[part[at] > 0])
    rows, scores = np.concatenate([rows, at + start]), np.concatenate([scores, part[at]])
    kept = np.argsort(-scores, kind="stable")[:depth]  # of equal scores, those of earlier rows
    return rows[kept], scores[kept]


def _top(scores: np.ndarray, depth: int) -> np.ndarray:
    """Where the largest ``depth`` of the scores are, in any order."""
    return np.argpartition(-scores, depth - 1)[:depth] if depth < len(scores) else np.arange(len(scores))
