"""Effectiveness on train and test against embedding size: what figures 1 and 3 have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from dualenc.evaluation import results
from dualenc.evaluation.results import BM25
from dualenc.figures import drawing
from dualenc.figures.drawing import COLOURS, GREY, MARKERS
from dualenc.paper import naming, reported
from dualenc.runtime.errors import UserError

MEASURE = "MRR@10"
EVALSETS = ["train", "test"]
TABLES = ["tab1", "tab2", "tab4", "tab5"]  # where the paper prints what its figures 1 and 3 show
PAPER_SERIES = {"ca": "CA", "de": "DE", "de-m3se": "DIST"}


def data(params: Mapping[str, Any], root: Path, *, paper_layers: int) -> pd.DataFrame:
    """Every point: the runs of ``params``, BM25 (without a width), and the paper's with ``paper_layers``.

    ``low`` and ``high`` bound the mean over queries, ``seed_low`` and ``seed_high`` are the worst and the
    best seed. Raises `UserError` if a run is missing or was not evaluated on the same queries as the
    others, and if two runs would be the same point.
    """
    widths: dict[tuple[str, int], str] = {}
    for run in params["runs"]:
        other = widths.setdefault((naming.series(run), run["width"]), run["name"])
        if other != run["name"]:
            raise UserError(
                f"{params['artefact']} shows one {naming.series(run)} model of width {run['width']}, but "
                f"params.yaml lists the runs {other} and {run['name']} for it: keep one of them."
            )
    systems = results.load_all(root, [run["name"] for run in params["runs"]] + [BM25], params["seeds"])
    about = {run["name"]: {"series": naming.series(run), **run} for run in params["runs"]}
    about[BM25] = {"series": "BM25", "experiment": BM25}
    points = []
    for name, system in systems.items():
        for evalset in EVALSETS:
            estimate = results.estimate(system, evalset, MEASURE, params["evaluation"])
            point = {**about[name], "evalset": evalset, "measure": MEASURE, "source": "rebuilt"}
            points.append(point | estimate._asdict())
    columns = ["series", "experiment", "encoder", "width", "evalset", "measure", "mean", "low", "high"]
    columns += ["seed_low", "seed_high", "seeds", "queries", "source"]
    frame = pd.concat([pd.DataFrame(points), quoted(paper_layers)]).reindex(columns=columns)
    return frame.astype(dict.fromkeys(["width", "seeds", "queries"], "Int64"))


def quoted(layers: int) -> pd.DataFrame:
    """The paper's numbers for encoders of ``layers`` layers, in the columns of `data` that it prints."""
    cells = pd.concat([reported.cells(table) for table in TABLES])
    asked = (cells.dataset == "msmarco-passage") & cells.evalset.isin(EVALSETS) & (cells.measure == MEASURE)
    cells = cells[asked & (cells.layers == layers) & cells.experiment.isin(list(PAPER_SERIES))]
    cells = cells.drop_duplicates(["experiment", "width", "evalset"]).sort_values(["experiment", "width"])
    encoder = [f"small-bert-{layers}-{width}" for width in cells.width]
    cells = cells.assign(series=cells.experiment.map(PAPER_SERIES), encoder=encoder, source="paper")
    return cells.rename(columns={"value": "mean"})[
        ["series", "experiment", "encoder", "width", "evalset", "measure", "mean", "source"]
    ]


def draw(frame: pd.DataFrame, params: Mapping[str, Any], *, paper_layers: int) -> Figure:
    """Two large panels of rebuilt points, train and test, and two small ones of the paper's."""
    layers = "/".join(sorted({str(run["layers"]) for run in params["runs"]}))
    seeds = len(params["seeds"])
    bars = "; vertical bars: worst to best seed" if seeds > 1 else ""
    figure = Figure(figsize=(10, 4))
    left, right = figure.subfigures(1, 2, width_ratios=[1.3, 1])
    right.set_facecolor("#F5F5F5")
    _panels(
        left,
        frame[frame.source == "rebuilt"],
        title=f"Rebuilt: {params['dataset']}, scale {params['scale']} (layers: {layers}, seeds: {seeds})",
        key=f"embedding size (bands: {100 * params['evaluation']['confidence']:g} % over queries{bars})",
    )
    _panels(
        right,
        frame[frame.source == "paper"],
        title=f"Paper: MS MARCO passage (layers: {paper_layers})",
        key="embedding size",
    )
    return figure


def _panels(figure: SubFigure, frame: pd.DataFrame, *, title: str, key: str) -> None:
    """Train and test next to each other, on the same axes."""
    figure.suptitle(title, x=0.02, ha="left")
    figure.supxlabel(key, fontsize=9)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    ends = [_lines(axes, frame[frame.evalset == name]) for axes, name in zip(panels, EVALSETS, strict=True)]
    bottom, top = panels[0].get_ylim()
    for axes, name, heights in zip(panels, EVALSETS, ends, strict=True):
        axes.set_title(name.capitalize())
        drawing.label_ends(axes, heights, gap=0.055 * (top - bottom))
    panels[0].set_ylabel(MEASURE)


def _lines(axes: Axes, frame: pd.DataFrame) -> dict[str, float]:
    """Draw the series of one panel; the heights at which they end."""
    trained = frame[frame.width.notna()]
    widths = sorted(trained.width.unique())
    ends = {}
    for name, line in trained.groupby("series"):
        line = line.sort_values("width").astype({"width": float})
        colour = COLOURS[name]
        # Points of a series that lacks some widths are not joined: what lies between them is not known.
        joined = "-" if len(line) == len(widths) else "none"
        axes.plot(line.width, line["mean"], linestyle=joined, marker=MARKERS[name], color=colour, zorder=3)
        axes.fill_between(line.width, line.low, line.high, color=colour, alpha=0.13, linewidth=0)
        axes.vlines(line.width, line.seed_low, line.seed_high, color=colour, linewidth=1)
        ends[name] = line["mean"].iloc[-1]
    for mean in frame[frame.series == "BM25"]["mean"]:
        axes.axhline(mean, color=GREY, linewidth=1, linestyle="--", zorder=1)
        ends["BM25"] = mean
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [f"{width:g}" for width in widths])
    axes.minorticks_off()
    return ends
