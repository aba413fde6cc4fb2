"""A collection in tab-separated files, as MS MARCO and most shared tasks publish them; plain, .gz or .xz.

- ``collection.tsv``: pid, text
- ``queries.<split>.tsv``: qid, text
- ``qrels.<split>.tsv``: qid, 0, pid, rel (TREC judgements)
"""

import gzip
import lzma
from collections.abc import Iterator, Mapping
from pathlib import Path

from dualenc import sources
from dualenc.datasets import selection
from dualenc.errors import UserError

OPEN = {"": open, ".gz": gzip.open, ".xz": lzma.open}


def build(
    folder: str | Path,
    *,
    path: str | Path,
    splits: Mapping[str, str],
    max_words: int | None,
    max_passages: int | None,
    max_queries: Mapping[str, int],
) -> None:
    """Write the dataset of the files in ``path``; ``splits`` maps our names of the splits to the files'.

    A split keeps at most ``max_queries`` queries, and the collection at most ``max_passages`` passages before they are
    cut (`dualenc.datasets.selection`). Raises ``UserError`` for a missing file, a line without the right columns, and
    what ``datasets.check`` refuses.
    """
    path = Path(path)
    pids = [pid for pid, _ in _texts(path, "collection")]
    known = set(pids)
    queries, judged, counts = {}, {}, {}
    for split, name in splits.items():
        asked = dict(_texts(path, f"queries.{name}"))
        queries[split] = selection.sample(asked, split, max_queries)
        judged[split] = [row for row in _qrels(path, f"qrels.{name}") if row[0] in queries[split]]
        unknown = next((pid for _, pid, _ in judged[split] if pid not in known), None)
        if unknown is not None:
            raise UserError(f"{path}: the qrels name pid {unknown!r}, which is not in collection.tsv; add it there.")
        counts[split] = {"queries": len(asked), "kept": len(queries[split])}
    kept = selection.passages(pids, judged, max_passages)
    counts["passages"] = {"in the collection": len(pids), "kept": len(kept)}
    selection.report(counts)
    made_of = sources.described(sources.tsv_files(path, splits))
    about = {"kind": "tsv", "splits": dict(splits), "sources": made_of, "counts": counts}
    selection.write(folder, _texts(path, "collection"), kept, queries, judged, max_words, about)


def _texts(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """(id, text) of every line. Raises ``UserError`` if an id comes twice."""
    seen = set()
    for identifier, text in _rows(path, name, ["id", "text"]):
        if identifier in seen:
            raise UserError(f"{path / name}.tsv: id {identifier!r} occurs more than once; give every row its own id.")
        seen.add(identifier)
        yield identifier, text


def _qrels(path: Path, name: str) -> Iterator[tuple[str, str, int]]:
    """(qid, pid, rel) of every line. Raises ``UserError`` if a rel is no integer."""
    for number, (qid, _, pid, rel) in enumerate(_rows(path, name, ["qid", "0", "pid", "rel"]), start=1):
        try:
            yield qid, pid, int(rel)
        except ValueError:
            raise UserError(f"{path / name}.tsv, line {number}: rel {rel!r} is no integer; write 0, 1, ...") from None


def _rows(path: Path, name: str, columns: list[str]) -> Iterator[list[str]]:
    """The columns of every line of ``<name>.tsv``, plain or compressed."""
    file = sources.tsv_file(path, name)
    with OPEN[file.suffix if file.suffix in OPEN else ""](file, "rt", encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            row = line.rstrip("\r\n").split("\t")
            if len(row) != len(columns):
                raise UserError(f"{file}, line {number}: {len(row)} columns; write {', '.join(columns)} between tabs.")
            yield row
