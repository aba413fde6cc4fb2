"""A collection in tab-separated files, as MS MARCO and most shared tasks publish them; plain, .gz or .xz.

- ``collection.tsv``: pid, text
- ``queries.<split>.tsv``: qid, text
- ``qrels.<split>.tsv``: qid, 0, pid, rel (TREC judgements)

Passages may be cut into parts of ``max_words`` words, so that retrieval and the encoders see the same text: part n of
passage ``p`` is ``p-n``, and relevant where ``p`` is.
"""

import gzip
import lzma
from collections.abc import Iterator, Mapping
from pathlib import Path

from dualenc import datasets
from dualenc.datasets import SPLITS
from dualenc.errors import UserError
from dualenc.sampling import in_hash_order

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

    A split keeps at most ``max_queries`` queries, and the collection at most ``max_passages`` passages (before they are
    cut): all that are judged for these queries, however many, and then others. Both samples are by hash of the id.
    Raises ``UserError`` for a missing file, a line without the right columns, and what ``datasets.check`` refuses.
    """
    path = Path(path)
    texts = dict(_texts(path, "collection"))
    queries, judged = {}, {}
    for split in SPLITS:
        asked = dict(_texts(path, f"queries.{splits[split]}"))
        queries[split] = {qid: asked[qid] for qid in in_hash_order(list(asked))[: int(max_queries[split])]}
        judged[split] = [row for row in _qrels(path, f"qrels.{splits[split]}") if row[0] in queries[split]]
    needed = list(dict.fromkeys(pid for split in SPLITS for _, pid, _ in judged[split]))
    known = set(needed)
    others = [pid for pid in in_hash_order(list(texts)) if pid not in known] if max_passages != 0 else []
    room = len(others) if max_passages is None else max(0, max_passages - len(needed))
    kept = [*needed, *others[:room]]
    unknown = next((pid for pid in needed if pid not in texts), None)
    if unknown is not None:
        raise UserError(f"{path}: the qrels name pid {unknown!r}, which is not in collection.tsv; add it there.")
    parts = {pid: _parts(pid, texts[pid], max_words) for pid in kept}
    datasets.write(
        folder,
        [part for pid in kept for part in parts[pid]],
        {split: list(queries[split].items()) for split in SPLITS},
        {split: [(qid, part, rel) for qid, pid, rel in judged[split] for part, _ in parts[pid]] for split in SPLITS},
        {"kind": "tsv", "max_words": max_words, "splits": dict(splits)},
    )


def _parts(pid: str, text: str, max_words: int | None) -> list[tuple[str, str]]:
    words = text.split()
    if max_words is None:
        return [(pid, text)]
    starts = range(0, max(1, len(words)), max_words)
    return [(f"{pid}-{number}", " ".join(words[at : at + max_words])) for number, at in enumerate(starts)]


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
    files = [path / f"{name}.tsv{suffix}" for suffix in OPEN]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise UserError(f"{files[0]} (or .gz, .xz) does not exist: put it there or correct the dataset's path.")
    with OPEN[file.suffix if file.suffix in OPEN else ""](file, "rt", encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            row = line.rstrip("\r\n").split("\t")
            if len(row) != len(columns):
                raise UserError(f"{file}, line {number}: {len(row)} columns; write {', '.join(columns)} between tabs.")
            yield row
