"""Steps that make the tables and figures: no model, no torch."""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from dualenc import figures, tables
from dualenc.errors import UserError


def table(artefact: str, params: Mapping[str, Any], root: Path, output: Path) -> None:
    """Write ``<artefact>.csv``, ``.md`` and ``.tex`` into ``output``, from the results below ``root``."""
    module = find(tables, artefact)
    tables.write(module.table(params, root), artefact, module.CAPTION, output)


def figure(artefact: str, params: Mapping[str, Any], root: Path, csv: Path, pdf: Path, png: Path) -> None:
    """Write a figure and its data, from the results below ``root``."""
    module = find(figures, artefact)
    frame = module.data(params, root)
    figures.write(frame, csv)
    with figures.style():
        figures.save(module.draw(frame, params), pdf, png)


def find(package: ModuleType, artefact: str) -> ModuleType:
    """The module of an artefact in the package tables, figures or claims. `UserError` if there is none."""
    known = [name for _, name, _ in iter_modules(package.__path__) if re.fullmatch(r"(fig|tab)S?\d+|[CP]\d+", name)]
    if artefact not in known:
        raise UserError(f"{package.__name__} has no {artefact!r}; it has {', '.join(known)}.")
    return importlib.import_module(f"{package.__name__}.{artefact}")
