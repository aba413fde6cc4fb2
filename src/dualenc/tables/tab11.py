"""Table 11: table 10 for the next queries."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualenc.tables import top_passages
from dualenc.tables.writing import Table

SHOWS = {
    "experiments": ["de-margin-mse", "de-softmax-ce"],
    "needs": ["metrics", "runs", "text"],
    "options": {
        "measure": "MRR@10",
        "passages": 5,
        "characters": 120,
        "places": [4, 5, 6],  # of the queries, by difference
    },
}
REQUIRES = {
    "count": 2,
    "options": {"measure": "measure", "passages": "count", "characters": "characters", "places": "counts"},
}
CAPTION = (
    "The queries that follow those of table 10 in the difference between margin MSE and softmax CE. In the paper (TREC "
    "DL19), the authors find softmax CE's passages at least as good on all of them, and the judgements incomplete. "
    "Look for passages in plain type that answer the query as well as those in bold."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The second half of these queries; see `dualenc.tables.top_passages.build`."""
    return top_passages.build(params, root)
