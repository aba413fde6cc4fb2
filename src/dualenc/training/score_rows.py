"""The rows of a file of published teacher scores (`published_scores`): read, checked, dealt into parts.

A block of lines is parsed by Arrow; only where that fails, finds a value missing or would take as a number what is not
written as one is every line of the block checked in Python, to tell what is wrong with which.
"""

import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import csv

from dualenc.data.text import MARK, UNPACKED, blocks, opened
from dualenc.runtime.errors import UserError
from dualenc.runtime.lookup import shown

SCORES = ("pos_score", "neg_score")
IDS = ("query_id", "pos_passage_id", "neg_passage_id")
COLUMNS = {**dict.fromkeys(SCORES, pa.float32()), **dict.fromkeys(IDS, pa.uint32())}
ROW = np.dtype([*((name, kind.to_pandas_dtype()) for name, kind in COLUMNS.items()), ("line", np.int64)])
BLOCK = 1 << 23  # bytes of text parsed at once
PART = 1 << 23  # bytes of text whose rows make a part
UNPACKING = 4  # about how many times larger a compressed file is
MOST_PARTS = 512  # files open at once
LISTED = 20  # defects that an error lists
LENIENT = re.compile(rb"\t0[0-9xX]")  # what Arrow takes for an id: with leading zeros, or hexadecimal


class Defect(NamedTuple):
    """What is wrong with a line of the file; lines are counted from 1."""

    line: int
    what: str


def partition(path: Path, folder: Path, allowed_defects: int) -> tuple[list[Path], int, list[Defect]]:
    """Deal the rows of a file into files of ``ROW`` in ``folder``, all rows of a query into the same one.

    Returns these files, the number of rows in them, and the defects of lines that are not rows. Raises ``UserError`` as
    ``text.opened`` does, and as ``refuse`` once there are more than the ``allowed_defects`` and can be listed.
    """
    defects, line, count = [], 1, 0
    with ExitStack() as stack:
        file = stack.enter_context(opened(path))
        size = path.stat().st_size * (UNPACKING if path.suffix in UNPACKED else 1)
        parts = [folder / f"{number}.rows" for number in range(min(size // PART + 1, MOST_PARTS))]
        outputs = [stack.enter_context(open(part, "wb")) for part in parts]
        for block in blocks(file, BLOCK):
            rows, wrong = read_block(block, line)
            defects += wrong
            if len(defects) >= allowed_defects + LISTED:
                refuse(path, defects, allowed_defects)
            line += len(rows) + len(wrong)
            count += len(rows)
            part = (mixed(rows["query_id"].astype(np.uint64)) % np.uint64(len(parts))).astype(np.int64)
            rows = rows[np.argsort(part, kind="stable")]
            ends = np.cumsum(np.bincount(part, minlength=len(parts))).tolist()
            for output, start, end in zip(outputs, [0, *ends], ends, strict=False):
                output.write(rows[start:end].tobytes())
    return parts, count, defects


def read_block(block: bytes, first: int) -> tuple[np.ndarray, list[Defect]]:
    """The rows (``ROW``) of whole lines, of which the first has the number ``first``, and the defects of the others."""
    if b" " in block or LENIENT.search(block):
        return _read_lines(block, first)
    try:
        table = csv.read_csv(
            pa.BufferReader(block),
            csv.ReadOptions(column_names=list(COLUMNS), use_threads=False),
            csv.ParseOptions(delimiter="\t", quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=COLUMNS),
        )
    except pa.ArrowInvalid:
        return _read_lines(block, first)
    if len(table) != _lines(block) or any(column.null_count for column in table.columns):
        return _read_lines(block, first)
    rows = np.empty(len(table), ROW)
    rows["line"] = np.arange(first, first + len(table))
    for name in COLUMNS:
        rows[name] = table[name].to_numpy()
    return (rows, []) if all(np.isfinite(rows[name]).all() for name in SCORES) else _read_lines(block, first)


def _read_lines(block: bytes, first: int) -> tuple[np.ndarray, list[Defect]]:
    """What ``read_block`` returns, line by line."""
    rows, defects = [], []
    for number, line in enumerate(block.removesuffix(b"\n").split(b"\n"), start=first):
        try:
            fields = line.rstrip(b"\r").decode().lstrip(MARK).split("\t")
        except UnicodeDecodeError as error:
            defects.append(Defect(number, f"byte {error.start + 1} of the line is not UTF-8"))
            continue
        what = problem(fields)
        if what is None:
            rows.append((*map(float, fields[:2]), *map(int, fields[2:]), number))
        else:
            defects.append(Defect(number, what))
    return np.array(rows, ROW), defects


def problem(fields: list[str]) -> str | None:
    """What keeps the fields of a line from being a row, or None."""
    if len(fields) != len(COLUMNS):
        return f"{len(fields)} columns instead of {len(COLUMNS)} ({', '.join(COLUMNS)} between tabs)"
    for name, field in zip(COLUMNS, fields, strict=True):
        if not field:
            return f"{name} is missing"
        if name in IDS and re.fullmatch("0[0-9]+", field):
            return f"{name} {field!r} has leading zeros, but ids of published scores are numbers"
        if name in IDS and not (re.fullmatch("[0-9]{1,10}", field) and int(field) < 1 << 32):
            return f"{name} {shown(field)} is not a whole number below 2^32"
        if name in SCORES and not _finite(field):
            return f"{name} {shown(field)} is not a finite number"
    return None


def _finite(field: str) -> bool:
    try:
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite
            return bool(re.fullmatch("[-+.0-9eE]+", field)) and bool(np.isfinite(np.float32(field)))
    except ValueError:
        return False


def _lines(block: bytes) -> int:
    return block.count(b"\n") + (not block.endswith(b"\n"))


def refuse(path: Path, defects: list[Defect], allowed: int) -> None:
    """Raise ``UserError`` with the lines of the first defects if there are more than ``allowed``, else print them."""
    shown = "".join(f"\n  line {line}: {what}" for line, what in sorted(defects)[:LISTED])
    if len(defects) > allowed:
        raise UserError(
            f"{path} has {len(defects)} defects, more than published_scores.allowed_defects = {allowed}: get the file "
            f"again, correct these lines, or allow that many, and their rows are left out.{shown}"
        )
    if defects:
        print(f"{path}: {len(defects)} rows with defects are left out{shown}", file=sys.stderr, flush=True)


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers (N,) of uint64 as others that look random (the finaliser of SplitMix64, Steele et al., 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ numbers >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ numbers >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return numbers ^ numbers >> np.uint64(31)
