"""Figure 5: train scores of positives and negatives by CA and DE."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualenc.analysis import pairs, shift
from dualenc.figures import distributions, drawing

SHOWS = {"experiments": ["ca", "de"], "needs": ["runs"], "options": {"bandwidth": 0.03}}
REQUIRES = {"distinct": ["label"], "options": {"bandwidth": "share"}}
CAPTION = (
    "Does what figure 2 shows for test queries hold for queries that the models learned from? In the paper it does: "
    "cross-attention (CA) has a sharp peak of negatives away from the positives, the dual-encoder (DE) spreads its "
    "negatives. Look for the same shapes as in figure 2, and for positives that are further away from the negatives. "
    "ρ is the largest difference between two scores of one query; the spread is the interquartile range of a query's "
    "negatives, in units of ρ, averaged over queries. Each model's scores are shifted by one constant so that their "
    "mean is 0. The paper prints no numbers for this figure."
)


def data(params: Mapping[str, Any], root: Path) -> pd.DataFrame:
    """Every curve of the figure; see `dualenc.figures.distributions`. Raises `UserError` if a run is missing."""
    frames = []
    for run in params["runs"]:
        scored = pairs.of_run(root, run["name"], params["seeds"][0], "train")
        frames.append(distributions.of_scores(shift.centred(scored), run, params))
    return pd.concat(frames, ignore_index=True)


def draw(frame: pd.DataFrame, params: Mapping[str, Any]) -> Figure:
    """A panel for the scores of each model."""
    scores = [curves for _, curves in frame.groupby("label", sort=False)]
    figure, axes = distributions.panels(params, 1, len(scores), about="train", width=8)
    for one, curves in zip(axes[0], scores, strict=True):
        distributions.draw_scores(one, curves)
        one.set_xlabel(f"score − mean ({distributions.UNITS[curves.series.iloc[0]]})")
    axes[0, 0].set_ylabel("density")
    return figure


if __name__ == "__main__":
    drawing.alone("fig5")
