"""Table 7: late-interaction students."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.tables.comparison import OTHERS, build, rows
from dualenc.tables.writing import Table

SHOWS = {"experiments": ["ca", "colbert", "colbert-mse", "colbert-margin-mse", "colbert-m3se", "colbert-softmax-ce"]}
REQUIRES = {"measures": ["MRR@10", "nDCG@10"], "distinct": ["experiment"]}
CAPTION = (
    "Can a student with late interaction (ColBERT: the mean over query tokens of the best match in the passage) "
    "reach its cross-attention teacher (CA)? In the paper, ColBERT with one-hot labels is .014 MRR@10 behind CA "
    "and ahead of any one-hot dual-encoder, and distilled with softmax CE it is .006 above its teacher. Look "
    "for distilled rows at or above CA: differences are relative to CA."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The rebuilt table next to the paper's. Raises `UserError` as `dualenc.tables.comparison.build` does."""
    lines = rows("tab7", params["runs"], {OTHERS: "ca"})
    return build("tab7", lines, params, root, measured=[("test", "MRR@10"), ("test", "nDCG@10")])
