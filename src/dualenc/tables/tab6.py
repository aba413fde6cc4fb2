"""Table 6: how many passages a query needs."""

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from dualenc.paper import reported
from dualenc.tables.comparison import Row, build, standing_for
from dualenc.tables.writing import Table

SHOWS = {
    "experiments": [
        "de-m3se-k2",
        "de-m3se-k4",
        "de-m3se-k8",
        "de-m3se",
        "de-softmax-ce-k2",
        "de-softmax-ce-k4",
        "de-softmax-ce-k8",
        "de-softmax-ce",
    ]
}
REQUIRES = {
    "measures": ["MRR@10", "nDCG@10"],
    "distinct": ["loss", "list_size"],
    "only": {"model": ["dual-encoder"], "loss": ["m3se", "softmax-ce"]},
}
CAPTION = (
    "How many passages per query does distillation need? In the paper, softmax CE and M³SE gain from 2 to 20 "
    "passages with the highest teacher scores, and nothing more from 100. Look for differences from K = 2 that "
    "grow up to the third row of each loss and not beyond."
)


def table(params: Mapping[str, Any], root: Path) -> Table:
    """The rebuilt table next to the paper's: the n-th smallest K stands for the paper's n-th smallest.

    Raises `UserError` as `dualenc.tables.comparison.build` does.
    """
    lines = []
    for (experiment, group), quoted in reported.cells("tab6").groupby(["experiment", "group"], sort=False):
        runs = [run for run in params["runs"] if run["loss"] == experiment.removeprefix("de-")]
        runs.sort(key=lambda run: run["list_size"])
        for run, size in zip_longest(runs, sorted(quoted.list_size.unique())):
            label = f"K = {standing_for(run and run['list_size'], size)}"
            reference = runs[0]["name"] if run and run is not runs[0] else None
            lines.append(Row(group, label, run or {}, quoted[quoted.list_size == size], reference))
    return build("tab6", lines, params, root, measured=[("test", "MRR@10"), ("test", "nDCG@10")])
