"""First-stage candidates: BM25 over the whole collection, for every split (Robertson & Zaragoza, 2009).

The collection is read once, as a stream, and how often each passage has each term goes to a file, block by block. It
is then searched part by part. Each part is weighted with the statistics of the whole (document frequencies, mean
length), so that scores do not depend on the parts, and memory does not depend on how many there are.

A term is the stem of a word (`dualenc.data.words`) that has two or more characters and is not a stop word. In text
without combining marks the terms are those of bm25s, and so are the scores, to the last bit.

Threads share the work: most of it is in functions of numpy, scipy and Arrow that let other threads run. The threads
number the terms in the order in which they happen to come across them, but nothing that is returned depends on the
numbers.
"""

import math
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from threading import Lock
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import Stemmer
from bm25s.stopwords import STOPWORDS_EN
from scipy.sparse import csc_array, csr_array

from dualenc.data.runs import Run, ranked
from dualenc.data.words import FOREIGN, normalised
from dualenc.runtime.errors import UserError
from dualenc.runtime.progress import Progress, reported

PASSAGES_IN_BLOCK = 1 << 15  # of a thread, and in memory as text
BLOCKS_IN_PART = 1 << 4
TEXTS_AT_ONCE = 1 << 12
QUERIES_AT_ONCE = 1 << 6
NUMBER = np.dtype(np.int32)  # of all numbers in the file

# All bytes beyond ASCII count as parts of words here; those that are not are replaced beforehand.
IN_WORD = np.array([byte > 127 or chr(byte) == "_" or chr(byte).isalnum() for byte in range(256)])

Item, Result = TypeVar("Item"), TypeVar("Result")


class Vocabulary(dict[bytes, int]):
    """The number of each word's term, or -1 if it has none; a word that is not there yet is added when asked for."""

    def __init__(self, stop_words: str, stemmer: str):
        self.stop_words = frozenset(STOPWORDS_EN if stop_words == "english" else ())
        self.stem = Stemmer.Stemmer(stemmer).stemWord if stemmer != "none" else str
        self.terms: dict[str, int] = {}
        self.lock = Lock()

    def __missing__(self, word: bytes) -> int:
        text = word.decode()
        has_term = len(text) > 1 and text not in self.stop_words
        self[word] = self.terms.setdefault(self.stem(text), len(self.terms)) if has_term else -1
        return self[word]


class Block(NamedTuple):
    """Where in the file some passages are, and of how many terms and postings (pairs of term and passage)."""

    start: int
    terms: int
    postings: int


class Index(NamedTuple):
    """How often each of N passages has each of V terms, as blocks in a file, and what is known of them all.

    ``lengths`` (N,) count the terms of each passage; ``idf`` (V,) float32 weighs each term of the vocabulary.
    """

    file: BinaryIO
    blocks: list[Block]
    lengths: np.ndarray
    idf: np.ndarray


