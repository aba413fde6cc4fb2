"""The dataset folder: every corpus of the project is written, read and checked here.

A folder holds

- ``passages.parquet``: columns ``pid`` and ``text``; the row number is the passage's internal index,
- ``queries.<split>.parquet``: columns ``qid`` and ``text``,
- ``qrels.<split>.tsv``: TREC judgements, ``qid 0 pid rel`` per line,
- ``manifest.json``: where the text comes from, and the rows and MD5 of every file above.

Ids and texts are strings; a passage is relevant to a query when its ``rel`` is 1 or more. Beside train, validation and
test a dataset may have further test sets, such as TREC DL 2019 beside MS MARCO's development set: further splits.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from pandas.api.types import is_string_dtype
from pyarrow import ArrowInvalid

from dualenc.errors import UserError
from dualenc.files import atomic, md5, read_json, write_json

SPLITS = ("train", "validation", "test")

Texts = list[tuple[str, str]]
Judgements = list[tuple[str, str, int]]


def write(
    folder: str | Path, passages: Texts, queries: dict[str, Texts], qrels: dict[str, Judgements], about: dict
) -> None:
    """Check a dataset, then write its folder; the manifest comes last, so that its presence means complete.

    ``passages`` are (pid, text), ``queries[split]`` are (qid, text) and ``qrels[split]`` are (qid, pid, rel).
    ``about`` opens the manifest. Raises ``UserError`` as ``check`` does, before anything is written.
    """
    folder = Path(folder)
    check(folder, passages, queries, qrels)
    (folder / "manifest.json").unlink(missing_ok=True)
    rows = {"passages.parquet": len(passages)}
    _write_texts(folder / "passages.parquet", "pid", passages)
    for split in queries:
        rows |= {f"queries.{split}.parquet": len(queries[split]), f"qrels.{split}.tsv": len(qrels[split])}
        _write_texts(folder / f"queries.{split}.parquet", "qid", queries[split])
        with atomic(folder / f"qrels.{split}.tsv") as temporary:
            temporary.write_text("".join(f"{qid} 0 {pid} {rel}\n" for qid, pid, rel in qrels[split]))
    files = {name: {"rows": count, "md5": md5(folder / name)} for name, count in rows.items()}
    write_json(folder / "manifest.json", about | {"files": files})


def splits(folder: str | Path) -> list[str]:
    """The splits of a dataset, `SPLITS` and then its further test sets. Raises ``UserError`` if it has no manifest."""
    manifest = Path(folder) / "manifest.json"
    _require(manifest)
    found = [name.split(".")[1] for name in read_json(manifest)["files"] if name.startswith("queries.")]
    return [*SPLITS, *(split for split in found if split not in SPLITS)]


def test_sets(folder: str | Path) -> list[str]:
    """The splits that models are tested on: "test" and the further test sets. Raises ``UserError`` as ``splits``."""
    return splits(folder)[SPLITS.index("test") :]


def passages(folder: str | Path) -> pd.DataFrame:
    """The collection: columns ``pid`` and ``text``. Raises ``UserError`` for a broken file."""
    return _read_texts(Path(folder) / "passages.parquet", "pid")


def queries(folder: str | Path, split: str) -> pd.DataFrame:
    """The queries of a split: columns ``qid`` and ``text``. Raises ``UserError`` as ``passages`` does."""
    return _read_texts(Path(folder) / f"queries.{split}.parquet", "qid")


def qrels(folder: str | Path, split: str) -> dict[str, dict[str, int]]:
    """The judgements of a split as qid -> pid -> rel. Raises ``UserError`` as ``read_qrels`` does."""
    return read_qrels(Path(folder) / f"qrels.{split}.tsv")


def read_qrels(file: str | Path) -> dict[str, dict[str, int]]:
    """A file of TREC qrels as qid -> pid -> rel. Raises ``UserError`` with the line that is no judgement."""
    judgements: dict[str, dict[str, int]] = {}
    for qid, pid, rel in _qrels_lines(Path(file)):
        judgements.setdefault(qid, {})[pid] = rel
    return judgements


def check_folder(folder: str | Path) -> None:
    """Check the files of a dataset folder. Raises ``UserError`` as ``check`` and the readers do."""
    check(
        folder,
        _tuples(passages(folder)),
        {split: _tuples(queries(folder, split)) for split in splits(folder)},
        {split: _qrels_lines(Path(folder) / f"qrels.{split}.tsv") for split in splits(folder)},
    )


def check(folder: str | Path, passages: Texts, queries: dict[str, Texts], qrels: dict[str, Judgements]) -> None:
    """Refuse a dataset that would be misread or could not be evaluated.

    Raises ``UserError`` for the first of: an id that is repeated or holds white space, an empty text, a split
    without queries, a query that is also in another split, a judgement that is repeated or names an unknown
    query or passage, and a query without a relevant passage. Test sets may share queries, if their text is the same.
    ``folder`` only serves the message.
    """
    folder = Path(folder)
    _check_texts(folder / "passages.parquet", "pid", passages)
    pids = {pid for pid, _ in passages}
    home: dict[str, tuple[str, str]] = {}
    for split in dict.fromkeys([*SPLITS, *queries]):
        file = folder / f"queries.{split}.parquet"
        if not queries.get(split):
            raise UserError(f"{file} has no queries; give the {split} split at least one query.")
        _check_texts(file, "qid", queries[split])
        for qid, text in queries[split]:
            other, known = home.setdefault(qid, (split, text))
            if other != split and (text != known or other in ("train", "validation") or split in SPLITS):
                raise UserError(f"{file}: qid {qid!r} is also in the {other} split; leave it in one of them.")
        qids = {qid for qid, _ in queries[split]}
        _check_qrels(folder / f"qrels.{split}.tsv", qrels.get(split, []), qids, pids)


def _check_texts(file: Path, key: str, texts: Texts) -> None:
    repeated = _repeated(identifier for identifier, _ in texts)
    if repeated is not None:
        raise UserError(f"{file}: {key} {repeated!r} occurs more than once; give every row its own {key}.")
    for identifier, text in texts:
        if len(identifier.split()) != 1 or identifier.strip() != identifier:
            raise UserError(
                f"{file}: {key} {identifier!r} is empty or holds white space; TREC files need ids without it."
            )
        if not text.strip():
            raise UserError(f"{file}: the text of {key} {identifier!r} is empty; add its text or drop the row.")


def _check_qrels(file: Path, judgements: Judgements, qids: set[str], pids: set[str]) -> None:
    repeated = _repeated((qid, pid) for qid, pid, _ in judgements)
    if repeated is not None:
        qid, pid = repeated
        raise UserError(f"{file}: the pair qid {qid!r}, pid {pid!r} is judged more than once; keep one judgement.")
    texts = file.name.replace("qrels", "queries").replace(".tsv", ".parquet")
    for qid, pid, _ in judgements:
        if qid not in qids:
            raise UserError(f"{file}: qid {qid!r} is not in {texts}; add it there or drop its judgements.")
        if pid not in pids:
            raise UserError(f"{file}: pid {pid!r} is not in passages.parquet; add it there or drop its judgements.")
    unanswered = qids - {qid for qid, _, rel in judgements if rel >= 1}
    if unanswered:
        raise UserError(f"{file}: qid {min(unanswered)!r} has no passage with rel >= 1; judge one or drop the query.")


def _repeated(keys: Iterable) -> object | None:
    return next((key for key, count in Counter(keys).items() if count > 1), None)


def _write_texts(file: Path, key: str, texts: Texts) -> None:
    with atomic(file) as temporary:
        pd.DataFrame(texts, columns=[key, "text"], dtype="str").to_parquet(temporary, index=False)


def _read_texts(file: Path, key: str) -> pd.DataFrame:
    _require(file)
    try:
        frame = pd.read_parquet(file)
    except (ArrowInvalid, OSError) as error:
        raise UserError(f"{file} is not a readable parquet file ({error}); write it again.") from None
    for column in (key, "text"):
        if column not in frame:
            raise UserError(f"{file} has no column {column!r} but {list(frame)}; add or rename the column.")
        if not is_string_dtype(frame[column]):
            raise UserError(f"{file}: column {column!r} holds {frame[column].dtype}; write it as strings.")
        if frame[column].isna().any():
            row = frame[column].isna().argmax()
            raise UserError(f"{file}: column {column!r} has no value in row {row}; add it or drop the row.")
    return frame[[key, "text"]]


def _qrels_lines(file: Path) -> Judgements:
    _require(file)
    judgements = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        try:
            qid, _, pid, rel = line.split()
            judgements.append((qid, pid, int(rel)))
        except ValueError:
            raise UserError(
                f"{file}, line {number}: {line!r} is no judgement; write 'qid 0 pid rel' with an integer rel."
            ) from None
    return judgements


def _require(file: Path) -> None:
    if not file.is_file():
        raise UserError(f"{file} does not exist; write the dataset first or correct the folder's path.")


def _tuples(frame: pd.DataFrame) -> Texts:
    return list(frame.itertuples(index=False, name=None))
