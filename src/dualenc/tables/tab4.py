"""Table 4: distillation losses with a narrow student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.tables.comparison import OTHERS, build, rows
from dualenc.tables.writing import Table

SHOWS = {
    "besides": ["ca"],
    "experiments": ["de", "de-mse", "de-margin-mse", "de-softmax-ce", "de-m3se"],
    "encoders": "narrow",
}
REQUIRES = {"measures": ["MRR@10", "nDCG@10"], "distinct": ["experiment"]}
CAPTION = (
    "Does the order of the losses hold for a narrow student? In the paper, with 6 layers of width 128, softmax "
    "CE and M³SE stay ahead of margin MSE and of one-hot labels, matching raw scores (MSE) falls far below "
    "them, and all stay far below the cross-attention teacher. Look for the same order, and for how much of "
    "table 1's gains remains."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The rebuilt table next to the paper's. Raises `UserError` as `dualenc.tables.comparison.build` does."""
    lines = rows("tab4", params["runs"], {OTHERS: "de"})
    return build("tab4", lines, params, root, measured=[("test", "MRR@10"), ("test", "nDCG@10")])
