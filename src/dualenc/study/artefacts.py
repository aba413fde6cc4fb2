"""The modules that make figures, tables and verdicts on claims: found by name, and what they say about themselves.

A kind is ``figure``, ``table`` or ``claim``; its modules are in the package ``dualenc.<kind>s``, and have what ``MARK``
says: other modules there are what they share. A module declares in two literals what it is made from: ``SHOWS``
(`dualenc.study.schema.Shows`) and ``REQUIRES`` (`dualenc.study.schema.Requirements`).
"""

import ast
import importlib
import re
from functools import cache
from types import ModuleType
from typing import Any

from dualenc.runtime.errors import UserError
from dualenc.runtime.literals import literal
from dualenc.runtime.provenance import PACKAGE

MARK = {"figure": "CAPTION", "table": "CAPTION", "claim": "CLAIM"}
"""Kind of an artefact -> the constant that makes a module of its folder one."""
NUMBERED = re.compile(r"(.*?)(\d*)")
MARKUP = re.compile(r"([\\*`|_@])")


@cache
def names(kind: str) -> list[str]:
    """All artefacts of a kind that there are modules for, which are not imported."""
    mark = re.compile(rf"^{MARK[kind]} = ", re.MULTILINE)
    modules = (PACKAGE / f"{kind}s").glob("*.py")
    found = (path.stem for path in modules if mark.search(path.read_text(encoding="utf-8")))
    return sorted(found, key=_place)


def _place(name: str) -> tuple[str, int]:
    """C2 comes before C10."""
    word, number = NUMBERED.fullmatch(name).groups()
    return word, int(number or 0)


@cache
def kinds() -> dict[str, str]:
    """Every artefact and its kind, figures first. Raises `UserError` for two of the same name."""
    found: dict[str, str] = {}
    for kind in MARK:
        for name in names(kind):
            if name in found:
                raise UserError(
                    f"src/dualenc/{kind}s/{name}.py has the same name as {path(found[name], name)}: rename one of them."
                )
            found[name] = kind
    return found


def path(kind: str, name: str) -> str:
    """Where the module of an artefact is, as errors say it."""
    return f"src/dualenc/{kind}s/{name}.py"


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
    raise UserError(f"{path(kind, name)} has no CAPTION that is a single string literal: write it out.")


def declared(kind: str, name: str, constant: str) -> dict[str, Any]:
    """``SHOWS`` or ``REQUIRES`` of an artefact's module, as `literal` reads it."""
    return literal(PACKAGE / f"{kind}s" / f"{name}.py", constant, path(kind, name))


def restructured(text: str) -> str:
    """``text`` without anything that reStructuredText takes for markup, such as MRR@10 for an address."""
    return MARKUP.sub(r"\\\1", text)


def _parsed(kind: str, name: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{kind}s" / f"{name}.py").read_text(encoding="utf-8"))
