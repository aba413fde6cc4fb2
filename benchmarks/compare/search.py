"""Exact search: our blocks of a collection of any size, against FAISS's index and numpy, which hold all of it."""

from collections.abc import Callable, Iterator
from functools import partial
from os import sched_getaffinity
from pathlib import Path

import faiss
import numpy as np
import torch
import workload
from harness import Comparison, seconds

from dualenc.data import arrays
from dualenc.retrieval.dense import PASSAGES_AT_ONCE, search

QUERIES, PASSAGES, WIDTH, DEPTH = 1000, 500_000, 384, 1000
QUICK = 100_000  # passages
QUERIES_AT_ONCE = 50  # numpy's: 200 MB of scores
SEED = 1


def comparisons(device: str, scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """From a file and from memory; what is found is compared first, since only equal work may be timed."""
    cores = len(sched_getaffinity(0))
    torch.set_num_threads(cores)
    faiss.omp_set_num_threads(cores)
    generator, count = np.random.default_rng(SEED), QUICK if quick else PASSAGES
    queries, passages = (generator.standard_normal((rows, WIDTH), dtype=np.float32) for rows in (QUERIES, count))
    file = scratch / "passages.npy"
    np.save(file, passages)
    _check(queries, passages)
    limit = workload.matrix_rate(torch.float32) / (2 * count * WIDTH)
    size = f"{QUERIES:,} queries, {count:,} x {WIDTH} float32, depth {DEPTH:,}"

    def compare(path: str, against: str, setting: str, ours: Callable, theirs: Callable, target: float | None):
        both = (partial(seconds, ours), partial(seconds, theirs))
        return Comparison(path, against, f"{size}: {setting}", *both, QUERIES, "queries", target, limit)

    def from_file() -> None:
        search(queries, arrays.blocks(file, PASSAGES_AT_ONCE), DEPTH)

    def from_memory() -> None:
        search(queries, _slices(passages), DEPTH)

    held = (
        f"holds {PASSAGES_AT_ONCE * WIDTH * 4 >> 20} MiB of passages at a time, the other all {passages.nbytes >> 20}"
    )
    load = "of a file: read, add and search"
    yield compare(
        "exact search of a file",
        "FAISS IndexFlatIP",
        f"{load}; ours {held}",
        from_file,
        lambda: _indexed(np.load(file)).search(queries, DEPTH),
        0.95,
    )
    yield compare(
        "exact search",
        "FAISS IndexFlatIP",
        "of an array: add and search",
        from_memory,
        lambda: _indexed(passages).search(queries, DEPTH),
        0.95,
    )
    index = _indexed(passages)
    yield compare(
        "exact search",
        "FAISS IndexFlatIP, filled",
        "of an array: search alone",
        from_memory,
        lambda: index.search(queries, DEPTH),
        None,
    )
    yield compare(
        "exact search",
        "numpy",
        f"of an array: matrix product and argpartition, {QUERIES_AT_ONCE} queries at a time",
        from_memory,
        lambda: _by_numpy(queries, passages),
        0.95,
    )


def _slices(passages: np.ndarray) -> Iterator[np.ndarray]:
    return (passages[start : start + PASSAGES_AT_ONCE] for start in range(0, len(passages), PASSAGES_AT_ONCE))


def _indexed(passages: np.ndarray) -> faiss.IndexFlatIP:
    index = faiss.IndexFlatIP(WIDTH)
    index.add(passages)
    return index


def _by_numpy(queries: np.ndarray, passages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and rows, best first."""
    scores, rows = [], []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        negated = -(queries[start : start + QUERIES_AT_ONCE] @ passages.T)
        best = np.argpartition(negated, DEPTH - 1, axis=1)[:, :DEPTH]
        best = np.take_along_axis(best, np.take_along_axis(negated, best, 1).argsort(axis=1), 1)
        scores.append(-np.take_along_axis(negated, best, 1))
        rows.append(best)
    return np.concatenate(scores), np.concatenate(rows)


def _check(queries: np.ndarray, passages: np.ndarray) -> None:
    """All find the same for some queries, but for the last bits of scores."""
    some = queries[:20]
    found = [search(some, _slices(passages), DEPTH), _indexed(passages).search(some, DEPTH), _by_numpy(some, passages)]
    for scores, _ in found[1:]:
        np.testing.assert_allclose(scores, found[0][0], rtol=1e-4)
