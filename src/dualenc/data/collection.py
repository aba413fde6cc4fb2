"""The dataset folder: every corpus of the project is written, read and checked here.

A folder holds

- ``passages.parquet``: columns ``pid`` and ``text``; the row number is the passage's internal index,
- ``queries.<split>.parquet``: columns ``qid`` and ``text``,
- ``qrels.<split>.tsv``: TREC judgements, ``qid 0 pid rel`` per line,
- ``manifest.json``: where the text comes from, and the rows and MD5 of every file above.

Ids and texts are strings; a passage is relevant to a query when its ``rel`` is 1 or more. In addition to train,
validation and test, a dataset may have further test sets, such as TREC DL 2019 next to MS MARCO's development set:
further splits. A collection may have millions of passages: it is written, checked and read as a stream, and whoever
needs only ids reads no text.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet
from pydantic import BaseModel

from dualenc.data.text import lines
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic_entries, md5, read_json, write_json
from dualenc.runtime.lookup import shown

SPLITS = ("train", "validation", "test")
ID = pa.large_string()  # 64-bit offsets: all ids of a collection together may be long
ROWS_AT_ONCE = 1 << 16  # texts in memory, and in a row group
SPACE = r"\x09-\x0d\x1c-\x1f\x{85}\pZ"  # characters that Python, with which TREC files are read here, splits at

Texts = Iterable[tuple[str, str]]
Judgements = Sequence[tuple[str, str, int]]


def evaluated(splits: Iterable[str]) -> list[str]:
    """The splits of a dataset that models are evaluated on: validation only chooses among models, by its probes."""
    return [split for split in splits if split != "validation"]


def write(
    folder: str | Path, passages: Texts, queries: Mapping[str, Texts], qrels: Mapping[str, Judgements], about: Mapping
) -> None:
    """Check a dataset and write its folder; the manifest comes last, so that its presence means a complete folder.

    ``passages`` are (pid, text), read once and never in memory as a whole, ``queries[split]`` are (qid, text) and
    ``qrels[split]`` are (qid, pid, rel). ``about`` opens the manifest. Raises ``UserError`` as ``check`` does; the
    folder then stays as it was.
    """
    folder = Path(folder)
    splits = dict.fromkeys([*SPLITS, *queries])
    judged = {split: qrels.get(split, []) for split in splits}
    with atomic_entries(folder) as temporary:
        files = {split: temporary / f"queries.{split}.parquet" for split in splits}
        check(
            folder,
            _written(temporary / "passages.parquet", "pid", passages),
            {split: _written(file, "qid", queries.get(split, [])) for split, file in files.items()},
            judged,
        )
        for split, judgements in judged.items():
            rows = [f"{qid} 0 {pid} {rel}\n" for qid, pid, rel in judgements]
            (temporary / f"qrels.{split}.tsv").write_text("".join(rows), encoding="utf-8")
        (folder / "manifest.json").unlink(missing_ok=True)
    texts = ["passages.parquet", *(f"queries.{split}.parquet" for split in splits)]
    rows = {name: parquet.read_metadata(folder / name).num_rows for name in texts}
    rows |= {f"qrels.{split}.tsv": len(judgements) for split, judgements in judged.items()}
    files = {name: {"rows": count, "md5": md5(folder / name)} for name, count in rows.items()}
    write_json(folder / "manifest.json", {**about, "files": files})


class WrittenFile(BaseModel):
    """What ``manifest.json`` must say about a file."""

    rows: int
    md5: str


class Manifest(BaseModel):
    """What ``manifest.json`` must contain."""

    files: dict[str, WrittenFile]


def splits(folder: str | Path) -> list[str]:
    """The splits of a dataset, `SPLITS` and then its further test sets. Raises ``UserError`` if it has no manifest."""
    manifest = Path(folder) / "manifest.json"
    _require(manifest)
    found = [name.split(".")[1] for name in read_json(manifest, Manifest)["files"] if name.startswith("queries.")]
    return [*SPLITS, *(split for split in found if split not in SPLITS)]


def test_sets(folder: str | Path) -> list[str]:
    """The splits that models are tested on: "test" and the further test sets. Raises ``UserError`` as ``splits``."""
    return splits(folder)[SPLITS.index("test") :]


def passages(folder: str | Path, pids: Iterable[str] | None = None) -> pd.DataFrame:
    """The collection, or those of ``pids`` that it has, in its order: columns ``pid`` and ``text``.

    Raises ``UserError`` for a broken file.
    """
    tables = _read(folder, "passages")
    if pids is not None:
        wanted = pa.array(list(pids), pa.string())
        tables = (table.filter(pc.is_in(table["pid"], value_set=wanted)) for table in tables)
    return _concatenated("pid", tables).to_pandas()


def queries(folder: str | Path, split: str) -> pd.DataFrame:
    """The queries of a split: columns ``qid`` and ``text``. Raises ``UserError`` as ``passages`` does."""
    return _concatenated("qid", _read(folder, split)).to_pandas()


def texts(folder: str | Path, name: str) -> Iterator[str]:
    """The texts of "passages" or of the queries of a split, as a stream. Raises ``UserError`` as ``passages`` does."""
    for table in _read(folder, name):
        yield from table["text"].to_pylist()


def ids(folder: str | Path, name: str) -> pa.Array:
    """The ids of "passages" or of the queries of a split. Raises ``UserError`` as ``passages`` does."""
    key = _key(name)
    chunks = [chunk.cast(ID) for table in _read(folder, name, [key]) for chunk in table[key].chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], ID)


def rows(folder: str | Path, name: str, wanted: Iterable[str]) -> dict[str, int]:
    """Row number of each of the ``wanted`` ids that "passages" or the queries of a split have."""
    every = ids(folder, name)
    at = np.flatnonzero(pc.is_in(every, value_set=pa.array(list(wanted), ID)))
    return dict(zip(every.take(pa.array(at)).to_pylist(), at.tolist(), strict=True))


def qrels(folder: str | Path, split: str) -> dict[str, dict[str, int]]:
    """The judgements of a split as qid -> pid -> rel. Raises ``UserError`` as ``read_qrels`` does."""
    return read_qrels(Path(folder) / f"qrels.{split}.tsv")


def read_qrels(file: str | Path) -> dict[str, dict[str, int]]:
    """A file of TREC qrels as qid -> pid -> rel.

    Raises ``UserError`` for a file that `dualenc.data.text` cannot read, and with the line that is not a judgement or
    judges a pair again.
    """
    _require(Path(file))
    judgements: dict[str, dict[str, int]] = {}
    for number, line in lines(file):
        try:
            qid, _, pid, rel = line.split()
            grade = relevance(rel)
        except ValueError:
            raise UserError(
                f"{file}, line {number}: {shown(line)} is not a judgement; write 'qid 0 pid rel' with a whole number "
                "as rel."
            ) from None
        judged = judgements.setdefault(qid, {})
        if pid in judged:
            raise UserError(
                f"{file}, line {number}: the pair qid {qid!r}, pid {pid!r} is judged more than once; keep one "
                "judgement."
            )
        judged[pid] = grade
    return judgements


def relevance(rel: str) -> int:
    """The number of a judgement's ``rel``, such as 2, or -2 for spam.

    Raises ``ValueError`` for what is not a whole number of at most nine digits; ``int`` accepts 1_0 and other scripts.
    """
    if not re.fullmatch("-?[0-9]{1,9}", rel):
        raise ValueError(rel)
    return int(rel)


def check_folder(folder: str | Path) -> None:
    """Check the files of a dataset folder. Raises ``UserError`` as ``check`` and the readers do."""
    check(
        folder,
        _read(folder, "passages"),
        {split: _read(folder, split) for split in splits(folder)},
        {
            split: [(qid, pid, rel) for qid, judged in qrels(folder, split).items() for pid, rel in judged.items()]
            for split in splits(folder)
        },
    )


def check(
    folder: str | Path,
    passages: Iterable[pa.Table],
    queries: Mapping[str, Iterable[pa.Table]],
    qrels: Mapping[str, Judgements],
) -> None:
    """Refuse a dataset that would be misread or could not be evaluated; the tables are parts of its files, in order.

    Raises ``UserError`` for the first of: an id that holds white space, an empty text, an id that is repeated, a split
    without queries, a query that is also in another split, a judgement that is repeated or names an unknown query or
    passage, and a query without a relevant passage. Test sets may share queries, if their text is the same. ``folder``
    is only for the message.
    """
    folder = Path(folder)
    pids = _checked(folder / "passages.parquet", "pid", passages)
    home: dict[str, tuple[str, str]] = {}
    for split, tables in queries.items():
        file = folder / f"queries.{split}.parquet"
        asked = list(tables)
        qids = _checked(file, "qid", asked).to_pylist()
        if not qids:
            raise UserError(f"{file} has no queries; give the {split} split at least one query.")
        texts = [text for table in asked for text in table["text"].to_pylist()]
        for qid, text in zip(qids, texts, strict=True):
            other, known = home.setdefault(qid, (split, text))
            if other != split and (text != known or other in ("train", "validation") or split in SPLITS):
                raise UserError(f"{file}: qid {qid!r} is also in the {other} split; leave it in one of them.")
        _check_qrels(folder / f"qrels.{split}.tsv", qrels[split], set(qids), pids)


def _checked(file: Path, key: str, tables: Iterable[pa.Table]) -> pa.ChunkedArray:
    """The ids of all texts, once all are found to be as they should."""
    chunks = []
    for table in tables:
        identifiers = table[key]
        spaced = pc.or_(pc.equal(identifiers, ""), pc.match_substring_regex(identifiers, f"[{SPACE}]"))
        for one in identifiers.filter(spaced)[:1].to_pylist():
            raise UserError(f"{file}: {key} {one!r} is empty or contains white space; TREC files need ids without any.")
        blank = pc.invert(pc.match_substring_regex(table["text"], f"[^{SPACE}]"))
        for one in identifiers.filter(blank)[:1].to_pylist():
            raise UserError(f"{file}: the text of {key} {one!r} is empty; add its text or drop the row.")
        chunks += identifiers.chunks
    every = pa.chunked_array(chunks, pa.string())
    counts = pc.value_counts(every)
    for one in counts.filter(pc.greater(counts.field("counts"), 1))[:1].to_pylist():
        raise UserError(f"{file}: {key} {one['values']!r} occurs more than once; give every row its own {key}.")
    return every


def _check_qrels(file: Path, judgements: Judgements, qids: set[str], pids: pa.ChunkedArray) -> None:
    times = Counter((qid, pid) for qid, pid, _ in judgements)
    for qid, pid in (pair for pair, count in times.items() if count > 1):
        raise UserError(f"{file}: the pair qid {qid!r}, pid {pid!r} is judged more than once; keep one judgement.")
    judged = pa.array(list({pid for _, pid, _ in judgements}), pa.string())
    known = set(pids.filter(pc.is_in(pids, value_set=judged)).to_pylist())
    texts = file.name.replace("qrels", "queries").replace(".tsv", ".parquet")
    for qid, pid, _ in judgements:
        if qid not in qids:
            raise UserError(f"{file}: qid {qid!r} is not in {texts}; add it there or drop its judgements.")
        if pid not in known:
            raise UserError(f"{file}: pid {pid!r} is not in passages.parquet; add it there or drop its judgements.")
    unanswered = qids - {qid for qid, _, rel in judgements if rel >= 1}
    if unanswered:
        raise UserError(f"{file}: qid {min(unanswered)!r} has no passage with rel >= 1; judge one or drop the query.")


def _schema(key: str) -> pa.Schema:
    return pa.schema([(key, pa.string()), ("text", pa.string())])


def _concatenated(key: str, tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([_schema(key).empty_table(), *tables])


def _written(file: Path, key: str, texts: Texts) -> Iterator[pa.Table]:
    """(id, text) in tables of a row group each, written to ``file`` along the way."""
    rest = iter(texts)
    with parquet.ParquetWriter(file, _schema(key)) as writer:
        while some := list(islice(rest, ROWS_AT_ONCE)):
            table = pa.table([pa.array(column, pa.string()) for column in zip(*some, strict=True)], _schema(key))
            writer.write_table(table)
            yield table


def _key(name: str) -> str:
    return "pid" if name == "passages" else "qid"


def _read(folder: str | Path, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Id and text, or some ``columns``, of "passages" or of the queries of a split, in tables of a row group each."""
    key = _key(name)
    file = Path(folder) / ("passages.parquet" if name == "passages" else f"queries.{name}.parquet")
    _require(file)
    try:
        with parquet.ParquetFile(file) as opened:
            _check_columns(file, key, opened.schema_arrow)
            wanted = columns or _schema(key).names
            start = 0
            for batch in opened.iter_batches(ROWS_AT_ONCE, columns=wanted):
                table = pa.Table.from_batches([batch]).select(wanted)
                for column in wanted:
                    if table[column].null_count:
                        row = start + int(np.argmax(table[column].is_null()))
                        raise UserError(f"{file}: column {column!r} has no value in row {row}; add it or drop the row.")
                start += len(table)
                yield table.cast(pa.schema([_schema(key).field(column) for column in wanted]))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{file} is not a readable parquet file ({error}); write it again.") from None


def _check_columns(file: Path, key: str, schema: pa.Schema) -> None:
    for column in (key, "text"):
        if column not in schema.names:
            raise UserError(f"{file} has no column {column!r}, only {schema.names}; add or rename the column.")
        kind = schema.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UserError(f"{file}: column {column!r} holds {kind}; write it as strings.")


def _require(file: Path) -> None:
    if not file.exists():
        raise UserError(f"{file} does not exist; write the dataset first or correct the folder's path.")
