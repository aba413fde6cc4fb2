"""Figure 7: test scores of CA, DE and DIST at the start, early in training and at its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualenc.analysis import pairs, shift
from dualenc.figures import distributions, drawing

SHOWS = {"experiments": ["ca", "de", "de-m3se"], "needs": ["runs", "checkpoints"], "options": {"bandwidth": 0.03}}
REQUIRES = {"distinct": ["label"], "options": {"bandwidth": "share"}}
CAPTION = (
    "When do cross-attention (CA) and dual-encoders (DE) diverge? In the paper, positives and negatives overlap at the "
    "start (top), CA within a much tighter range; after 10,000 of 300,000 steps (middle), CA has a sharp peak of "
    "negatives while DE's are diffuse; at the end (bottom) the distilled DE (DIST) is at least as sharp as CA. Look "
    "down the columns for the spread of negatives to shrink and the positives to move out, and along the rows for "
    "which model is first. Axes differ from panel to panel: compare the score ranges ρ, the largest difference between "
    "two scores of one query, and the spread, the interquartile range of a query's negatives in units of ρ, averaged "
    "over queries. Each model's scores are shifted by one constant so that their mean is 0. The end is the checkpoint "
    "that the validation split chose. The paper prints no numbers for this figure."
)


def data(params: Mapping[str, Any], root: Path) -> pd.DataFrame:
    """Every curve of the figure, with the ``stage`` of the training; see `dualenc.figures.distributions`.

    Stages are ``params["checkpoints"]``, numbers of steps, and the end. Raises `UserError` if a run is missing.
    """
    seed = params["seeds"][0]
    frames = []
    for run in params["runs"]:
        stages = {
            f"step {step}": pairs.of_checkpoint(root, run["name"], seed, step, "test") for step in params["checkpoints"]
        }
        stages["end"] = pairs.of_run(root, run["name"], seed, "test")
        for stage, scored in stages.items():
            frames.append(distributions.of_scores(shift.centred(scored), run, params).assign(stage=stage))
    return pd.concat(frames, ignore_index=True)


def draw(frame: pd.DataFrame, params: Mapping[str, Any]) -> Figure:
    """A row for each stage, a column for each model."""
    stages, labels = frame.stage.unique(), frame.label.unique()
    figure, axes = distributions.panels(params, len(stages), len(labels), about="test, along training", width=10)
    for row, stage in zip(axes, stages, strict=True):
        for one, label in zip(row, labels, strict=True):
            curves = frame[(frame.stage == stage) & (frame.label == label)]
            distributions.draw_scores(one, curves)
            one.set_title(f"{label}, {stage}")
            if stage == stages[-1]:
                one.set_xlabel(f"score − mean ({distributions.UNITS[curves.series.iloc[0]]})")
        row[0].set_ylabel("density")
    return figure


if __name__ == "__main__":
    drawing.alone("fig7")
