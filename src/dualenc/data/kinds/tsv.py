"""A collection in tab-separated files, as MS MARCO and most shared tasks publish them; plain, .gz, .xz, .bz2 or .zst.

- ``collection.tsv``: pid, text
- ``queries.<split>.tsv``: qid, text
- ``qrels.<split>.tsv``: qid, 0, pid, rel (TREC judgements)

What is between the tabs is taken as is: quotes and backslashes mean nothing.
"""

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from dualenc.data import selection, sources
from dualenc.data.collection import Judgements, relevance
from dualenc.data.selection import MaxQueries, Sets
from dualenc.data.text import lines, only_form
from dualenc.runtime.errors import UserError
from dualenc.runtime.values import Limit, Strict, Text, whole

RIGHTS = "The manifest names no licence: the files were supplied by whoever trained the model."


class Parameters(Strict):
    """Tab-separated files: collection, queries and qrels."""

    kind: Literal["tsv"]
    path: Text
    splits: Sets
    max_words: Limit
    max_passages: whole(0, null="all")
    max_queries: MaxQueries


def build(folder: str | Path, parameters: Parameters, workers: int = 1) -> None:
    """Write the dataset of the files in ``parameters.path``.

    A split keeps at most ``max_queries`` queries, and the collection at most ``max_passages`` passages before they are
    cut (`dualenc.data.selection`); judgements of other queries are left out and counted. Raises ``UserError`` as
    ``files`` and `dualenc.data.text` do, with the line that lacks a column, judges a pair again or names a
    query or passage that the files do not have, and for what ``collection.check`` refuses.
    """
    path, splits, max_queries = parameters.path, parameters.splits, parameters.max_queries.model_dump()
    made_of = sources.described(files(parameters))
    pids = [pid for pid, _ in _texts(path, "collection")]
    known = set(pids)
    queries, judged, counts = {}, {}, {}
    for split, name in splits.items():
        asked = dict(_texts(path, f"queries.{name}"))
        queries[split] = selection.sample(asked, split, max_queries)
        every = _qrels(path, name, asked, known)
        judged[split] = [row for row in every if row[0] in queries[split]]
        counts[split] = {"queries": len(asked), "kept": len(queries[split])}
        counts[split] |= {"judgements": len(every), "of queries kept": len(judged[split])}
    kept = selection.passages(pids, judged, parameters.max_passages)
    counts["passages"] = {"in the collection": len(pids), "kept": len(kept)}
    selection.report(counts)
    about = {"kind": "tsv", "splits": dict(splits), "sources": made_of, "counts": counts}
    selection.write(folder, _texts(path, "collection"), kept, queries, judged, parameters.max_words, about)


def files(parameters: Parameters) -> list[Path]:
    """The files of the collection: the passages, then queries and judgements of each split.

    Raises ``UserError`` as ``text.opened`` does, and if one is there in two forms.
    """
    splits = parameters.splits.values()
    names = ["collection", *(f"{kind}.{name}" for kind in ("queries", "qrels") for name in splits)]
    return [_file(parameters.path, name) for name in dict.fromkeys(names)]


def places(parameters: Parameters) -> list[Path]:
    """Where params.yaml says that the files are: their folder."""
    return [Path(parameters.path)]


def origin(manifest: Mapping[str, Any]) -> str:
    """Where a manifest says that the texts come from."""
    splits = ", ".join(f"{split}: {name}" for split, name in manifest["splits"].items())
    return f"tab-separated files ({splits})"


def _file(path: str | Path, name: str) -> Path:
    """The file ``<name>.tsv`` of a folder, plain or compressed."""
    return sources.at(only_form(Path(path) / f"{name}.tsv"))


def _texts(path: str | Path, name: str) -> Iterator[tuple[str, str]]:
    """(id, text) of every line. Raises ``UserError`` if an id comes twice."""
    seen = set()
    for where, (identifier, text) in _rows(path, name, ["id", "text"]):
        if identifier in seen:
            raise UserError(f"{where}: id {identifier!r} occurs more than once; give every row its own id.")
        seen.add(identifier)
        yield identifier, text


def _qrels(path: str | Path, name: str, qids: Container[str], pids: Container[str]) -> Judgements:
    """(qid, pid, rel) of every line of a split's qrels, of which ``qids`` and ``pids`` are all queries and passages."""
    judged: dict[tuple[str, str], int] = {}
    for where, (qid, _, pid, rel) in _rows(path, f"qrels.{name}", ["qid", "0", "pid", "rel"]):
        if qid not in qids:
            raise UserError(f"{where}: qid {qid!r} is not in queries.{name}.tsv; add it there or drop its judgements.")
        if pid not in pids:
            raise UserError(f"{where}: pid {pid!r} is not in collection.tsv; add it there or drop its judgements.")
        if (qid, pid) in judged:
            raise UserError(f"{where}: the pair qid {qid!r}, pid {pid!r} is judged more than once; keep one judgement.")
        try:
            judged[qid, pid] = relevance(rel)
        except ValueError:
            raise UserError(f"{where}: rel {rel!r} is not a whole number; write 0, 1, ...") from None
    return [(*pair, rel) for pair, rel in judged.items()]


def _rows(path: str | Path, name: str, columns: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The columns of every line of ``<name>.tsv``, and where the line is."""
    file = _file(path, name)
    for number, line in lines(file):
        row = line.split("\t")
        if len(row) != len(columns):
            raise UserError(f"{file}, line {number}: {len(row)} columns; write {', '.join(columns)} between tabs.")
        yield f"{file}, line {number}", row
