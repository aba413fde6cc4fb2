"""Steps that make the tables and figures: no model, no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.study import artefacts
from dualenc.tables import writing


def table(artefact: str, params: Mapping[str, Any], root: Path, output: Path) -> None:
    """Write ``<artefact>.csv``, ``.md``, ``.html`` and ``.tex`` into ``output``, from the results below ``root``."""
    module = artefacts.module("table", artefact)
    writing.write(module.table(params, root), artefact, module.CAPTION, output)


def figure(artefact: str, params: Mapping[str, Any], root: Path, csv: Path, pdf: Path, png: Path) -> None:
    """Write a figure and its data, from the results below ``root``."""
    from dualenc.figures import drawing  # only now: matplotlib takes long to import, and tables do not need it

    drawing.make(artefact, params, root, csv, pdf, png)
