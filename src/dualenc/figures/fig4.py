"""Figure 4: effectiveness on train and test along training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from dualenc.data import frames
from dualenc.figures import drawing
from dualenc.figures.drawing import COLOURS, MARKERS
from dualenc.paper import naming
from dualenc.runtime.errors import UserError

MEASURE = "MRR@10"
CHOOSES = "nDCG@10"  # on validation: Appendix B
EVALSETS = ["train", "test"]
MOST_TICKS = 8  # with fewer probes each has a tick
SHOWS = {"experiments": ["ca", "de", "de-m3se"], "needs": ["curves"]}
REQUIRES = {"distinct": ["label"]}
CAPTION = (
    "How do cross-attention (CA), the dual-encoder (DE) and the distilled one (DIST) get where figure 1 finds them? In "
    "the paper, all with the same encoder, DE starts behind CA and comes close to it on train queries while its test "
    "effectiveness stays flat; DIST follows DE on train for the first 100,000 of 300,000 steps, then falls behind "
    "there and rises above it on test. Look for DE's line to keep rising under train while it is flat under test, and "
    "for DIST to cross it in opposite directions. Lines are means over seeds on a fixed sample of queries and the "
    "first candidates of each, bands run from the lowest to the highest seed, and the marker is the step whose nDCG@10 "
    "on the validation split is best: test never chooses. The paper prints no numbers for this figure."
)


def data(params: Mapping[str, Any], root: Path) -> pd.DataFrame:
    """Series, run, evalset, step, MRR@10 (mean, low, high over seeds), the number of seeds, and which step was chosen.

    Steps that some seed did not reach, because it stopped early, are left out. ``chosen`` marks the step with the
    best mean validation nDCG@10 after the first. Raises `UserError` for a run without a curve or without one of the
    splits in it.
    """
    frames = []
    for run in params["runs"]:
        curve = pd.concat(
            [_read(root / "runs" / run["name"] / f"seed-{seed}" / "curve.csv") for seed in params["seeds"]]
        )
        reached = curve.groupby(["split", "metric", "step"]).value.agg(["mean", "min", "max", "count"])
        reached = reached[reached["count"] == len(params["seeds"])]
        chosen = reached.loc["validation", CHOOSES]["mean"].drop(0, errors="ignore").idxmax()  # 0 has no checkpoint
        for evalset in EVALSETS:
            points = reached.loc[evalset, MEASURE].reset_index()
            points = points.rename(columns={"min": "low", "max": "high", "count": "seeds"})
            about = {"series": naming.series(run), "label": naming.label(run), "run": run["name"]}
            frames.append(points.assign(**about, evalset=evalset, chosen=points.step == chosen))
    return pd.concat(frames, ignore_index=True)


def _read(path: Path) -> pd.DataFrame:
    curve = frames.read_curve(path, "train this run first")
    for split in ("validation", *EVALSETS):
        if split not in set(curve.split):
            raise UserError(f"{path} has nothing about {split}: train this run again, with a probe on each split.")
    return curve


def draw(frame: pd.DataFrame, params: Mapping[str, Any]) -> Figure:
    """Train and test next to each other, on the same axes."""
    encoders = "/".join(sorted({run["encoder"] for run in params["runs"]}))
    seeds = len(params["seeds"])
    figure = Figure(figsize=(10, 3.8))
    where = f"{params['dataset']}, scale {params['scale']} (encoder: {encoders}, seeds: {seeds})"
    figure.suptitle(f"Rebuilt: {where}", x=0.02, ha="left")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, evalset in zip(panels, EVALSETS, strict=True):
        _lines(axes, frame[frame.evalset == evalset])
        axes.set_title(evalset.capitalize())
        probed = sorted(set(frame.step))
        axes.xaxis.set_major_locator(FixedLocator(probed) if len(probed) <= MOST_TICKS else MaxNLocator(integer=True))
        axes.set_xlabel("training step" + " (bands: worst to best seed)" * (seeds > 1))
    panels[0].set_ylabel(f"{MEASURE} (sample of queries)")
    panels[1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def _lines(axes: Axes, frame: pd.DataFrame) -> None:
    """The line of each series, with its marker at the chosen step."""
    for label, line in frame.groupby("label", sort=False):
        series = line.series.iloc[0]
        colour, marker = COLOURS[series], MARKERS[series]
        axes.fill_between(line.step, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        at = list(np.flatnonzero(line.chosen))
        axes.plot(line.step, line["mean"], color=colour, marker=marker, markersize=8, markevery=at, label=label)


if __name__ == "__main__":
    drawing.alone("fig4")
