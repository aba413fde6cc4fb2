"""Figures: one style for all, and how they are saved.

The figure ``<id>`` is the module ``dualenc.figures.<id>``. It has ``CAPTION``, what the paper saw and what to
look for, ``data(params, root) -> DataFrame``, every number that is drawn, and ``draw(frame, params) ->
Figure``, where ``params`` is the artefact's slice of params.yaml and ``root`` the folder ``results/<scale>``.
`python -m dualenc.figures.<id> results/<scale>` draws it alone.
"""

import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic, required
from dualenc.study import artefacts, config, shown

GREY = "#666666"
# Okabe and Ito's colours, which the colour-blind can tell apart; markers tell the series apart in grey.
COLOURS = {"CA": "#0072B2", "DE": "#D55E00", "DIST": "#009E73", "BM25": GREY}
MARKERS = {"CA": "o", "DE": "s", "DIST": "^"}
STYLE = {
    "font.size": 10,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,  # inches
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # fonts are embedded as TrueType, so that text stays text
}


def make(name: str, params: Mapping[str, Any], root: Path, csv: Path, pdf: Path, png: Path) -> None:
    """Write a figure and its data, from the results below ``root``. Raises `UserError` if one is missing."""
    frame = artefacts.module("figure", name).data(params, root)
    with atomic(csv) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.7g")
    redraw(name, params, csv, pdf, png)


def redraw(name: str, params: Mapping[str, Any], csv: Path, pdf: Path, png: Path) -> None:
    """Write a figure from its data alone, as `make` does. Raises `UserError` if these are no table."""
    try:
        frame = pd.read_csv(required(csv), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{csv} cannot be read as CSV ({error}): make it again.") from None
    with style():
        save(artefacts.module("figure", name).draw(frame, params), pdf, png)


def redraw_all(study: config.Study, names: Iterable[str], root: Path, figures: Path) -> list[Path]:
    """Draw the figures ``names`` of a scale from their data below ``root``; returns the pictures.

    Raises `UserError` for data that are not those of the figure.
    """
    pictures = []
    for name in names:
        csv, (pdf, png) = root / "figure-data" / f"{name}.csv", (figures / f"{name}.{one}" for one in ("pdf", "png"))
        try:
            redraw(name, shown.artefact(study, name), csv, pdf, png)
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            raise UserError(f"{csv} is not the data of {name} ({error!r}): make it again.") from error
        pictures.append(png)
    return pictures


def alone(name: str) -> None:
    """Draw one figure from the results in the folder that the command line names, where the workflow draws it."""
    try:
        if len(sys.argv) != 2:
            raise UserError(f"give the folder of a scale's results: python -m dualenc.figures.{name} results/mini")
        root = Path(sys.argv[1])
        params = shown.artefact(config.load("params.yaml", {"scale": root.name}), name)
        pdf, png = (Path("figures", root.name, f"{name}.{ending}") for ending in ("pdf", "png"))
        make(name, params, root, root / "figure-data" / f"{name}.csv", pdf, png)
        print(png)
    except UserError as error:
        sys.exit(f"dualenc: {error}")


def style():
    """Context in which figures are drawn and saved: our style over matplotlib's defaults, not the user's."""
    return matplotlib.style.context(["default", STYLE])


def interval(mean: float, low: float, high: float) -> str:
    """A mean and its interval as text, to the digits that the interval's width makes worth reading."""
    width = high - low
    digits = max(0, 1 - math.floor(math.log10(width))) if width > 0 else 3
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def save(figure: Figure, pdf: Path, png: Path) -> None:
    """Save a figure twice, each file atomically. The same figure always gives the same bytes."""
    with atomic(pdf) as path:
        figure.savefig(path, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    with atomic(png) as path:
        figure.savefig(path, format="png", metadata={"Software": None})


def label_ends(axes: Axes, ends: Mapping[str, float], *, gap: float) -> None:
    """Write each series' name in its colour to the right of ``axes``, at its height in ``ends`` or as near as fits.

    Names keep a distance of ``gap`` (in units of the y axis) from each other: they are moved as little as
    possible, in the sense of least squares.
    """
    names = sorted(ends, key=ends.get)
    for name, height in zip(names, spread([ends[name] for name in names], gap), strict=True):
        axes.text(1.02, height, name, transform=axes.get_yaxis_transform(), va="center", color=COLOURS[name])


def spread(positions: ArrayLike, gap: float) -> np.ndarray:
    """The positions (N,) nearest to the ascending ``positions`` that are at least ``gap`` apart."""
    from scipy.optimize import isotonic_regression  # takes a second to import

    steps = gap * np.arange(len(positions))
    return isotonic_regression(np.asarray(positions) - steps).x + steps
