"""Table 12: negatives mined from the minibatch and from the whole collection."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.evaluation.results import RETRIEVAL
from dualenc.tables.comparison import build, rows
from dualenc.tables.writing import Table

SHOWS = {
    "experiments": [
        "de",
        "de-negatives",
        "de-margin-mse",
        "de-margin-mse-negatives",
        "de-m3se",
        "de-m3se-negatives",
        "de-softmax-ce",
        "de-softmax-ce-negatives",
    ],
    "needs": ["metrics", "retrieval"],
}
REQUIRES = {"measures": ["MRR@10"], "distinct": ["experiment"]}
CAPTION = (
    "Do more negatives help? Here every other passage of the minibatch and passages drawn uniformly from the "
    "collection join each query's list. In the paper that hardly changes re-ranking, where such passages never "
    "turn up, and costs M³SE .025; retrieval with one-hot labels gains .033. Look for test differences near "
    "zero next to clear retrieval differences."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The rebuilt table next to the paper's. Raises `UserError` as `dualenc.tables.comparison.build` does."""
    references = {run["experiment"]: run["experiment"].removesuffix("-negatives") for run in params["runs"]}
    lines = rows("tab12", params["runs"], references)
    return build("tab12", lines, params, root, measured=[("test", "MRR@10"), (RETRIEVAL, "MRR@10")])
