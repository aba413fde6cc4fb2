"""Table 5: distillation losses with a wide, shallow student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.tables.comparison import OTHERS, build, rows
from dualenc.tables.writing import Table

SHOWS = {
    "besides": ["ca"],
    "experiments": ["de", "de-mse", "de-margin-mse", "de-softmax-ce", "de-m3se"],
    "encoders": "flat",
}
REQUIRES = {"measures": ["MRR@10", "nDCG@10"], "distinct": ["experiment"]}
CAPTION = (
    "Does the order of the losses hold for a wide but shallow student? In the paper, with 2 layers of width "
    "768, margin MSE and softmax CE gain most and M³SE only a little over one-hot labels, while matching raw "
    "scores (MSE) loses again. Look for the same order, and for whether a shallow student gains as much as the "
    "deep one of table 1."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The rebuilt table next to the paper's. Raises `UserError` as `dualenc.tables.comparison.build` does."""
    lines = rows("tab5", params["runs"], {OTHERS: "de"})
    return build("tab5", lines, params, root, measured=[("test", "MRR@10"), ("test", "nDCG@10")])
