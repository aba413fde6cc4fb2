"""Table S1 (slides): which teacher for which student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.tables.comparison import build, rows
from dualenc.tables.writing import Table

SHOWS = {
    "experiments": [
        "de",
        "colbert",
        "de-from-de",
        "colbert-from-de",
        "de-from-colbert",
        "colbert-from-colbert",
        "de-softmax-ce",
        "colbert-softmax-ce",
    ]
}
REQUIRES = {"measures": ["MRR@10"], "distinct": ["experiment"]}
CAPTION = (
    "Does the gain come from any teacher, or from a better one? On the slides, a dual-encoder gains little from "
    "another dual-encoder with the same scoring function, and as much from ColBERT as from cross-attention "
    "(CA); ColBERT gains only from itself and, most, from CA. Look for gains over one-hot labels that grow with "
    "the teacher's own effectiveness."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The rebuilt table next to the paper's. Raises `UserError` as `dualenc.tables.comparison.build` does."""
    references = {run["experiment"]: run["experiment"].partition("-")[0] for run in params["runs"]}
    lines = rows("tabS1", params["runs"], references)
    return build("tabS1", lines, params, root, measured=[("test", "MRR@10")])
