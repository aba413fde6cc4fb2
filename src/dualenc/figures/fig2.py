"""Figure 2: test scores of positives and negatives by CA and DE, and normalised margins of CA, DE and DIST."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualenc.analysis import pairs, shift
from dualenc.figures import distributions, drawing
from dualenc.paper import naming

SHOWS = {"experiments": ["ca", "de", "de-softmax-ce"], "needs": ["runs"], "options": {"bandwidth": 0.03}}
REQUIRES = {"distinct": ["label"], "options": {"bandwidth": "share"}}
CAPTION = (
    "What does a dual-encoder (DE) do differently from cross-attention (CA) on test queries? In the paper, CA "
    "collapses the negatives to a sharp peak away from the positives; the one-hot DE spreads them, so that they "
    "overlap with the positives; and its normalised margins (s(q, d+) - s(q, d-)) / ρ are smaller, until "
    "distillation with softmax CE (DIST) moves them towards CA's. Look for a smaller spread of negatives for CA, "
    "and for the order of the mean margins. ρ is the largest difference between two scores of one query; the "
    "spread is the interquartile range of a query's negatives, in units of ρ, averaged over queries. Each model's "
    "scores are shifted by one constant so that their mean is 0, as in the paper; figure 6 shows them as they are. "
    "The paper prints no numbers for this figure."
)


def data(params: Mapping[str, Any], root: Path) -> pd.DataFrame:
    """Every curve of the figure; see `dualenc.figures.distributions`. Raises `UserError` if a run is missing."""
    runs = params["runs"]
    scored = [pairs.of_run(root, run["name"], params["seeds"][0], "test") for run in runs]
    scores = [
        distributions.of_scores(shift.centred(one), run, params)
        for run, one in zip(runs, scored, strict=True)
        if naming.series(run) != "DIST"
    ]
    return pd.concat([*scores, distributions.of_margins(runs, scored, params)], ignore_index=True)


def draw(frame: pd.DataFrame, params: Mapping[str, Any]) -> Figure:
    """A panel for the scores of each one-hot model, and one for all margins."""
    scores = [curves for _, curves in frame[frame.shows == "scores"].groupby("label", sort=False)]
    figure, axes = distributions.panels(params, 1, len(scores) + 1, about="test", width=10)
    for one, curves in zip(axes[0], scores, strict=False):
        distributions.draw_scores(one, curves)
        one.set_xlabel(f"score − mean ({distributions.UNITS[curves.series.iloc[0]]})")
    distributions.draw_margins(axes[0, -1], frame[frame.shows == "margins"])
    axes[0, 0].set_ylabel("density")
    return figure


if __name__ == "__main__":
    drawing.alone("fig2")
