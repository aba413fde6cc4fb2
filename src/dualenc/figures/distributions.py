"""Distributions of scores, margins and shifts: what figures 2 and 5 to 8 have in common.

A frame has a line for each place of each curve: which curve it is (shows, series, label, group), the curve (x,
density, low, high), and what is constant along it: its bandwidth, the numbers of values and queries, and ``mean``
of the values of each query, averaged over queries, with its interval mean_low to mean_high.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dualenc.analysis import density, margins, negatives
from dualenc.evaluation.statistics import bootstrap_interval
from dualenc.figures import drawing
from dualenc.figures.drawing import COLOURS, GREY, MARKERS
from dualenc.paper import naming

GROUPS = {"positives": True, "negatives": False}
UNITS = {"CA": "logit", "DE": "dot product", "DIST": "dot product"}

Values = tuple[pd.Series, pd.Series]
"""Values (N,) and the qids (N,) that they belong to."""


def of_scores(pairs: pd.DataFrame, run: Mapping[str, Any], params: Mapping[str, Any]) -> pd.DataFrame:
    """The curves of one run's scores of positive and of negative pairs, at the same places.

    ``pairs`` is as `dualenc.analysis.pairs.read` gives it. In addition to the columns of all curves there are
    score_range, which normalises margins, and spread with its interval: the mean over queries of what
    `dualenc.analysis.negatives.spread` says.
    """
    groups = {name: pairs[pairs.relevant == relevant] for name, relevant in GROUPS.items()}
    frame = curves({(name,): (group.score, group.qid) for name, group in groups.items()}, params, ["group"])
    spread = negatives.spread(pairs)
    low, high = bootstrap_interval(spread, **bootstrap(params))
    about = {"shows": "scores", "series": naming.series(run), "label": naming.label(run)}
    about |= {"score_range": margins.score_range(pairs)}
    return frame.assign(**about, spread=spread.mean(), spread_low=low, spread_high=high)


def of_margins(
    runs: Sequence[Mapping[str, Any]], pairs: Sequence[pd.DataFrame], params: Mapping[str, Any]
) -> pd.DataFrame:
    """The curves of the normalised margins of ``runs``, whose scored pairs are ``pairs``, at the same places."""
    values = {}
    for run, scored in zip(runs, pairs, strict=True):
        margin = margins.normalised(scored)
        values[naming.label(run), naming.series(run)] = margin.margin, margin.qid
    return curves(values, params, ["label", "series"]).assign(shows="margins", group="pairs")


def curves(values: Mapping[tuple[str, ...], Values], params: Mapping[str, Any], columns: Sequence[str]) -> pd.DataFrame:
    """A curve for each name -> values, all at the same places; ``columns`` are those that hold the parts of the names.

    The bandwidth is ``params["options"]["bandwidth"]`` times the range of all values together.
    """
    together = pd.concat([column for column, _ in values.values()])
    bandwidth = params["options"]["bandwidth"] * ((together.max() - together.min()) or 1.0)
    x = density.places(together, bandwidth)
    frames = []
    for name, (column, qids) in values.items():
        frame = density.smoothed(column, qids, x, bandwidth, **bootstrap(params))
        by_query = column.groupby(qids).mean()
        low, high = bootstrap_interval(by_query, **bootstrap(params))
        about = {"bandwidth": bandwidth, "values": len(column), "queries": len(by_query)}
        about |= {"mean": by_query.mean(), "mean_low": low, "mean_high": high}
        frames.append(frame.assign(**dict(zip(columns, name, strict=True)), **about))
    return pd.concat(frames, ignore_index=True)


def panels(
    params: Mapping[str, Any], rows: int, columns: int, *, about: str, width: float
) -> tuple[Figure, np.ndarray]:
    """An empty figure, ``width`` inches wide, and its (rows, columns) axes; it says where its data come from."""
    figure = Figure(figsize=(width, 0.8 + 2.7 * rows))
    source = f"Rebuilt: {params['dataset']}, scale {params['scale']}, seed {params['seeds'][0]}"
    figure.suptitle(f"{source} – {about}", x=0.02, ha="left")
    bands = f"bands and intervals: {100 * params['evaluation']['confidence']:g} % over queries"
    smoothed = f"smoothed by a Gaussian of {100 * params['options']['bandwidth']:g} % of a panel's range"
    figure.supxlabel(f"{bands}; {smoothed}", fontsize=8, color=GREY)
    return figure, figure.subplots(rows, columns, squeeze=False)


def draw_curve(axes: Axes, curve: pd.DataFrame, colour: str, **line: Any) -> None:
    """One curve with its band."""
    axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.25, linewidth=0)
    axes.plot(curve.x, curve.density, color=colour, **line)


def draw_scores(axes: Axes, frame: pd.DataFrame) -> None:
    """One run's positives in the colour of its series and its negatives in grey, with what makes runs comparable."""
    about = frame.iloc[0]
    for group, curve in frame.groupby("group", sort=False):
        colour, line = (COLOURS[about.series], "-") if GROUPS[group] else (GREY, "--")
        draw_curve(axes, curve, colour, linestyle=line, label=group)
    said = f"score range ρ = {about.score_range:.3g}\nspread of negatives = {about.spread:.3f} ρ"
    axes.text(0.99, 0.98, said, transform=axes.transAxes, ha="right", va="top", fontsize=8)
    finish(axes, frame, about.label)


