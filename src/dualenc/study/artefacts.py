"""The modules that make figures, tables and verdicts on claims: found by name, and what they say about themselves.

A kind is ``figure``, ``table`` or ``claim``; its modules are in the package ``dualenc.<kind>s``, and have what ``MARK``
says: what else is there is what they share.
"""

import ast
import importlib
import re
from functools import cache
from types import ModuleType
from typing import Any

from dualenc.runtime.errors import UserError
from dualenc.runtime.provenance import PACKAGE

MARK = {"figure": "CAPTION", "table": "CAPTION", "claim": "CLAIM"}
"""Kind of an artefact -> the constant that makes a module of its folder one."""
REQUIRES = re.compile(r"^REQUIRES = (\{.*\}|\{\n(?: .*\n)*\})$", re.MULTILINE)
MARKUP = re.compile(r"([\\*`|_@])")


@cache
def names(kind: str) -> list[str]:
    """All artefacts of a kind that there are modules for, which are not imported."""
    mark = re.compile(rf"^{MARK[kind]} = ", re.MULTILINE)
    modules = (PACKAGE / f"{kind}s").glob("*.py")
    return sorted(path.stem for path in modules if mark.search(path.read_text(encoding="utf-8")))


def module(kind: str, name: str) -> ModuleType:
    """The module of an artefact. Raises `UserError` if there is none."""
    if name not in names(kind):
        raise UserError(f"dualenc.{kind}s has no {name!r}; it has {', '.join(names(kind))}.")
    return importlib.import_module(f"dualenc.{kind}s.{name}")


def title(kind: str, name: str) -> str:
    """What an artefact shows: the first line of its module's docstring, without its name and the full stop."""
    return ast.get_docstring(_parsed(kind, name)).splitlines()[0].partition(": ")[2].removesuffix(".")


def caption(kind: str, name: str) -> str:
    """``CAPTION`` of an artefact's module, which is not imported. Raises `UserError` if it is not a literal."""
    for node in _parsed(kind, name).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CAPTION":
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                break
    raise UserError(f"src/dualenc/{kind}s/{name}.py has no CAPTION that is one string literal: write it out.")


@cache
def requires(kind: str, name: str) -> dict[str, Any]:
    """``REQUIRES`` of an artefact's module (`dualenc.study.schema.Requirements`), which is neither imported nor parsed.

    It is empty for a module that has none. Raises `UserError` if it is not a literal.
    """
    path = PACKAGE / f"{kind}s" / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    if "\nREQUIRES" not in text:
        return {}
    try:
        return ast.literal_eval(REQUIRES.search(text)[1])
    except (TypeError, ValueError):
        raise UserError(f"src/dualenc/{kind}s/{name}.py has no REQUIRES that is one literal: write it out.") from None


def restructured(text: str) -> str:
    """``text`` with nothing in it that reStructuredText takes for markup, such as MRR@10 for an address."""
    return MARKUP.sub(r"\\\1", text)


def _parsed(kind: str, name: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{kind}s" / f"{name}.py").read_text(encoding="utf-8"))
