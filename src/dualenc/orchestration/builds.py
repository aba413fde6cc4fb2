"""One build of a scale at a time: two would delete each other's files.

Snakemake's own locks do not ensure this, and are off (profiles/default): a run that ends deletes those of every other
run in the folder, after which a second build of a running scale is let in, and one that is about to start fails.
"""

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dualenc.runtime import locks
from dualenc.runtime.errors import UserError

FOLDER = Path(".snakemake")  # not scratch/, which several clones may share, or results/, which people delete


def hold(scale: str) -> None:
    """Hold the lock of a scale until this process ends. Raises ``UserError`` as ``locked`` does."""
    atexit.register(_take(scale).close)


@contextmanager
def locked(scale: str) -> Iterator[int]:
    """Hold the lock of a scale; yields its file descriptor, which a process that does the work may inherit.

    Raises ``UserError`` if another process builds, records or restores the scale, and if the file system has no locks.
    """
    with _take(scale) as file:
        yield file.fileno()


def _take(scale: str) -> IO[str]:
    try:
        return locks.take(FOLDER / f"{scale}.lock")
    except locks.Busy as holder:
        raise UserError(f"scale {scale} is in use by {holder}: wait for it to end, or stop it.") from None
