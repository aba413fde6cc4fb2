"""Scores of (query, passage) pairs by a trained model, from token arrays: float32 raw logits or dot products."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dualenc.data.runs import Run, ranked
from dualenc.encoders import tokens
from dualenc.scorers import models, parts
from dualenc.scorers.reading import Model, Texts, evaluating

PAIRS_AT_ONCE = 1 << 18  # in a part that is kept: minutes of a large model


def score(model: Model, source: Texts, query_rows: np.ndarray, passage_rows: np.ndarray) -> np.ndarray:
    """Scores (N,) float32 of the pairs (``query_rows[i]``, ``passage_rows[i]``), in evaluation mode."""
    with evaluating(model):
        return models.kind(model).score(model, source, np.asarray(query_rows), np.asarray(passage_rows))


def score_in_parts(
    model: Model, source: Texts, query_rows: np.ndarray, passage_rows: np.ndarray, rows: range, folder: Path
) -> list[Path]:
    """Files in ``folder`` with what ``score`` says about the pairs in ``rows``, as `parts.complete` makes them."""

    def some(part: range) -> np.ndarray:
        return score(model, source, query_rows[part.start : part.stop], passage_rows[part.start : part.stop])

    return parts.complete(folder, rows, PAIRS_AT_ONCE, some, "scoring")


class Candidates(NamedTuple):
    """What is to be re-ranked: passages of queries, the texts of these, and the rows of the qids."""

    source: Texts
    run: Run
    query_rows: Mapping[str, int]


def rerank(
    model: Model,
    source: Texts,
    candidates: Run,
    query_rows: Mapping[str, int],
    passage_rows: Mapping[str, int],
) -> Run:
    """The run that ``model`` makes of the candidates; the mappings give the rows of qids and pids."""
    return rerank_sets(model, [Candidates(source, candidates, query_rows)], passage_rows)[0]


def rerank_sets(
    model: Model, sets: Sequence[Candidates], passage_rows: Mapping[str, int], keep: Path | None = None
) -> list[Run]:
    """The runs of several sets of candidates over the same passages; a text in several of them is encoded once.

    With ``keep``, a folder of what belongs to this model, scores are kept there, and an interrupted call's are used.
    """
    columns = [one.source.queries for one in sets]
    source = sets[0].source._replace(queries=tokens.concatenate(columns))
    firsts = np.cumsum([0, *(len(column.offsets) - 1 for column in columns)])
    asked = [first + one.query_rows[qid] for one, first in zip(sets, firsts, strict=False) for qid in one.run]
    rankings = [ranking for one in sets for ranking in one.run.values()]
    sizes = [len(ranking.pids) for ranking in rankings]
    queries = np.repeat(asked, sizes)
    passages = np.array([passage_rows[pid] for ranking in rankings for pid in ranking.pids])
    if keep is None:
        scores = score(model, source, queries, passages)
    else:
        folder = keep / parts.digest(queries, passages)
        scores = parts.joined(score_in_parts(model, source, queries, passages, range(len(queries)), folder))
    of_each = iter(np.split(scores, np.cumsum(sizes)[:-1]))
    return [{qid: ranked(qid, ranking.pids, next(of_each)) for qid, ranking in one.run.items()} for one in sets]
