"""The text behind ids, cut to what a table can show."""

import textwrap
from collections.abc import Iterable
from pathlib import Path

from dualenc.data import frames
from dualenc.runtime.errors import UserError


def passages(folder: Path, pids: Iterable[str]) -> dict[str, str]:
    """pid -> text of these passages of a dataset folder. Raises `UserError` as `_texts` does."""
    return _texts(folder / "passages.parquet", "pid", pids)


def queries(folder: Path, split: str, qids: Iterable[str]) -> dict[str, str]:
    """qid -> text of these queries of a split. Raises `UserError` as `_texts` does."""
    return _texts(folder / f"queries.{split}.parquet", "qid", qids)


def _texts(path: Path, key: str, wanted: Iterable[str]) -> dict[str, str]:
    """Only the rows that are asked for are read: a collection may have millions."""
    wanted = sorted(set(wanted))
    if not wanted:
        return {}
    columns = {key: frames.text, "text": frames.text}
    frame = frames.read(path, columns, "make the dataset first", filters=[(key, "in", wanted)])
    found = dict(zip(frame[key], frame.text, strict=True))
    missing = [identifier for identifier in wanted if identifier not in found]
    if missing:
        raise UserError(
            f"{path} has no {key} {missing[0]!r}, which a run names: make the runs again from this dataset."
        )
    return found


def shortened(text: str, characters: int) -> str:
    """``text`` on one line, cut after the last word that fits into ``characters``, without unprintable characters."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return textwrap.shorten(printable, characters, placeholder=" …")
