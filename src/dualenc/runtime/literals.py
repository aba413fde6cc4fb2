"""Constants of modules, read without importing them: imports of torch or matplotlib take seconds."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

from dualenc.runtime.errors import UserError

VALUE = r"^{} = (\{{.*\}}|\{{\n(?: .*\n)*\}})$"


@cache
def literal(path: Path, constant: str, name: str) -> dict[str, Any]:
    """The mapping that a module has as a constant, empty if it has none; ``name`` is what errors call the module.

    It is found without parsing the rest. Raises `UserError` if it is not one literal.
    """
    text = path.read_text(encoding="utf-8")
    if f"\n{constant} = " not in text:
        return {}
    try:
        return ast.literal_eval(re.search(VALUE.format(constant), text, re.MULTILINE)[1])
    except (TypeError, ValueError, SyntaxError):
        raise UserError(f"{name} has no {constant} that is a single literal: write it out.") from None
