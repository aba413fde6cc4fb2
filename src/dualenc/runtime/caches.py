"""Where libraries keep what they download and compute: below the home directory, or scratch/ if that is read-only."""

import os
from pathlib import Path

from dualenc.runtime.errors import UserError

ELSEWHERE = Path("scratch", "home")
VARIABLES = {"XDG_CACHE_HOME": ".cache", "IR_DATASETS_HOME": ".ir_datasets", "MPLCONFIGDIR": ".config/matplotlib"}
"""Environment variables that libraries read, and the folders below the home directory that they default to."""


def settle() -> None:
    """Set the variables, for this process and those that it starts, before the libraries are imported.

    Raises ``UserError`` for one that is set to a folder that can neither be found nor made.
    """
    for name in (*VARIABLES, "HF_HOME"):
        if os.environ.get(name):
            _check(name, Path(os.environ[name]).expanduser())
    if not _home_is_writable():
        os.environ.setdefault("HOME", str(ELSEWHERE.absolute()))  # the list of users does not give one either
        for name, folder in VARIABLES.items():
            os.environ.setdefault(name, str(ELSEWHERE.absolute() / folder))


def _check(name: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{name} is {folder}, which cannot be made ({error.strerror}): set it to a folder that you can write to."
        ) from None


def _home_is_writable() -> bool:
    try:
        folder = Path.home() / VARIABLES["XDG_CACHE_HOME"]
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter if nothing says where it is
        return False
    return os.access(folder, os.W_OK)
