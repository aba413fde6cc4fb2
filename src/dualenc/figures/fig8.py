"""Figure 8: normalised test margins of the one-hot dual-encoder and of one distilled with M³SE."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualenc.analysis import pairs
from dualenc.figures import distributions, drawing

SHOWS = {"experiments": ["de", "de-m3se"], "needs": ["runs"], "options": {"bandwidth": 0.03}}
REQUIRES = {"distinct": ["label"], "options": {"bandwidth": "share"}}
CAPTION = (
    "Does distillation with M³SE give a dual-encoder (DE) larger margins on test queries? In the paper, the "
    "distribution of the distilled model (DIST) has more mass on large margins than that of the DE trained on "
    "one-hot labels. Look for DIST's curve and mean to the right of DE's. Margins are (s(q, d+) - s(q, d-)) / ρ "
    "over all positives and negatives of a query, where ρ is the model's largest difference between two scores of "
    "one query; margins below 0 are negatives above a positive. The paper prints no numbers for this figure."
)


def data(params: Mapping[str, Any], root: Path) -> pd.DataFrame:
    """Every curve of the figure; see `dualenc.figures.distributions`. Raises `UserError` if a run is missing."""
    scored = [pairs.of_run(root, run["name"], params["seeds"][0], "test") for run in params["runs"]]
    return distributions.of_margins(params["runs"], scored, params)


def draw(frame: pd.DataFrame, params: Mapping[str, Any]) -> Figure:
    """All margins in one panel."""
    figure, axes = distributions.panels(params, 1, 1, about="test", width=7)
    distributions.draw_margins(axes[0, 0], frame)
    axes[0, 0].set_ylabel("density")
    return figure


if __name__ == "__main__":
    drawing.alone("fig8")
