"""First-stage candidates of all splits."""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dualenc.data import collection, datasets
from dualenc.data.runs import Ranking, Run, write_run
from dualenc.data.sampling import in_hash_order
from dualenc.evaluation.metrics import candidate_metrics
from dualenc.retrieval.candidates import bm25, numbers_of_terms, without_terms
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import write_json
from dualenc.study.schema import Bm25


def candidates(
    folder: Path,
    parameters: Bm25,
    depth: int,
    output: Path,
    train_queries: int | None = None,
    threads: int = 1,
) -> None:
    """BM25 runs of all splits, ``<split>.run.gz``, and ``metrics.json`` with their recall@depth and MRR@10.

    Of the train split only the first ``train_queries`` in hash order, where nobody needs more: half a million queries
    of a collection of millions take days. Raises ``UserError`` as ``collection.check_folder`` does, if most passages or
    most queries of a split have no term, and if no query of a split finds a relevant passage; all before anything is
    written.
    """
    collection.check_folder(folder)
    queries = {split: collection.queries(folder, split) for split in collection.splits(folder)}
    if train_queries is not None:
        sample = set(in_hash_order(list(queries["train"].qid))[:train_queries])
        queries["train"] = queries["train"][queries["train"].qid.isin(sample)]
    together = {qid: text for frame in queries.values() for qid, text in zip(frame.qid, frame.text, strict=True)}
    terms = {key: getattr(parameters, key) for key in ("stop_words", "stemmer")}
    without = {
        split: without_terms(f"queries of the {split} split", numbers_of_terms(list(frame.text), **terms))
        for split, frame in queries.items()
    }
    passages = collection.ids(folder, "passages"), collection.texts(folder, "passages")
    found = bm25(*passages, together, depth=depth, threads=threads, **parameters.model_dump())
    without = {"passages": found.passages_without_terms, **without}
    counted = ", ".join(f"{name}: {count:,}" for name, count in without.items())
    print(f"without a term: {counted}", file=sys.stderr, flush=True)
    runs = {split: {qid: found.run[qid] for qid in frame.qid} for split, frame in queries.items()}
    judged = {split: set(frame.qid) for split, frame in queries.items()}
    _write(folder, runs, judged, depth, {"source": "bm25", "without_terms": without}, output)


def official(folder: Path, dataset: datasets.Dataset, depth: int, output: Path) -> None:
    """The candidate lists that a dataset has itself, as ``candidates`` writes BM25's; cut to ``depth``.

    Where lists have no scores, the cut is a random sample. Raises ``UserError`` if the dataset has no such lists, if
    they name a passage that is not in ``folder``, and if those of a split have no relevant passage.
    """
    collection.check_folder(folder)
    runs, judged = {}, {}
    for split in collection.splits(folder):
        run = _lists(dataset, split)
        named = {pid for ranking in run.values() for pid in ranking.pids}
        unknown = min(named - collection.rows(folder, "passages", named).keys(), default=None)
        if unknown is not None:
            raise UserError(
                f"the official candidates of the {split} split name passage {unknown!r}, which is not in "
                f"{folder / 'passages.parquet'}: take the whole collection, or set candidates to bm25."
            )
        qids = collection.queries(folder, split).qid
        judged[split] = set(qids)
        runs[split] = {qid: Ranking(run[qid].pids[:depth], run[qid].scores[:depth]) for qid in qids if qid in run}
        print(f"{split}: {len(qids):,} queries, {len(runs[split]):,} with candidates", file=sys.stderr, flush=True)
    _write(folder, runs, judged, depth, {"source": "official"}, output)


def _lists(dataset: datasets.Dataset, split: str) -> Run:
    """A dataset's own candidates for a split. Raises ``UserError`` for a kind of dataset that has none."""
    kind = datasets.kind(dataset)
    if not hasattr(kind, "candidates"):
        raise UserError(f"datasets of kind {dataset.kind} have no candidates of their own: set candidates to bm25.")
    return kind.candidates(dataset, split)


def _write(
    folder: Path,
    runs: Mapping[str, Run],
    judged: Mapping[str, set[str]],
    depth: int,
    about: Mapping[str, object],
    output: Path,
) -> None:
    """Write ``<split>.run.gz`` and ``metrics.json``: what they are, if scored, and how good for the ``judged``."""
    scored = any(np.ptp(ranking.scores) > 0 for run in runs.values() for ranking in run.values() if ranking.pids)
    metrics: dict[str, object] = {"candidates": {**about, "scored": scored}}
    for split, run in runs.items():
        qrels = {qid: of_query for qid, of_query in collection.qrels(folder, split).items() if qid in judged[split]}
        _check_found(split, run, qrels, about["source"])
        metrics[split] = candidate_metrics(run, qrels, depth)
    for split, run in runs.items():
        write_run(output / f"{split}.run.gz", run, tag=about["source"])
    write_json(output / "metrics.json", metrics)


def _check_found(split: str, run: Run, qrels: Mapping[str, Mapping[str, int]], source: str) -> None:
    """Refuse a split's candidates that nothing can be learned from, and that every model would rank alike."""
    found = {qid: ranking.pids for qid, ranking in run.items() if ranking.pids}
    if not found:
        advice = {
            "bm25": "none shares a word with any; write both in one language, and with spaces between words (see "
            '"Languages and scripts" in docs/add-a-dataset.md).',
            "official": "the official candidates are of other queries; set candidates to bm25.",
        }
        raise UserError(f"no query of the {split} split finds a passage: {advice[source]}")
    if not any(qrels[qid].get(pid, 0) > 0 for qid, pids in found.items() for pid in pids):
        raise UserError(
            f"no query of the {split} split finds a passage that is relevant to it, so every measure would be 0: raise "
            "the scale's depth, and check that the judgements are of these queries and passages."
        )
