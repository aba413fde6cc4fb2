"""Table 1: one-hot and distilled models, re-ranking BM25's candidates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.tables import Table, comparison

CAPTION = (
    "Does distillation close the gap between dual-encoder (DE) and cross-attention (CA) models? In the "
    "paper, the one-hot DE stays .06 MRR@10 behind CA on MS MARCO; matching CA's raw scores (MSE) makes "
    "it worse, matching margins (margin MSE) better, and the losses that keep the order of a whole list "
    "(M³SE, softmax CE) come closest to CA. Look for the same order of the rows under test, for the gap "
    "between CA and DE there, and for what distillation does to the train column: in the paper's figure 1 "
    "it gains on test while it loses on train."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The rebuilt table beside the paper's. Raises `UserError` as `dualenc.tables.comparison.build` does."""
    measured = [("test", "MRR@10"), ("test", "nDCG@10"), ("train", "MRR@10")]
    return comparison.build("tab1", params, root, measured=measured, baseline="de", references={"bm25": "ca"})
