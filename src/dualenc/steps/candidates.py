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
from dualenc.steps.arguments import Folder, OutputFolder, Params, threads
from dualenc.study.settings import Candidates

Runs = Mapping[str, Run]
Judged = Mapping[str, set[str]]
"""Split -> the qids whose candidates are measured."""
About = Mapping[str, object]
"""What ``metrics.json`` says about the candidates."""


def candidates(params: Params[Candidates], dataset: Folder, output: OutputFolder) -> None:
    """Retrieve BM25 candidates for every split, or take those of the dataset itself.

    Writes ``<split>.run.gz`` of all splits, and ``metrics.json`` with their recall@depth and MRR@10. Raises
    ``UserError``, before anything is written, as ``collection.check_folder`` does, if no query of a split finds a
    relevant passage, and as ``_bm25`` and ``_official`` say.
    """
    collection.check_folder(dataset)
    found = _official(params, dataset) if params.official else _bm25(params, dataset)
    _write(dataset, *found, params.depth, output)


def _bm25(params: Candidates, folder: Path) -> tuple[Runs, Judged, About]:
    """Runs of all splits.

    Of the train split only the first ``train_queries`` in hash order, if no more are needed: half a million queries
    of a collection of millions take days. Raises ``UserError`` if most passages or most queries of a split have no
    term.
    """
    queries = {split: collection.queries(folder, split) for split in collection.splits(folder)}
    if params.train_evaluation is not None:
        sample = set(in_hash_order(list(queries["train"].qid))[: params.train_evaluation])
        queries["train"] = queries["train"][queries["train"].qid.isin(sample)]
    together = {qid: text for frame in queries.values() for qid, text in zip(frame.qid, frame.text, strict=True)}
    terms = {key: getattr(params.bm25, key) for key in ("stop_words", "stemmer")}
    without = {
        split: without_terms(f"queries of the {split} split", numbers_of_terms(list(frame.text), **terms))
        for split, frame in queries.items()
    }
    passages = collection.ids(folder, "passages"), collection.texts(folder, "passages")
    found = bm25(*passages, together, depth=params.depth, threads=threads(), **params.bm25.model_dump())
    without = {"passages": found.passages_without_terms, **without}
    counted = ", ".join(f"{name}: {count:,}" for name, count in without.items())
    print(f"without a term: {counted}", file=sys.stderr, flush=True)
    runs = {split: {qid: found.run[qid] for qid in frame.qid} for split, frame in queries.items()}
    judged = {split: set(frame.qid) for split, frame in queries.items()}
    return runs, judged, {"source": "bm25", "without_terms": without}


def _official(params: Candidates, folder: Path) -> tuple[Runs, Judged, About]:
    """The lists that a dataset has itself, cut to ``depth``; where they have no scores, the cut is a random sample.

    Raises ``UserError`` if the dataset has no such lists, and if they name a passage that is not in ``folder``.
    """
    runs, judged = {}, {}
    for split in collection.splits(folder):
        run = _lists(params.official, split)
        named = {pid for ranking in run.values() for pid in ranking.pids}
        unknown = min(named - collection.rows(folder, "passages", named).keys(), default=None)
        if unknown is not None:
            raise UserError(
                f"the official candidates of the {split} split name passage {unknown!r}, which is not in "
                f"{folder / 'passages.parquet'}: use the whole collection, or set candidates to bm25."
            )
        qids = collection.queries(folder, split).qid
        judged[split] = set(qids)
        runs[split] = {
            qid: Ranking(run[qid].pids[: params.depth], run[qid].scores[: params.depth]) for qid in qids if qid in run
        }
        print(f"{split}: {len(qids):,} queries, {len(runs[split]):,} with candidates", file=sys.stderr, flush=True)
    return runs, judged, {"source": "official"}


def _lists(dataset: datasets.Dataset, split: str) -> Run:
    """A dataset's own candidates for a split. Raises ``UserError`` for a kind of dataset that has none."""
    kind = datasets.kind(dataset)
    if not hasattr(kind, "candidates"):
        raise UserError(f"datasets of kind {dataset.kind} have no candidates of their own: set candidates to bm25.")
    return kind.candidates(dataset, split)


def _write(folder: Path, runs: Runs, judged: Judged, about: About, depth: int, output: Path) -> None:
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
            "bm25": "none shares a word with any; write both in one language, with spaces between words (see "
            '"Languages and scripts" in docs/add-a-dataset.md).',
            "official": "the official candidates are for other queries; set candidates to bm25.",
        }
        raise UserError(f"no query of the {split} split finds a passage: {advice[source]}")
    if not any(qrels[qid].get(pid, 0) > 0 for qid, pids in found.items() for pid in pids):
        raise UserError(
            f"no query of the {split} split finds a passage that is relevant to it, so every measure would be 0: raise "
            "the scale's depth, and check that the judgements are for these queries and passages."
        )
