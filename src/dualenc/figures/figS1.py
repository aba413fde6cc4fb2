"""Figure S1: what one gradient step on a pair does to the scores of other pairs, CA against DE."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualenc.analysis import influence
from dualenc.evaluation.statistics import bootstrap_interval
from dualenc.figures import distributions, drawing
from dualenc.figures.drawing import COLOURS
from dualenc.paper import naming

SHARED = {"query": "same query", "passage": "same passage", "neither": "nothing shared"}
SHOWS = {"experiments": ["ca", "de"], "needs": ["score-updates"], "options": {"bandwidth": 0.03}}
REQUIRES = {"distinct": ["series"], "options": {"bandwidth": "share"}}
CAPTION = (
    "Are the updates of dual-encoders (DE) noisier than those of cross-attention (CA)? The paper argues (section 3.3, "
    "and its talk: 'noisy score updates') that a step on one (query, passage) pair moves all pairs that share the "
    "query's or the passage's embedding, so that a DE finds fine distinctions harder to learn. Here one gradient step "
    "raises the score of a test query and its relevant passage, for both models by the same small fraction of the "
    "standard deviation of their scores; curves show how far other pairs move, relative to that pair. The right column "
    "is what moves all scores alike, and so changes no ranking. In each row, look for DE to lie further right in the "
    "first two columns than in the third, and for CA to do so less: excess is that difference in means. Rows are the "
    "start, an early step and the end of training. The talk names the study but gives no number."
)


def data(params: Mapping[str, Any], root: Path) -> pd.DataFrame:
    """A curve of relative changes for each run, stage of the training, and kind of other pair.

    Columns are those of `dualenc.figures.distributions`, stage, shared, and excess with its interval over queries (see
    `dualenc.analysis.influence`; empty where nothing is shared). Raises `UserError` if a run's updates are missing.
    """
    values, excesses = {}, []
    for run in params["runs"]:
        for stage, updates in influence.read(root, run["name"], params["seeds"][0]).groupby("checkpoint", sort=False):
            relative = influence.relative(updates)
            about = naming.series(run), stage.replace("-", " ")
            for shared in SHARED:
                at = updates.shared == shared
                values[(*about, shared)] = relative[at], updates.qid[at]
            for shared in ("query", "passage"):
                excess = influence.excess(updates, shared)
                low, high = bootstrap_interval(excess, **distributions.bootstrap(params))
                excesses.append((*about, shared, excess.mean(), low, high))
    names = ["series", "stage", "shared"]
    measured = pd.DataFrame(excesses, columns=[*names, "excess", "excess_low", "excess_high"])
    return distributions.curves(values, params, names).merge(measured, on=names, how="left")


def draw(frame: pd.DataFrame, params: Mapping[str, Any]) -> Figure:
    """A row for each stage, a column for each kind of other pair, on the same axis."""
    stages = frame.stage.unique()
    figure, axes = distributions.panels(params, len(stages), len(SHARED), about="test, one gradient step", width=10)
    for row, stage in zip(axes, stages, strict=True):
        for one, (shared, title) in zip(row, SHARED.items(), strict=True):
            curves = frame[(frame.stage == stage) & (frame.shared == shared)]
            for series, curve in curves.groupby("series", sort=False):
                distributions.draw_curve(one, curve, COLOURS[series])
                distributions.draw_mean(one, curve, series, label=_label(series, curve.iloc[0]))
            distributions.finish(one, curves, f"{stage}: {title}")
            one.set_xlim(0, frame.x.max())
        row[0].set_ylabel("density")
    for one in axes[-1]:
        one.set_xlabel("|change| / |own change|")
    return figure


def _label(series: str, about: pd.Series) -> str:
    """The mean, and the excess where something is shared."""
    text = f"{series}: {about['mean']:.2f}"
    if pd.isna(about.excess):
        return text
    return f"{text}, excess {drawing.interval(about.excess, about.excess_low, about.excess_high)}"


if __name__ == "__main__":
    drawing.alone("figS1")
