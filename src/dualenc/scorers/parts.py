"""Long work in parts, each of which is kept in the state folder as soon as it is done.

Parts are the same however the work is split into jobs, or over the processes of one, so that neither an interruption
nor the number of jobs changes a bit of the result.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dualenc.data import arrays
from dualenc.runtime.progress import reported
from dualenc.scorers import distributed


def split(count: int, size: int, shards: int = 1, number: int = 0) -> range:
    """The rows of shard ``number`` (from 0) of ``count``, whole parts of ``size``; shards differ by a part at most."""
    parts = -(-count // size)
    start, stop = (min(parts * one // shards * size, count) for one in (number, number + 1))
    return range(start, stop)


def complete(folder: Path, rows: range, size: int, make: Callable[[range], np.ndarray], what: str) -> list[Path]:
    """The .npy files, in ``folder``, of the parts of ``size`` rows; those that are not there are made.

    Each process of a group makes some of them. ``what`` is what progress calls the work. The lock of the state folder
    must be held.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = rows[::size]
    paths = [folder / f"{start}.npy" for start in starts]
    mine = range(distributed.rank(), len(starts), distributed.size())
    missing = [number for number in mine if not paths[number].exists()]
    for number in reported(missing, what, "parts", len(mine), done=len(mine) - len(missing)):
        start = starts[number]
        part = make(range(start, min(start + size, rows.stop)))
        arrays.write(paths[number], [part], part.dtype, *part.shape[1:])
    distributed.wait()
    return paths


def joined(paths: Sequence[Path]) -> np.ndarray:
    """The numbers (n,) of all files. Raises ``UserError`` as `dualenc.data.arrays.read` does."""
    return np.concatenate([arrays.read(path, 1) for path in paths])


def digest(*columns: np.ndarray) -> str:
    """A name for the contents of some arrays."""
    found = hashlib.blake2b(digest_size=16)
    for array in columns:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