class Retrieved(NamedTuple):
    """The lists of all queries, and how many passages are in none because they have no term."""

    run: Run
    passages_without_terms: int


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
    threads: int = 1,
) -> Retrieved:
    """The ``depth`` best passages of each query (qid -> text), best first. ``passages`` are read once.

    Passages that share no term with the query are not retrieved, so a list may be shorter than ``depth``. Which of
    several equal scores at the end of a list are in it is left to numpy. Raises ``UserError`` if ``depth`` is larger
    than the collection, and if most passages have no term.
    """
    if depth > len(pids):
        raise UserError(f"BM25 is asked for {depth} candidates out of {len(pids)} passages: lower the scale's depth.")
    vocabulary = Vocabulary(stop_words, stemmer)
    found = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))] * len(queries)
    with tempfile.TemporaryFile() as file, ThreadPoolExecutor(threads) as pool:
        in_turn = partial(_in_turn, pool, threads)
        index = _read(reported(passages, "BM25", "passages", len(pids)), vocabulary, file, in_turn)
        passages_without_terms = without_terms("passages", index.lengths)
        terms, lengths = _terms(vocabulary, list(queries.values()))
        asked = [some[some < len(index.idf)].tolist() for some in np.split(terms, np.cumsum(lengths))[:-1]]
        starts = range(0, len(index.blocks), BLOCKS_IN_PART)
        progress = Progress("BM25", "searches", len(starts) * len(asked))
        for start in starts:
            numbers = range(start, min(start + BLOCKS_IN_PART, len(index.blocks)))
            weights = list(in_turn(partial(_weights, index, k1, b), numbers))
            search = partial(_search, weights, start * PASSAGES_IN_BLOCK, depth)
            shares = _batches(zip(asked, found, strict=True), QUERIES_AT_ONCE)
            best = []
            for share in in_turn(search, shares):
                best += share
                progress.advance(len(share))
            found = best
    run = {
        qid: ranked(qid, pids.take(pa.array(rows)).to_pylist(), scores)
        for qid, (rows, scores) in zip(queries, found, strict=True)
    }
    return Retrieved(run, passages_without_terms)


def numbers_of_terms(texts: Sequence[str], *, stop_words: str, stemmer: str) -> np.ndarray:
    """How many terms (N,) each of N texts has."""
    return _terms(Vocabulary(stop_words, stemmer), texts)[1]


def without_terms(what: str, numbers: np.ndarray) -> int:
    """How many of the texts with these ``numbers`` of terms (N,) have none. ``what`` they are, such as "passages".

    Raises ``UserError`` if it is more than half of them.
    """
    without = len(numbers) - int(np.count_nonzero(numbers))
    if 2 * without > len(numbers):
        raise UserError(
            f"{without:,} of {len(numbers):,} {what} have no term, which for BM25 is a word of two or more characters "
            'that is not a stop word: see "Languages and scripts" in docs/add-a-dataset.md, or set stop_words of the '
            "scale's bm25 to none."
        )
    return without


