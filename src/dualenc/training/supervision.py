"""Training lists: for each query its K passages, their labels, and later the teacher's scores (section 2).

A list holds positives first and then a random sample of the query's BM25 candidates that are not relevant, as MS
MARCO's triplets do. Only retrieved positives count, so that lists look like what is re-ranked: with every positive put
in, the passages that BM25 missed are all positives, and a model learns to prefer passages that share few words with the
query. Stored as parquet (qid, pids, labels[, teacher_scores]) with a manifest next to it; scores are the teacher's raw
logits, float32.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet
from pydantic import BaseModel

from dualenc.data import frames
from dualenc.data.runs import Run
from dualenc.data.sampling import in_hash_order
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic, md5, write_json

Qrels = Mapping[str, Mapping[str, int]]
COLUMNS = {"qid": frames.text, "pids": frames.texts, "labels": frames.numbers}


class Manifest(BaseModel):
    """What the manifest of lists must contain."""

    rows: int
    md5: str


class Lists(NamedTuple):
    """N lists of K passages by row number: ``queries`` (N,), ``passages``, ``labels``, ``teacher`` (N, K).

    ``judged`` are for each list all passages that are judged for its query, whether they are in the list or not.
    """

    queries: np.ndarray
    passages: np.ndarray
    labels: np.ndarray
    teacher: np.ndarray | None
    judged: list[np.ndarray]


def build(candidates: Run, qrels: Qrels, *, list_length: int, count: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Lists of ``list_length`` passages for ``count`` queries in hash order, and what was left out.

    Queries are skipped if none of their positives was retrieved, or if there are too few candidates to fill a list.
    Raises ``UserError`` if none is left.
    """
    rows, counts = [], {"queries": 0, "no_positive_retrieved": 0, "too_few_candidates": 0}
    for qid in in_hash_order(list(qrels)):
        if len(rows) == count:
            break
        counts["queries"] += 1
        retrieved = candidates[qid].pids if qid in candidates else []
        positives = [pid for pid in retrieved if qrels[qid].get(pid, 0) > 0][: list_length - 1]
        negatives = [pid for pid in retrieved if qrels[qid].get(pid, 0) <= 0]
        if not positives:
            counts["no_positive_retrieved"] += 1
        elif len(positives) + len(negatives) < list_length:
            counts["too_few_candidates"] += 1
        else:
            pids = positives + in_hash_order(negatives, salt=qid)[: list_length - len(positives)]
            labels = [1] * len(positives) + [0] * (list_length - len(positives))
            rows.append({"qid": qid, "pids": pids, "labels": labels})
    if not rows and counts["no_positive_retrieved"] == counts["queries"]:
        raise UserError(
            f"none of {counts['queries']:,} train queries has a relevant passage among its candidates, which a list "
            "needs: raise the scale's depth."
        )
    if not rows:
        raise UserError(
            f"no query has the {list_length} candidates that a training list needs: lower the scale's list_length "
            "or raise its depth."
        )
    return pd.DataFrame(rows), counts


def write(path: str | Path, lists: pd.DataFrame | pa.Table, about: Mapping[str, object]) -> None:
    """Write lists to ``path`` (parquet) and ``about``, their MD5 and their number to ``<path>.json``."""
    with atomic(path) as temporary:
        if isinstance(lists, pa.Table):
            parquet.write_table(lists, temporary)
        else:
            lists.to_parquet(temporary, index=False)
    write_json(f"{path}.json", {**about, "rows": len(lists), "md5": md5(path)})


def summary(scores: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation, minimum and maximum of a teacher's scores, for the manifest of its lists."""
    return {name: float(getattr(scores, name)()) for name in ("mean", "std", "min", "max")}


def with_scores(frame: pd.DataFrame, scores: np.ndarray) -> pd.DataFrame:
    """The lists with the teacher's ``scores`` (N, K). Raises ``UserError`` naming the first that is not finite."""
    check_scores(frame, scores)
    return frame.assign(teacher_scores=list(scores.astype(np.float32)))


def check_scores(frame: pd.DataFrame, scores: np.ndarray) -> None:
    """Raise ``UserError`` naming the pair of the first score of (N, K) that is missing or not finite."""
    bad = np.argwhere(~np.isfinite(scores))
    if len(bad):
        row, column = bad[0]
        raise UserError(
            f"the teacher's score for query {frame.qid[row]!r} and passage {frame.pids[row][column]!r} is "
            f"{scores[row, column]}: every score must be finite; train the teacher again or score this pair again."
        )


def load(path: str | Path) -> pd.DataFrame:
    """Lists as ``write`` wrote them: qid, pids, labels and, if a teacher has scored them, teacher_scores.

    Raises ``UserError`` that names the file if it is missing or broken, has no lists, or has some of different lengths.
    """
    frame = frames.read(path, COLUMNS, "build the lists again", optional={"teacher_scores": frames.numbers})
    lengths = {len(values) for name in frame.columns.drop("qid") for values in frame[name]}
    if len(lengths) != 1:
        raise UserError(f"{path} has lists of {sorted(lengths) or 'no'} passages, not of one length: build them again.")
    return frame


def read(path: str | Path, query_rows: Mapping[str, int], passage_rows: Mapping[str, int], qrels: Qrels) -> Lists:
    """Lists by row number; ``qrels`` are the judgements of their queries.

    Raises ``UserError`` as ``load`` does, and for an unknown id, a passage twice in a list, a score not finite."""
    frame = load(path)
    for qid, pids in zip(frame.qid, frame.pids, strict=True):
        unknown = [one for one in pids if one not in passage_rows] + [qid] * (qid not in query_rows)
        if unknown:
            raise UserError(f"{path} names {unknown[0]!r}, which is not in the dataset: build the lists again.")
        if qid not in qrels:
            raise UserError(f"{path} has a list for query {qid!r}, which has no judgement: build the lists again.")
        if len(set(pids)) < len(pids):
            raise UserError(f"{path} has a passage twice in the list for query {qid!r}: build the lists again.")
    teacher = None
    if "teacher_scores" in frame:
        teacher = np.stack(frame.teacher_scores).astype(np.float32)
        check_scores(frame, teacher)
    return Lists(
        queries=np.array([query_rows[qid] for qid in frame.qid]),
        passages=np.array([[passage_rows[pid] for pid in pids] for pids in frame.pids]),
        labels=np.stack(frame.labels).astype(np.float32),
        teacher=teacher,
        judged=[np.array([passage_rows[pid] for pid in qrels[qid]]) for qid in frame.qid],
    )


def pick(lists: Lists, row: int, *, size: int, selection: str, generator: np.random.Generator) -> np.ndarray:
    """Columns of list ``row`` that a training step sees: its positives and negatives up to ``size``.

    ``selection`` "sampled" draws the negatives afresh, as triplets do; "top" takes those with the highest teacher
    scores (section 5: the top 20 per query), so the columns come in the order of the teacher.
    """
    positives = np.flatnonzero(lists.labels[row] > 0)[: size - 1]
    negatives = np.flatnonzero(lists.labels[row] <= 0)
    wanted = size - len(positives)
    if selection == "top":
        chosen = negatives[np.argsort(-lists.teacher[row][negatives], kind="stable")[:wanted]]
    else:
        chosen = generator.choice(negatives, size=wanted, replace=False)
    return np.concatenate([positives, chosen])
