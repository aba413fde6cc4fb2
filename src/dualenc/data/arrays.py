"""Arrays in .npy files that are never in memory as a whole: written part by part, read block by block."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic


def write(path: str | Path, parts: Iterable[np.ndarray], dtype: DTypeLike, width: int | None = None) -> None:
    """Write the rows of ``parts``, (n,) or (n, ``width``) each, as one array, atomically: as `numpy.save` would."""
    rows, shape = 0, () if width is None else (width,)
    with atomic(path) as temporary, open(temporary, "wb") as file:
        _header(file, dtype, (0, *shape))
        for part in parts:
            # Not by numpy's tofile or save, which do not report a disk that is full at the last bytes of a part.
            file.write(np.ascontiguousarray(part, dtype).data)
            rows += len(part)
        file.seek(0)
        _header(file, dtype, (rows, *shape))


def _header(file: BinaryIO, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    """Equally long for any number of rows: the format leaves room for it to grow."""
    about = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)


def read(path: str | Path, dimensions: int, mmap_mode: str | None = None) -> np.ndarray:
    """The array of numbers in ``path``, which has this many ``dimensions``; mapped as `numpy.load` does.

    Raises ``UserError`` that names the file if it is missing, is incomplete, or holds something else.
    """
    try:
        array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: make it first, or correct the path.") from None
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read as an array ({error}): make it again.") from None
    if not isinstance(array, np.ndarray) or array.ndim != dimensions or array.dtype.kind not in "fiu":
        raise UserError(f"{path} does not hold numbers in {dimensions} dimensions: make it again.")
    return array


def blocks(path: str | Path, size: int) -> Iterator[np.ndarray]:
    """The array (n, D) in ``path``, ``size`` rows at a time. Raises ``UserError`` as ``read`` does."""
    # Mapped again for each block: what is read through a mapping counts as memory of this process until it is closed.
    for start in range(0, len(read(path, 2, mmap_mode="r")), size):
        yield np.array(read(path, 2, mmap_mode="r")[start : start + size])
