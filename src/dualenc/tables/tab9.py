"""Table 9: regularisation of the one-hot dual-encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.tables.comparison import OTHERS, build, rows
from dualenc.tables.writing import Table

SHOWS = {"experiments": ["de", "de-dropout", "de-token-dropout", "de-mlm", "de-focal"]}
REQUIRES = {"measures": ["MRR@10"], "distinct": ["experiment"]}
CAPTION = (
    "Can standard regularisation replace distillation? In the paper, more dropout of the embedding, dropout of "
    "input tokens, a masked language loss in addition to the ranking loss, and the focal loss all lower the train "
    "column, and none lifts the test column. Look for test differences from the plain dual-encoder that are not "
    "positive."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The rebuilt table next to the paper's. Raises `UserError` as `dualenc.tables.comparison.build` does."""
    lines = rows("tab9", params["runs"], {OTHERS: "de"})
    return build("tab9", lines, params, root, measured=[("train", "MRR@10"), ("test", "MRR@10")])
