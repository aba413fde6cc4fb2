"""Any collection that ir_datasets knows (MacAvaney et al., 2021), by its ids: MS MARCO, TREC DL, BEIR and many more.

ir_datasets downloads what is missing to the user's ``IR_DATASETS_HOME``, checks it against its own checksums, and
prints the licences. A text is what the library calls its default: title and text where a document has both.

The library takes a second to import, so that is left to the functions that use it: every command reads this module's
``Parameters``.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dualenc.data import selection
from dualenc.data.runs import Run, ranked
from dualenc.data.selection import MaxQueries, Sets
from dualenc.runtime.errors import UserError
from dualenc.runtime.progress import Progress
from dualenc.runtime.values import Limit, Strict, whole

if TYPE_CHECKING:
    import ir_datasets

Qrels = dict[str, dict[str, int]]


RIGHTS = (
    "The manifest names no licence: ir_datasets prints the terms of each collection that it downloads; those of MS "
    "MARCO are for non-commercial research only."
)


class Parameters(Strict):
    """Ids of ir_datasets. ``encoding`` is a choice for MS MARCO's passages only."""

    kind: Literal["ir_datasets"]
    splits: Sets
    encoding: Literal["raw", "fixed"] = "fixed"
    max_words: Limit
    max_passages: whole(0, null="all")
    max_queries: MaxQueries


def build(folder: str | Path, parameters: Parameters, workers: int = 1) -> None:
    """Write the dataset whose splits have these ids; its passages are those of the test id's collection.

    Official query sets hold queries that nobody judged. What cannot be used is left out and counted, on stderr and in
    the manifest: queries without a relevant passage in the collection, and empty texts. Samples are those of
    `dualenc.data.selection`. ``encoding`` is "fixed", the library's texts, or "raw": MS MARCO's passages as they
    were published, in which some characters were encoded twice.

    Raises ``UserError`` for an unknown id, one without passages, queries or judgements, files that cannot be
    downloaded, "raw" for a collection other than MS MARCO's, and what ``collection.check`` refuses.
    """
    import ir_datasets

    splits, encoding, max_queries = parameters.splits, parameters.encoding, parameters.max_queries.model_dump()
    texts = partial(_passages, splits["test"], encoding)
    filled = {pid: bool(text) for pid, text in texts()}
    pids = [pid for pid, has_text in filled.items() if has_text]
    known = set(pids)
    queries, judged, counts = {}, {}, {}
    for split, identifier in splits.items():
        asked, qrels, counts[split] = _asked(identifier, split, max_queries)
        found = {qid for qid in asked if any(rel >= 1 and pid in known for pid, rel in qrels[qid].items())}
        queries[split] = {qid: text for qid, text in asked.items() if qid in found}
        judged[split] = [(qid, pid, rel) for qid in queries[split] for pid, rel in qrels[qid].items() if pid in known]
        counts[split] |= {"relevant passage not in the collection": len(asked) - len(found), "kept": len(found)}
        judgements = sum(len(qrels[qid]) for qid in queries[split])
        counts[split] |= {"judgements": judgements, "of passages in the collection": len(judged[split])}
    kept = selection.passages(pids, judged, parameters.max_passages)
    counts["passages"] = {"in the collection": len(filled), "empty": len(filled) - len(pids), "kept": len(kept)}
    selection.report(counts)
    about = {"kind": "ir_datasets", "version": ir_datasets.__version__, "splits": dict(splits), "encoding": encoding}
    about["counts"] = counts
    selection.write(folder, texts(len(filled)), kept, queries, judged, parameters.max_words, about)


def packages(parameters: Parameters) -> list[str]:
    """The installed packages that decide the text."""
    return ["ir_datasets"]


def origin(manifest: Mapping[str, Any]) -> str:
    """Where a manifest says that the texts come from."""
    splits = ", ".join(f"{split}: {name}" for split, name in manifest["splits"].items())
    return f"ir_datasets {manifest['version']} ({splits})"


