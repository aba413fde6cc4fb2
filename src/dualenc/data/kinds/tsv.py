"""A collection in tab-separated files, as MS MARCO and most shared tasks publish them; plain, .gz, .xz, .bz2 or .zst.

- ``collection.tsv``: pid, text
- ``queries.<split>.tsv``: qid, text
- ``qrels.<split>.tsv``: qid, 0, pid, rel (TREC judgements)

What stands between the tabs is taken as it is: quotes and backslashes mean nothing.
"""

from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from dualenc.data import sources
from dualenc.data.collection import Judgements, relevance
from dualenc.data.kinds import selection
from dualenc.data.text import lines
from dualenc.runtime.errors import UserError


def build(
    folder: str | Path,
    *,
    path: str | Path,
    splits: Mapping[str, str],
    max_words: int | None,
    max_passages: int | None,
    max_queries: Mapping[str, int | None],
) -> None:
    """Write the dataset of the files in ``path``; ``splits`` maps our names of the splits to the files'.

    A split keeps at most ``max_queries`` queries, and the collection at most ``max_passages`` passages before they are
    cut (`dualenc.data.kinds.selection`); judgements of other queries are left out and counted. Raises ``UserError`` as
    ``sources.tsv_files`` and `dualenc.data.text` do, with the line that lacks a column, judges a pair again or names a
    query or passage that the files do not have, and for what ``collection.check`` refuses.
    """
    made_of = sources.described(sources.tsv_files(path, splits))
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
    kept = selection.passages(pids, judged, max_passages)
    counts["passages"] = {"in the collection": len(pids), "kept": len(kept)}
    selection.report(counts)
    about = {"kind": "tsv", "splits": dict(splits), "sources": made_of, "counts": counts}
    selection.write(folder, _texts(path, "collection"), kept, queries, judged, max_words, about)


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
    file = sources.tsv_file(path, name)
    for number, line in lines(file):
        row = line.split("\t")
        if len(row) != len(columns):
            raise UserError(f"{file}, line {number}: {len(row)} columns; write {', '.join(columns)} between tabs.")
        yield f"{file}, line {number}", row
