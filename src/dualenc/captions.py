"""What the modules of figures, tables and claims say about themselves, read without importing them."""

import ast
import re

from dualenc.errors import UserError
from dualenc.provenance import PACKAGE

MARKUP = re.compile(r"([\\*`|_])")


def title(kind: str, name: str) -> str:
    """The first line of the docstring of ``dualenc.<kind>s.<name>``, without its full stop."""
    return ast.get_docstring(_module(kind, name)).splitlines()[0].removesuffix(".")


def caption(kind: str, name: str) -> str:
    """``CAPTION`` of ``dualenc.<kind>s.<name>``. Raises `UserError` if the module has no such literal."""
    for node in _module(kind, name).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CAPTION":
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                break
    raise UserError(f"src/dualenc/{kind}s/{name}.py has no CAPTION that is one string literal: write it out.")


def restructured(text: str) -> str:
    """``text`` with nothing in it that reStructuredText takes for markup."""
    return MARKUP.sub(r"\\\1", text)


def _module(kind: str, name: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{kind}s" / f"{name}.py").read_text(encoding="utf-8"))
