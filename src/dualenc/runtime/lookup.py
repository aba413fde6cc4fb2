"""Names looked up among those allowed: an unknown one is an error that names the nearest."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from dualenc.runtime.errors import UserError

LONGEST = 120  # characters of a value that an error shows


def shown(value: object) -> str:
    """A value as an error shows it: on one line, and only the start of a long one."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def dotted(*keys: object) -> str:
    """Keys within one another as an error names them: on one line, whatever they hold."""
    return ".".join(text if (text := str(key)) and text.isprintable() else repr(text) for key in keys)


def nearest(name: object, allowed: Iterable[str]) -> str:
    """``allowed: a, b; did you mean a?`` for an error about ``name``."""
    allowed = list(allowed)
    close = difflib.get_close_matches(str(name), allowed, n=1, cutoff=0.4)
    if not allowed:
        return "there is none."
    return f"allowed: {', '.join(allowed)}" + (f"; did you mean {close[0]}?" if close else ".")


def choose(key: str, name: Any, allowed: Mapping[str, Any] | Iterable[str]) -> Any:
    """``allowed[name]`` or ``UserError`` that names the key, the value, what is allowed and the nearest name.

    A ``key`` is one of params.yaml, unless it names a file of its own, or is an option of the command line.
    """
    if not isinstance(name, str) or name not in allowed:
        file = "" if key.startswith(("--", "src/", "params.yaml: ")) else "params.yaml: "
        raise UserError(f"{file}{key} = {shown(name)} is unknown; {nearest(name, allowed)}")
    return allowed[name] if isinstance(allowed, Mapping) else name
