"""What an interrupted job leaves for the next one: a folder that only the same work finds, and one process at a time.

The folder's name holds a hash of everything that decides the result (parameters, inputs, code, seed), so the state of
other parameters is never used. It lies outside every output of the workflow, which deletes outputs of a failed job.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dualenc.runtime import locks
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5


def state_folder(
    root: str | Path, parameters: Mapping[str, object], inputs: Sequence[str | Path], code: Sequence[Path]
) -> Path:
    """``root/<hash>`` for these parameters and the bytes of these input and code files."""
    digest = hashlib.blake2b(json.dumps(parameters, sort_keys=True).encode(), digest_size=16)
    for path in [*inputs, *code]:
        digest.update(md5(path).encode())
    return Path(root) / digest.hexdigest()


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the lock of a state folder, made if need be.

    Raises ``UserError`` if another process holds it, on this machine or on one that shares the file system, and if the
    file system has no locks.
    """
    try:
        lock = locks.take(state / "lock")
    except locks.Busy:
        raise UserError(f"another process is doing this work in {state}: wait for it or stop it.") from None
    with lock:
        yield
