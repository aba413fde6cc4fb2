"""Figure S3: Proposition 3, softmax cross-entropy becoming margin MSE as the temperature grows."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualenc.analysis import gradients
from dualenc.figures import drawing
from dualenc.figures.drawing import GREY

SHOWS = {
    "needs": [],
    "options": {
        "margins": [[1, 0], [4, 1], [4, -2], [10, 2], [10, 9]],  # [teacher's, student's]
        "temperatures": [0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100],
    },
}
REQUIRES = {"options": {"margins": "margins", "temperatures": "temperatures"}}
CAPTION = (
    "In what sense is softmax cross-entropy a smooth margin MSE? Proposition 3 of the paper: for one positive and one "
    "negative, τ² times the gradient of softmax CE distillation tends to 1/8 of margin MSE's gradient as the "
    "temperature τ grows. Look for every line to reach the dashed 1/8, later the larger the margins are, and for the "
    "small values at low temperatures, where softmax CE does not ask a student to match a margin that is already "
    "large. Each line is one pair of a teacher's and a student's margin; gradients are with respect to the student's "
    "score of the positive, by automatic differentiation of the losses that the models are trained with."
)
# Distinct in grey print too, and none of the colours of CA, DE and DIST.
LINES = [("#CC79A7", "-"), ("#999933", "--"), ("#882255", "-."), ("#332288", ":"), ("#000000", (0, (5, 1, 1, 1, 1, 1)))]


def data(params: Mapping[str, Any], root: Path) -> pd.DataFrame:
    """``ratio`` of `dualenc.analysis.gradients.ratio` for each of the options' ``margins`` and ``temperatures``.

    ``margins`` are pairs [teacher's margin, student's margin]. No file below ``root`` is read. Raises `UserError` for
    a pair of equal margins.
    """
    rows = [
        (teacher, student, temperature, gradients.ratio(teacher, student, temperature))
        for teacher, student in params["options"]["margins"]
        for temperature in params["options"]["temperatures"]
    ]
    return pd.DataFrame(rows, columns=["teacher_margin", "student_margin", "temperature", "ratio"])


def draw(frame: pd.DataFrame, params: Mapping[str, Any]) -> Figure:
    """A line for each pair of margins, and the limit."""
    figure = Figure(figsize=(7, 3.8))
    figure.suptitle("Gradient of softmax CE against margin MSE", x=0.02, ha="left")
    axes = figure.subplots()
    lines = frame.groupby(["teacher_margin", "student_margin"], sort=False)
    for (colour, style), ((teacher, student), line) in zip(itertools.cycle(LINES), lines, strict=False):
        label = f"{teacher:g} and {student:g}".replace("-", "−")
        axes.plot(line.temperature, line.ratio, color=colour, linestyle=style, label=label)
    axes.axhline(gradients.LIMIT, color=GREY, linewidth=1, linestyle="--", zorder=1)
    axes.text(frame.temperature.min(), gradients.LIMIT, "limit 1/8", va="bottom", color=GREY)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.15 * max(frame.ratio.max(), gradients.LIMIT))
    axes.set_xlabel("temperature τ (same units as scores)")
    axes.set_ylabel("τ² × gradient ratio")
    title = "margins of\nteacher and student"
    axes.legend(title=title, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, alignment="left")
    return figure


if __name__ == "__main__":
    drawing.alone("figS3")