def candidates(parameters: Parameters, split: str) -> Run:
    """The candidates that the dataset itself gives for the queries of a split: ir_datasets' ``scoreddocs``.

    Lists without scores, such as MS MARCO's, say nothing about the order: all their scores are equal. Raises
    ``UserError`` for a split without such lists, and if passages are left out or cut, as these lists name whole ones.
    """
    if parameters.max_words is not None or parameters.max_passages is not None:
        raise UserError(
            "official candidates are whole passages of the whole collection: set max_words and max_passages of the "
            "dataset to null, or the scale's candidates to bm25."
        )
    from dualenc.data.ir_datasets_errors import explained

    identifier = parameters.splits[split]
    asked, _, _ = _asked(identifier, split, parameters.max_queries.model_dump())
    lists: dict[str, tuple[list[str], list[float]]] = {qid: ([], []) for qid in asked}
    progress = Progress(identifier, "candidates")
    with explained(identifier):
        dataset = _load(identifier)
        if not dataset.has_scoreddocs():
            raise UserError(
                f"{identifier}, the {split} split, has no candidate lists (scoreddocs) in ir_datasets: set the "
                "scale's candidates to bm25."
            )
        for row in dataset.scoreddocs_iter():
            progress.advance()
            if row.query_id in lists:
                pids, scores = lists[row.query_id]
                pids.append(row.doc_id)
                scores.append(row.score)
    return {qid: ranked(qid, pids, scores) for qid, (pids, scores) in lists.items() if pids}


def _load(identifier: str) -> "ir_datasets.Dataset":
    """The dataset of an id. Raises ``UserError`` with the ids most like an unknown one."""
    import ir_datasets

    try:
        return ir_datasets.load(identifier)
    except KeyError:
        near = difflib.get_close_matches(identifier, list(ir_datasets.registry), n=3)
        meant = f"; did you mean {' or '.join(near)}?" if near else ": `ir_datasets list` shows all of them."
        raise UserError(f"ir_datasets has no {identifier!r}{meant}") from None


def _passages(identifier: str, encoding: str, total: int | None = None) -> Iterator[tuple[str, str]]:
    """(pid, text) of every passage; the text may be empty."""
    import ir_datasets
    from ir_datasets.datasets import msmarco_passage

    from dualenc.data.ir_datasets_errors import explained

    with explained(identifier):
        dataset = _load(identifier)
        if not dataset.has_docs():
            raise UserError(f"{identifier} has no documents in ir_datasets: name an id with some for the test split.")
        rows = ((doc.doc_id, doc.default_text()) for doc in dataset.docs_iter())
        if encoding == "raw":
            if ir_datasets.docs_parent_id(identifier) != msmarco_passage.NAME:
                raise UserError(
                    f"encoding = 'raw' is only for the collection {msmarco_passage.NAME}, and {identifier} "
                    "belongs to another one: leave encoding out."
                )
            rows = _raw_msmarco()
        progress = Progress(identifier, "passages", total)
        for pid, text in rows:
            progress.advance()
            yield pid, text.strip()


def _raw_msmarco() -> Iterator[tuple[str, str]]:
    """(pid, text) of MS MARCO's passages as published; ir_datasets' iterator mends characters encoded twice."""
    import ir_datasets
    from ir_datasets.datasets import msmarco_passage
    from ir_datasets.util import DownloadConfig, TarExtract

    home = ir_datasets.util.home_path() / msmarco_passage.NAME
    files = DownloadConfig.context(msmarco_passage.NAME, home, dua=msmarco_passage.DUA)
    with TarExtract(files["collectionandqueries"], "collection.tsv").stream() as lines:
        for line in lines:
            pid, text = line.decode().rstrip("\n").split("\t")
            yield pid, text


def _asked(
    identifier: str, split: str, max_queries: Mapping[str, int | None]
) -> tuple[dict[str, str], Qrels, dict[str, int]]:
    """Queries of a split with a relevant passage (qid -> text), all judgements, and counts of what was left out."""
    from dualenc.data.ir_datasets_errors import explained

    with explained(identifier):
        dataset = _load(identifier)
        for having, what in ((dataset.has_queries(), "queries"), (dataset.has_qrels(), "judgements (qrels)")):
            if not having:
                raise UserError(f"{identifier}, the {split} split, has no {what} in ir_datasets: name an id with some.")
        queries = {query.query_id: query.default_text().strip() for query in dataset.queries_iter()}
        qrels: Qrels = {}
        for row in dataset.qrels_iter():
            qrels.setdefault(row.query_id, {})[row.doc_id] = row.relevance
    counts = {"queries": len(queries)}
    reasons: dict[str, Callable[[str], bool]] = {
        "empty": lambda qid: not queries[qid],
        "not judged": lambda qid: qid not in qrels,
        "no relevant passage": lambda qid: max(qrels[qid].values()) < 1,
    }
    left = list(queries)
    for reason, applies in reasons.items():
        counts[reason] = len(left)
        left = [qid for qid in left if not applies(qid)]
        counts[reason] -= len(left)
    sample = selection.sample({qid: queries[qid] for qid in left}, split, max_queries)
    return sample, qrels, counts | {"beyond max_queries": len(left) - len(sample)}
