"""Training lists from published teacher scores, such as those of Hofstätter et al. (2020, arXiv 2010.02666).

A row is a triple of a query and two of its passages with a cross-attention model's raw logits, tab-separated, without a
header, in no order: ``pos_score neg_score query_id pos_passage_id neg_passage_id``; ids are whole numbers. Section 5 of
the paper aggregates these triples by query. So that memory does not depend on the number of rows, they are checked and
dealt into files by query (`dualenc.training.score_rows`), and each file is grouped by itself.
"""

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dualenc.runtime.files import atomic, read_json, write_json
from dualenc.runtime.progress import Progress
from dualenc.training.score_rows import ROW, Defect, mixed, partition, refuse

PAIR = np.dtype([("query", np.uint32), ("passage", np.uint32), ("score", np.float32), ("positive", np.bool_)])


class Grouped(NamedTuple):
    """Lists of N queries, positives first: ``queries`` (N,), ``passages``, ``labels`` and ``scores`` (N, K)."""

    queries: np.ndarray
    passages: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def read(
    path: Path, queries: np.ndarray, passages: np.ndarray, *, list_length: int, tolerance: float,
    allowed_defects: int, scratch: Path,
) -> tuple[Grouped, Grouped, dict[str, int]]:  # fmt: skip
    """Lists of ``list_length`` passages for ``queries`` (Q,), in their order, and what was counted on the way.

    A list holds the query's positives, those with the highest scores if there are too many, and then negatives: in the
    first return value a random sample, as the triples are one; in the second those with the highest scores. Only
    ``passages`` (P,) count. Queries without a positive or with fewer than ``list_length`` passages have no list.

    A passage is positive if it is so in one of the query's rows. A pair's score is the mean over its rows; they may
    differ by ``tolerance``, as float16 is not exact in batches of different lengths. Raises ``UserError`` with the
    lines of the first defects if there are more than ``allowed_defects``; rows with a defect are ignored. ``scratch``
    is a folder for temporary files, together about as large as half of the file; what an interrupted call with the same
    arguments has left there is used.
    """
    parts, rows, defects = _dealt(path, scratch, allowed_defects)
    counts = Counter(rows=rows, unknown_passages=0, positive_and_negative=0, queries=0)
    sampled, top = [], []
    progress = Progress("grouping", "parts", len(parts))
    for part in parts:
        grouped = part.with_suffix(".npz")
        if not grouped.exists():
            _keep(grouped, *_grouped(part, queries, passages, list_length, tolerance))
        part.unlink(missing_ok=True)
        some, highest, counted, wrong = _kept(grouped)
        sampled.append(some)
        top.append(highest)
        counts.update(counted)
        defects += wrong
        progress.advance()
    refuse(path, defects, allowed_defects)
    place = {query: place for place, query in enumerate(queries.tolist())}
    sampled, top = _joined(sampled, place), _joined(top, place)
    lost = counts["queries"] - len(top.queries)
    return sampled, top, {**counts, "too_few_passages": lost, "defects": len(defects)}


def _dealt(path: Path, folder: Path, allowed_defects: int) -> tuple[list[Path], int, list[Defect]]:
    """What ``partition`` returns, from an earlier call if it came to its end."""
    done = folder / "dealt.json"
    if not done.exists():
        parts, rows, defects = partition(path, folder, allowed_defects)
        write_json(done, {"parts": [part.name for part in parts], "rows": rows, "defects": defects})
    dealt = read_json(done)
    return [folder / name for name in dealt["parts"]], dealt["rows"], [Defect(*one) for one in dealt["defects"]]


def _keep(file: Path, sampled: Grouped, top: Grouped, counts: dict[str, int], defects: list[Defect]) -> None:
    with atomic(file) as temporary:
        np.savez(temporary, *sampled, *top, about=json.dumps([counts, defects]))


def _kept(file: Path) -> tuple[Grouped, Grouped, dict[str, int], list[Defect]]:
    """What ``_keep`` was given."""
    with np.load(file) as kept:
        columns = [kept[f"arr_{number}"] for number in range(2 * len(Grouped._fields))]
        counts, defects = json.loads(str(kept["about"]))
    middle = len(columns) // 2
    return Grouped(*columns[:middle]), Grouped(*columns[middle:]), counts, [Defect(*one) for one in defects]


def _grouped(
    part: Path, queries: np.ndarray, passages: np.ndarray, list_length: int, tolerance: float
) -> tuple[Grouped, Grouped, dict[str, int], list[Defect]]:
    """The two kinds of lists of a part's queries, what was counted, and defects."""
    pairs, defects, both = scored_pairs(np.fromfile(part, ROW), tolerance)
    pairs = pairs[np.isin(pairs["query"], queries)]
    known = np.isin(pairs["passage"], passages)
    counts = {"queries": len(np.unique(pairs["query"])), "unknown_passages": int(np.sum(~known))}
    pairs = pairs[known]
    sampled = lists(pairs, mixed(_combined(pairs["query"], pairs["passage"])), list_length)
    top = lists(pairs, -pairs["score"], list_length)
    return sampled, top, {**counts, "positive_and_negative": both}, defects