def draw_margins(axes: Axes, frame: pd.DataFrame) -> None:
    """The margins of each run, with a marker at their mean."""
    for label, curve in frame.groupby("label", sort=False):
        series = curve.series.iloc[0]
        draw_curve(axes, curve, COLOURS[series])
        draw_mean(axes, curve, series, label=f"{label}: {_interval(curve)}")
    axes.vlines(0, 0, frame.high.max(), color=GREY, linewidth=1, linestyle=":", zorder=1)
    axes.set_xlabel("normalised margin (fraction of ρ)")
    finish(axes, frame, "Margins: mean [interval]")


def draw_shift(axes: Axes, frame: pd.DataFrame) -> None:
    """What a dual-encoder adds to cross-attention's scores, over queries, with a marker at the mean."""
    draw_curve(axes, frame, COLOURS["DE"])
    draw_mean(axes, frame, "DE", label=_interval(frame))
    axes.set_xlabel("DE − CA, mean score of a query")
    finish(axes, frame, "Baseline shift: mean [interval]")


def draw_mean(axes: Axes, curve: pd.DataFrame, series: str, *, label: str) -> None:
    """A marker on the curve at its mean, with the interval, and ``label`` for the legend."""
    about = curve.iloc[0]
    mean, low, high = about["mean"], about["mean_low"], about["mean_high"]
    height = np.interp(mean, curve.x, curve.density)
    colour = COLOURS[series]
    axes.errorbar(mean, height, xerr=[[mean - low], [high - mean]], color=colour, capsize=3, zorder=4)
    marker = {"marker": MARKERS[series], "markersize": 7, "markeredgecolor": "white"}
    axes.plot(mean, height, color=colour, **marker, zorder=5, label=label)


def _interval(curve: pd.DataFrame) -> str:
    about = curve.iloc[0]
    return drawing.interval(about["mean"], about["mean_low"], about["mean_high"])


def finish(axes: Axes, frame: pd.DataFrame, title: str) -> None:
    """Title, legend and room for it above the curves, without ticks there; densities start at 0."""
    peak = frame.high.max()
    axes.set_title(title)
    axes.legend(loc="upper left", frameon=False, fontsize=8, borderaxespad=0, handlelength=1.6)
    axes.set_ylim(0, 1.45 * peak)
    axes.set_yticks([tick for tick in MaxNLocator(4).tick_values(0, peak) if 0 <= tick <= 1.02 * peak])
    axes.xaxis.set_major_locator(MaxNLocator(4))


def bootstrap(params: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the bootstrap among those of the evaluation."""
    return {key: params["evaluation"][key] for key in ("confidence", "resamples", "seed")}
