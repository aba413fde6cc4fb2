"""Arrays in .npy files that are never in memory as a whole: written part by part, read block by block."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from dualenc.files import atomic


def write(path: str | Path, parts: Iterable[np.ndarray], dtype: DTypeLike, width: int | None = None) -> None:
    """Write the rows of ``parts``, (n,) or (n, ``width``) each, as one array, atomically: as `numpy.save` would."""
    rows, shape = 0, () if width is None else (width,)
    with atomic(path) as temporary, open(temporary, "wb") as file:
        _header(file, dtype, (0, *shape))
        for part in parts:
            # Not by numpy's tofile or save, which say nothing of a disk that is full at the last bytes of a part.
            file.write(np.ascontiguousarray(part, dtype).data)
            rows += len(part)
        file.seek(0)
        _header(file, dtype, (rows, *shape))


def _header(file: BinaryIO, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    """As long for any number of rows: the format leaves room for it to grow."""
    about = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)


def blocks(path: str | Path, size: int) -> Iterator[np.ndarray]:
    """The array in ``path``, ``size`` rows at a time."""
    # Mapped anew for each block: what a mapping has shown counts as memory of this process until it ends.
    for start in range(0, len(np.load(path, mmap_mode="r")), size):
        yield np.array(np.load(path, mmap_mode="r")[start : start + size])
