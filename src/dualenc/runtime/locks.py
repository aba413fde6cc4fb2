"""Locks that one process at a time holds, across all machines that share the file system.

The system releases a lock when its process ends, however it ends: none is ever left behind.
"""

import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from dualenc.runtime.errors import UserError


class Busy(Exception):
    """Another process holds the lock. The message says which, as ``process 123 on node1``."""


def take(path: Path) -> IO[str]:
    """Take the lock file ``path``, made if need be, which is held until what is returned is closed.

    No process that this one starts inherits it, unless it is handed over (``pass_fds``). Raises ``Busy``, and
    ``UserError`` if the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")  # not "w": the holder has written its name there
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        if isinstance(error, BlockingIOError):
            raise Busy(holder or "another process") from None
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise UserError(
            f"the file system of {path.parent} has no locks: move this folder to one that does, and leave a link."
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file
