"""What goes wrong in ir_datasets, in one sentence: which id, which URL, and what to do."""

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ir_datasets
import requests
from ir_datasets.util import DownloadConfig, HashVerificationError

from dualenc.runtime.errors import UserError

BROKEN = (RuntimeError, ValueError, EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)
"""What reading a file that is truncated, or not what it should be, raises."""


@contextmanager
def explained(identifier: str) -> Iterator[None]:
    """Raise what ir_datasets raises in the block, while reading ``identifier``, as `UserError`."""
    try:
        yield
    except (requests.RequestException, HashVerificationError, FileNotFoundError, *BROKEN) as error:
        if len(error.args) == 2 and isinstance(error.args[1], list):  # several mirrors, each with its error
            error = error.args[1][-1][1]
        raise _explanation(identifier, error) from error


def _explanation(identifier: str, error: Exception) -> Exception:
    """The sentence for an error; other kinds of errors, such as a full disk, stay as they are."""
    if isinstance(error, HashVerificationError):
        file = _file(lambda entry: entry.get("expected_md5") in str(error).split())
        return UserError(
            f"what ir_datasets downloaded for {identifier} from {file.get('url', 'its server')} does not match "
            f"its checksum ({error}) and was not kept: it may be an error page; run again later{_by_hand(file)}."
        )
    if isinstance(error, requests.RequestException):
        url = getattr(error.request, "url", None) or "its server"
        file = _file(lambda entry: entry.get("url") == url)
        return UserError(
            f"ir_datasets cannot download {url} for {identifier} ({type(error).__name__}): check the network and "
            f"run again{_by_hand(file)}."
        )
    if isinstance(error, FileNotFoundError) and error.args and isinstance(error.args[0], Path):
        return UserError(
            f"{identifier} has to be downloaded by hand: follow ir_datasets' instructions above, and put the file at "
            f"{error.args[0]}."
        )
    if "disk space" in str(error):
        return UserError(f"ir_datasets cannot download {identifier} ({error}): free some space and run again.")
    if isinstance(error, BROKEN):
        return UserError(
            f"ir_datasets cannot read {identifier} ({str(error) or type(error).__name__}): remove its files in "
            f"{ir_datasets.util.home_path()} and run again."
        )
    return error


def _file(wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What ir_datasets knows about the first ``wanted`` file: its url and expected_md5; empty if there is none."""
    entries = [entry for group in DownloadConfig.contents().values() for entry in group.values()]
    return next((entry for entry in entries if isinstance(entry, dict) and wanted(entry)), {})


def _by_hand(file: dict[str, Any]) -> str:
    """Where ir_datasets looks for a file before it downloads it."""
    if "expected_md5" not in file:
        return ""
    path = ir_datasets.util.home_path() / "downloads" / file["expected_md5"]
    return f", or put the file at {path} and set IR_DATASETS_SMALL_FILE_SIZE=0"
