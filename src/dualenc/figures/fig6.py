"""Figure 6: test scores of CA and DE as they are, and the baseline shift between them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualenc.analysis import pairs, shift
from dualenc.figures import distributions, drawing
from dualenc.paper import naming
from dualenc.runtime.errors import UserError

SHOWS = {"experiments": ["ca", "de"], "needs": ["runs"], "options": {"bandwidth": 0.03}}
REQUIRES = {"series": ["CA", "DE"], "options": {"bandwidth": "share"}}
CAPTION = (
    "Do the scores of a dual-encoder (DE) and of cross-attention (CA) mean the same thing? In the paper they do not: "
    "CA's logits lie around 0, DE's dot products around 700, a strong baseline shift, which is why a DE that has to "
    "match raw scores (MSE) fails while margins and softmax CE do not see the shift. Look at the axes of the first "
    "two panels, and in the third for a distribution away from 0 (a shift) and for its width: what differs from query "
    "to query cannot be undone by one constant. ρ is the largest difference between two scores of one query; the "
    "spread is the interquartile range of a query's negatives, in units of ρ, averaged over queries. For this figure, "
    "the paper's text gives only the order of magnitude of DE's scores, about 700."
)


def data(params: Mapping[str, Any], root: Path) -> pd.DataFrame:
    """Every curve of the figure; see `dualenc.figures.distributions`.

    Raises `UserError` if a run is missing, and unless the runs are one CA and one DE that scored the same pairs.
    """
    runs = {naming.series(run): run for run in params["runs"]}
    if sorted(runs) != ["CA", "DE"] or len(params["runs"]) != 2:
        names = ", ".join(run["name"] for run in params["runs"])
        raise UserError(f"fig6 shows one cross-attention model and one one-hot dual-encoder, not {names}: name two.")
    scored = {series: pairs.of_run(root, runs[series]["name"], params["seeds"][0], "test") for series in ("CA", "DE")}
    by_query = shift.between(scored["DE"], scored["CA"])
    values = {("shift", "DE", "DE - CA", "queries"): (by_query, by_query.index.to_series())}
    shifts = distributions.curves(values, params, ["shows", "series", "label", "group"])
    scores = [distributions.of_scores(scored[series], runs[series], params) for series in scored]
    return pd.concat([*scores, shifts], ignore_index=True)


def draw(frame: pd.DataFrame, params: Mapping[str, Any]) -> Figure:
    """A panel for the scores of each model, and one for the shift."""
    figure, axes = distributions.panels(params, 1, 3, about="test, scores as they are", width=10)
    for one, (series, curves) in zip(axes[0], frame[frame.shows == "scores"].groupby("series"), strict=False):
        distributions.draw_scores(one, curves)
        one.set_xlabel(f"score ({distributions.UNITS[series]})")
    distributions.draw_shift(axes[0, 2], frame[frame.shows == "shift"])
    axes[0, 0].set_ylabel("density")
    return figure


if __name__ == "__main__":
    drawing.alone("fig6")
