"""Names looked up among those allowed: an unknown one is an error that tells the nearest."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from dualenc.errors import UserError


def nearest(name: object, allowed: Iterable[str]) -> str:
    """``allowed are a, b; did you mean a?`` for an error about ``name``."""
    allowed = list(allowed)
    close = difflib.get_close_matches(str(name), allowed, n=1, cutoff=0.4)
    return f"allowed are {', '.join(allowed)}" + (f"; did you mean {close[0]}?" if close else ".")


def choose(key: str, name: str, allowed: Mapping[str, Any] | Iterable[str]) -> Any:
    """``allowed[name]`` or ``UserError`` that names the key, the value, what is allowed and the nearest name."""
    if name not in allowed:
        raise UserError(f"params.yaml: {key} = {name!r} is unknown; {nearest(name, allowed)}")
    return allowed[name] if isinstance(allowed, Mapping) else name