def _in_turn(
    pool: ThreadPoolExecutor, ahead: int, work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """What ``work`` makes of each of the ``items``, in their order; only a few are under way at a time."""
    under_way = deque()
    for item in items:
        under_way.append(pool.submit(work, item))
        if len(under_way) > ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    return iter(lambda: list(islice(rest, size)), [])


def _read(passages: Iterable[str], vocabulary: Vocabulary, file: BinaryIO, in_turn: Callable) -> Index:
    """Write blocks of the passages to ``file`` and count; the vocabulary learns their words."""
    blocks, lengths, having = [], [], np.empty(0, dtype=np.int64)
    for of_block, counts in in_turn(partial(_counts, vocabulary), _batches(passages, PASSAGES_IN_BLOCK)):
        passages_of = np.diff(counts.indptr)
        terms = np.flatnonzero(passages_of)
        blocks.append(Block(file.tell(), len(terms), counts.nnz))
        for column in (terms, passages_of[terms], counts.indices, counts.data):
            file.write(column.astype(NUMBER).data)
        lengths.append(of_block)
        having = np.pad(having, (0, max(0, len(passages_of) - len(having))))
        having[: len(passages_of)] += passages_of
    file.flush()
    total = sum(map(len, lengths))
    idf = [math.log(1 + (total - count + 0.5) / (count + 0.5)) for count in having.tolist()]
    return Index(file, blocks, np.concatenate(lengths), np.array(idf, dtype=np.float32))


def _counts(vocabulary: Vocabulary, passages: Sequence[str]) -> tuple[np.ndarray, csc_array]:
    """Lengths (N,) of N passages, and how often each has each of the terms known so far: (N, V)."""
    terms, lengths = _terms(vocabulary, passages)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    counts = csr_array((np.ones(len(terms), dtype=NUMBER), terms, ends), shape=(len(lengths), len(vocabulary.terms)))
    counts.sum_duplicates()
    return lengths, counts.tocsc()


def _terms(vocabulary: Vocabulary, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the terms of N texts, one text after the other, and how many (N,) each has."""
    nothing = np.empty(0, dtype=NUMBER)
    found = [_terms_at_once(vocabulary, some) for some in _batches(texts, TEXTS_AT_ONCE)]
    terms, lengths = zip((nothing, nothing), *found, strict=True)
    return np.concatenate(terms), np.concatenate(lengths)


def _terms_at_once(vocabulary: Vocabulary, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    # The words are found in all texts together, as places between bytes, and looked up once however often they occur.
    encoded = [(text if text.isascii() else FOREIGN.sub(" ", text)).encode() for text in map(normalised, texts)]
    characters = np.frombuffer(b" %b " % b" ".join(encoded), dtype=np.uint8)
    in_word = IN_WORD[characters]
    edges = np.flatnonzero(in_word[1:] != in_word[:-1])
    starts, ends = edges[::2], edges[1::2]
    offsets = np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(characters[in_word])]
    words = pa.Array.from_buffers(pa.binary(), len(starts), buffers).dictionary_encode()
    distinct = words.dictionary.to_pylist()
    with vocabulary.lock:
        numbers = np.array([vocabulary[word] for word in distinct], dtype=NUMBER)
    terms = numbers[words.indices.to_numpy()]
    has_term = terms >= 0
    terms_before = np.concatenate([[0], np.cumsum(has_term)])
    words_before = np.searchsorted(starts, np.cumsum([0, *(len(text) + 1 for text in encoded)]))
    return terms[has_term], np.diff(terms_before[words_before]).astype(NUMBER)


def _weights(index: Index, k1: float, b: float, number: int) -> csc_array:
    """What each term adds to the scores of the passages of a block: (passages, V) float32."""
    block = index.blocks[number]
    lengths = index.lengths[number * PASSAGES_IN_BLOCK : (number + 1) * PASSAGES_IN_BLOCK]
    ends = np.cumsum([block.terms, block.terms, block.postings, block.postings])
    read = np.frombuffer(os.pread(index.file.fileno(), int(ends[-1]) * NUMBER.itemsize, block.start), dtype=NUMBER)
    terms, passages_of, rows, counts = np.split(read, ends[:-1])
    norms = k1 * (1 - b + b * lengths / index.lengths.mean())
    saturated = counts / (norms[rows] + counts)
    weights = (np.repeat(index.idf[terms], passages_of) * saturated).astype(np.float32)
    columns = np.zeros(len(index.idf) + 1, dtype=np.int64)
    columns[terms + 1] = passages_of
    return csc_array((weights, rows, np.cumsum(columns)), shape=(len(lengths), len(index.idf)))


def _search(weights: Sequence[csc_array], start: int, depth: int, queries: Sequence) -> list:
    """The lists of queries, given by their terms and lists so far, after the part that begins at row ``start``."""
    return [_best(*found, _scores(weights, terms), start, depth) for terms, found in queries]


def _scores(weights: Sequence[csc_array], query: Sequence[int]) -> np.ndarray:
    """The scores of the passages of a part: its blocks' ``weights`` of the terms, added in the query's order."""
    scores = np.zeros(sum(block.shape[0] for block in weights), dtype=np.float32)
    start = 0
    for block in weights:
        of_block = scores[start : start + block.shape[0]]
        for term in query:
            column = slice(block.indptr[term], block.indptr[term + 1])
            # Several times faster than += of a selection.
            np.add.at(of_block, block.indices[column], block.data[column])
        start += len(of_block)
    return scores


def _best(
    rows: np.ndarray, scores: np.ndarray, part: np.ndarray, start: int, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """A query's list so far, ``rows`` with their ``scores``, and what enters it from the scores of a ``part``."""
    if len(rows) == depth:  # then only what is better than its last one can enter
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
