"""Table 8: label smoothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.tables.comparison import OTHERS, build, rows
from dualenc.tables.writing import Table

SHOWS = {
    "experiments": ["de", "de-smoothing-10", "de-smoothing-20", "de-smoothing-30", "de-smoothing-90", "de-smoothing-99"]
}
REQUIRES = {"measures": ["MRR@10"], "distinct": ["experiment"]}
CAPTION = (
    "Does label smoothing, distillation from a teacher that knows nothing, do what distillation does? In the "
    "paper, it changes the train column a lot (a little smoothing lifts it, more lowers it) and lowers the test "
    "column for every weight α. Look for test differences from α = 0 that are never clearly positive."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The rebuilt table next to the paper's. Raises `UserError` as `dualenc.tables.comparison.build` does."""
    lines = rows("tab8", params["runs"], {OTHERS: "de"})
    return build("tab8", lines, params, root, measured=[("train", "MRR@10"), ("test", "MRR@10")])
