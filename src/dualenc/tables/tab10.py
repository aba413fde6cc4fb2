"""Table 10: the top passages of margin MSE and softmax CE, on the queries where margin MSE is furthest ahead."""

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
        "places": [1, 2, 3],  # of the queries, by difference
    },
}
REQUIRES = {
    "count": 2,
    "options": {"measure": "measure", "passages": "count", "characters": "characters", "places": "counts"},
}
CAPTION = (
    "Is a query on which margin MSE beats softmax CE a failure of softmax CE, or of the judgements? In the paper (TREC "
    "DL19, 43 queries), the two distillations agree on 10 queries, margin MSE is better on 6 and softmax CE on 4; "
    "tables 10 and 11 show the 6, and the authors find softmax CE's passages at least as good: some relevant ones are "
    "not judged. Look for passages in plain type that answer the query as well as those in bold."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The first half of these queries; see `dualenc.tables.top_passages.build`."""
    return top_passages.build(params, root)
