"""Files that appear whole or not at all, their checksums, and the formats shared by all steps."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from dualenc.runtime.errors import UserError
from dualenc.runtime.shape import checked


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``path``, a file or a folder, that replaces ``path`` when the block succeeds.

    If the block raises, nothing is left behind and an older ``path`` stays as it was. The temporary name
    keeps the suffixes of ``path``, so writers that choose a format or a compression by suffix still do. One
    process at a time may write ``path``: what others that were killed have left of it is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)  # a folder cannot be replaced in one step unless it is empty
        os.replace(temporary, path)
    finally:
        _remove(temporary)


@contextmanager
def atomic_entries(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder whose entries replace those of the same name in ``folder`` when the block succeeds.

    Anything else in ``folder`` stays. If the block raises, ``folder`` stays as it was.
    """
    folder = Path(folder)
    temporary = _temporary(folder)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        folder.mkdir(exist_ok=True)
        for entry in sorted(temporary.iterdir()):
            with atomic(folder / entry.name) as staged:
                os.replace(entry, staged)
    finally:
        _remove(temporary)


def _temporary(path: Path) -> Path:
    for left in path.parent.glob(f".*~{path.name}"):
        _remove(left)
    return path.with_name(f".{os.getpid()}~{path.name}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def md5(path: str | Path) -> str:
    """MD5 of a file's bytes, as 32 hexadecimal digits. Raises ``UserError`` if there is no such file."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: make it first, or correct the path.") from None


def write_json(path: str | Path, value: object) -> None:
    """Write ``value`` as indented JSON with a final newline, atomically. NaN is refused (``ValueError``)."""
    with atomic(path) as temporary:
        text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | Path, shape: Any = Any) -> Any:
    """The value of a JSON file, which has to be as the type ``shape`` says (`dualenc.runtime.shape.checked`).

    Raises ``UserError`` that names the file if it is missing, is not JSON in UTF-8, or has another shape.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: make it first, or correct the path.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): make it again.") from None
    checked(value, shape, str(path))
    return value


def read_yaml(path: str | Path, shape: Any = Any) -> Any:
    """The value of a YAML file. Raises ``UserError`` as ``read_json`` does."""
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: make it first, or correct the path.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as YAML ({' '.join(str(error).split())}): make it again.") from None
    checked(value, shape, str(path))
    return value


def required(path: Path) -> Path:
    """``path``, which has to be a file. Raises ``UserError`` if it is not."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: make it first, or correct the path.")
    return path
