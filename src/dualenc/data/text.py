"""Text files made by others, however packed: opened, read as lines, and refused in one sentence.

The end of a file's name says how it is packed: ``.gz``, ``.xz``, ``.bz2``, ``.zst``, or plain with any other. Text is
UTF-8, with or without a byte order mark, and lines end in ``\\n`` or ``\\r\\n``: other characters that Python takes for
line ends, such as U+2028, are part of texts.
"""

import bz2
import gzip
import io
import lzma
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dualenc.runtime.errors import UserError
from dualenc.runtime.progress import Progress

MARK = "\ufeff"
BLOCK = 1 << 20  # bytes read at once


def _unpacked_zst(packed: BinaryIO) -> BinaryIO:
    import pyarrow as pa  # only now: it takes a quarter of a second to import, and few files need it

    return pa.CompressedInputStream(pa.PythonFile(packed, "r"), "zstd")


UNPACKED: dict[str, tuple[str, Callable[[BinaryIO], BinaryIO]]] = {
    ".gz": ("gzip", lambda packed: gzip.GzipFile(fileobj=packed, mode="rb")),
    ".xz": ("xz", lzma.LZMAFile),
    ".bz2": ("bzip2", bz2.BZ2File),
    ".zst": ("zstd", _unpacked_zst),
}
"""The end of a name -> the format, and what opens it."""
SIGNS = {
    b"\x1f\x8b": "a gzip file: give it a name that ends in .gz",
    b"\xfd7zXZ\0": "an xz file: give it a name that ends in .xz",
    b"BZh91AY&SY": "a bzip2 file: give it a name that ends in .bz2",
    b"\x28\xb5\x2f\xfd": "a zstd file: give it a name that ends in .zst",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\xff\xfe": "UTF-16: convert it with `iconv -f utf-16 -t utf-8`",
    b"\xfe\xff": "UTF-16: convert it with `iconv -f utf-16 -t utf-8`",
}
"""The first bytes, unpacked, of files that are not UTF-8 -> what they are, and what to do."""


class _Unpacked(io.RawIOBase):
    """The bytes of an open file, unpacked; what goes wrong on the way is a ``UserError``, and progress is printed."""

    def __init__(self, path: Path, file: BinaryIO, size: int):
        self.path, self.file = path, file
        self.form, unpacked = UNPACKED.get(path.suffix, ("", lambda plain: plain))
        self.stream = unpacked(file)
        self.progress = Progress(path.name, "MB", size, per=1e6)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        try:
            count = self.stream.readinto(buffer)
        except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            if getattr(error, "errno", None) is not None:  # the system's, not the unpacker's
                raise _unreadable(self.path, error) from None
            raise UserError(
                f"{self.path} is not a complete {self.form} file ({error}): get it again, or correct its name if "
                "it is a different kind of file."
            ) from None
        self.progress.advance(self.file.tell() - self.progress.done)
        return count


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file as a stream of its bytes, unpacked and without a byte order mark; reading it prints progress.

    Raises ``UserError`` for a path that is missing, not a file or not readable, and for a file that is empty or, as
    its first bytes show, not UTF-8; and in reading, for one that is truncated or not packed as its name says.
    """
    path = Path(path)
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise UserError(f"{path} is {'a folder' if path.is_dir() else 'a device'}, not a file: correct the path.")
        file = io.FileIO(path)
    except OSError as error:
        raise _unreadable(path, error) from None
    with file, io.BufferedReader(_Unpacked(path, file, about.st_size), BLOCK) as stream:
        start = stream.peek()
        for sign, what in SIGNS.items():
            if start.startswith(sign):
                raise UserError(f"{path} is not UTF-8 text but {what}.")
        if start.startswith(MARK.encode()):
            stream.read(len(MARK.encode()))
        if not stream.peek():
            raise UserError(f"{path} is empty: get it again or rewrite it.")
        yield stream


def _unreadable(path: Path, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UserError(f"{path} does not exist: put the file there or correct its path.")
    return UserError(f"{path} cannot be read ({error.strerror}): make it readable or correct its path.")


def blocks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """The bytes of a stream in blocks of whole lines, of ``size`` bytes and the rest of the last line."""
    while block := stream.read(size) + stream.readline():
        yield block


def lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines of a file, without their ends, and their numbers, from 1.

    A byte order mark at the start of any line is left out, as joining files leaves one in the middle. Raises
    ``UserError`` as ``opened`` does, and with the line that is not UTF-8 or holds a NUL byte.
    """
    number = 1
    with opened(path) as stream:
        for block in blocks(stream, BLOCK):
            if b"\0" in block:
                line = number + block[: block.index(b"\0")].count(b"\n")
                raise UserError(
                    f"{path}, line {line} contains a NUL byte, so it is not UTF-8 text: convert the file if it is "
                    "UTF-16, or get it again."
                )
            try:
                text = block.decode()
            except UnicodeDecodeError as error:
                line = block[: error.start].split(b"\n")
                raise UserError(
                    f"{path}, line {number + len(line) - 1}: byte {len(line[-1]) + 1} of the line "
                    f"(0x{block[error.start]:02x}) is not UTF-8; convert the file, for example with "
                    "`iconv -f latin1 -t utf-8` if it is Latin-1."
                ) from None
            for line in text.removesuffix("\n").split("\n"):
                yield number, line.rstrip("\r").lstrip(MARK)
                number += 1


def only_form(path: str | Path) -> Path:
    """The file ``path``, plain or with the suffix of what packed it. Raises ``UserError`` if none or several exist."""
    forms = [Path(f"{path}{suffix}") for suffix in ("", *UNPACKED)]
    try:
        found = [form for form in forms if form.exists()]
    except OSError as error:
        raise _unreadable(Path(path), error) from None
    if not found:
        raise UserError(
            f"{path} (or {', '.join(UNPACKED)}) does not exist: put it there or correct the path of its folder."
        )
    if len(found) > 1:
        raise UserError(f"{found[0]} and {found[1]} are two forms of one file: remove the one that should not be read.")
    return found[0]