def scored_pairs(rows: np.ndarray, tolerance: float) -> tuple[np.ndarray, list[Defect], int]:
    """Every pair (``PAIR``) of a query and a passage in ``rows`` (``ROW``) once, defects, and pairs with both labels.

    Repeated rows and pairs whose scores differ by more than ``tolerance`` are defects; the first of equal rows counts,
    and none of the pairs.
    """
    rows, defects = _without_repeated(rows)
    query = np.concatenate([rows["query_id"], rows["query_id"]])
    passage = np.concatenate([rows["pos_passage_id"], rows["neg_passage_id"]])
    score = np.concatenate([rows["pos_score"], rows["neg_score"]])
    line = np.concatenate([rows["line"], rows["line"]])
    positive = np.repeat([True, False], len(rows))
    order = np.lexsort((score, _combined(query, passage)))
    query, passage, score, line, positive = (column[order] for column in (query, passage, score, line, positive))
    first = starts(query, passage)
    last = np.append(first, len(query))[1:] - 1
    pairs = np.empty(len(first), PAIR)
    pairs["query"], pairs["passage"] = query[first], passage[first]
    pairs["score"] = np.add.reduceat(score.astype(np.float64), first) / (last - first + 1)
    pairs["positive"] = np.logical_or.reduceat(positive, first)
    both = pairs["positive"] & ~np.logical_and.reduceat(positive, first)
    unequal = score[last] - score[first] > tolerance
    for low, high in zip(first[unequal].tolist(), last[unequal].tolist(), strict=True):
        early, late = sorted((low, high), key=lambda at: line[at])
        what = f"query {query[low]} and passage {passage[low]} have the score {score[late]:g}, but {score[early]:g} in"
        defects.append(Defect(int(line[late]), f"{what} line {line[early]}"))
    return pairs[~unequal], defects, int(both.sum())


def _without_repeated(rows: np.ndarray) -> tuple[np.ndarray, list[Defect]]:
    """The rows, which come by line, without those whose ids an earlier one has, and these as defects."""
    rows = rows[np.lexsort((rows["neg_passage_id"], _combined(rows["query_id"], rows["pos_passage_id"])))]
    first = starts(rows["query_id"], rows["pos_passage_id"], rows["neg_passage_id"])
    new = np.zeros(len(rows), dtype=bool)
    new[first] = True
    original = rows["line"][first][np.cumsum(new) - 1]
    repeated = zip(rows["line"][~new].tolist(), original[~new].tolist(), strict=True)
    return rows[new], [Defect(line, f"the same query and passages as in line {before}") for line, before in repeated]


def lists(pairs: np.ndarray, priority: np.ndarray, length: int) -> Grouped:
    """Lists of ``length`` passages from ``pairs`` (``PAIR``), which come by their ids.

    Positives, at most ``length`` - 1, are taken by falling score, negatives by rising ``priority`` (N,), where these
    are equal by the passage's id.
    """
    by_score = np.where(pairs["positive"], -pairs["score"], priority)
    pairs = pairs[np.lexsort((by_score, _combined(pairs["query"], ~pairs["positive"])))]
    place, _ = places(pairs["query"], pairs["positive"])
    pairs = pairs[~pairs["positive"] | (place < length - 1)]
    place, size = places(pairs["query"])
    pairs = pairs[(place < length) & (size >= length)].reshape(-1, length)
    pairs = pairs[pairs["positive"][:, 0]]
    return Grouped(pairs["query"][:, 0], pairs["passage"], pairs["positive"], pairs["score"])


def starts(*columns: np.ndarray) -> np.ndarray:
    """Where in sorted columns (N,) a new combination of values begins."""
    changes = np.zeros(len(columns[0]), dtype=bool)
    changes[:1] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)


def places(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place (N,) of each row of sorted columns among those with its combination of values, and their number."""
    first = starts(*columns)
    sizes = np.diff(np.append(first, len(columns[0])))
    return np.arange(len(columns[0])) - np.repeat(first, sizes), np.repeat(sizes, sizes)


def _combined(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Two columns (N,) of numbers below 2^32 as one: sorting by it is twice as fast as by both."""
    return high.astype(np.uint64) << np.uint64(32) | low


def _joined(parts: list[Grouped], place: dict[int, int]) -> Grouped:
    """The lists of all parts in the order of their queries' places."""
    columns = [np.concatenate(some) for some in zip(*parts, strict=True)]
    order = np.argsort([place[query] for query in columns[0].tolist()])
    return Grouped(*(column[order] for column in columns))
