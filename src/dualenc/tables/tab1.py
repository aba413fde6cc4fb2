"""Table 1: one-hot and distilled models, re-ranking BM25's candidates and retrieving from all passages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.evaluation import results
from dualenc.paper.measures import called
from dualenc.tables.comparison import OTHERS, build, rows, untrained
from dualenc.tables.writing import Table

SHOWS = {
    "experiments": ["ca", "de", "de-mse", "de-margin-mse", "de-rankdistil-b", "de-m3se", "de-softmax-ce"],
    "needs": ["metrics", "retrieval"],
    "seeds": "all",
}
REQUIRES = {"measures": ["MRR@10", "nDCG@10"], "distinct": ["experiment"]}
CAPTION = (
    "Does distillation close the gap between dual-encoder (DE) and cross-attention (CA) models? In the "
    "paper, the one-hot DE stays .06 MRR@10 behind CA on MS MARCO; matching CA's raw scores (MSE) makes "
    "it worse, matching margins (margin MSE) better, and the losses that keep the order of a whole list "
    "(M³SE, softmax CE) come closest to CA. Look for the same order of the rows under test, for the gap "
    "between CA and DE there, and for what distillation does to the train column: in the paper's figure 1 "
    "it gains on test while it loses on train. Under retrieval, where the DE models rank all passages, the "
    "paper finds the same gains, and nothing left of the models that match raw scores."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The rebuilt table next to the paper's. Raises `UserError` as `dualenc.tables.comparison.build` does."""
    runs = [untrained(results.RANDOM), untrained(results.BM25), *params["runs"]]
    lines = rows("tab1", runs, {OTHERS: "de", results.BM25: "ca"})
    chance = next(line for line in lines if line.run.get("name") == results.RANDOM)
    lines.remove(chance)
    lines.insert(0, chance._replace(group=lines[0].group, label="Random order"))
    measured = [("test", "MRR@10"), ("test", "nDCG@10"), ("train", "MRR@10")]
    measured += [(results.RETRIEVAL, "MRR@10"), (results.RETRIEVAL, "nDCG@10")]
    for name, measures in params["evaluation"].get("sets", {}).items():
        measured += [(name, called(measure)) for measure in measures]
    return build("tab1", lines, params, root, measured=measured)
