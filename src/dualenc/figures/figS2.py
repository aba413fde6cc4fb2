"""Figure S2: Proposition 1, the teacher's scores as dot products of embeddings of growing dimension."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualenc.analysis import factorisation
from dualenc.data.collection import read_qrels
from dualenc.data.runs import Ranking
from dualenc.evaluation.metrics import evaluate
from dualenc.evaluation.statistics import bootstrap_interval
from dualenc.figures import drawing
from dualenc.figures.drawing import COLOURS, GREY, MARKERS
from dualenc.paper import naming
from dualenc.runtime.errors import UserError

MEASURE = "MRR@10"
EVALSETS = ["train", "test"]
LEAST_RATIO = 1.3  # between two labels of the logarithmic axis
PANELS = {"error": "relative error against CA's scores", MEASURE: f"{MEASURE} within the block"}
SHOWS = {
    "besides": ["ca"],
    "experiments": ["de", "de-m3se"],
    "encoders": "deep",
    "needs": ["runs", "score-matrices"],
    "options": {"teacher": "ca", "ranks": [1, 2, 4, 8, 16, 24, 32, 48, 64, 80, 96, 112]},
}
REQUIRES = {"options": {"teacher": "run", "ranks": "counts"}}
CAPTION = (
    "How large must embeddings be for a dual-encoder (DE) to score like cross-attention (CA)? By Proposition 1 of the "
    "paper, some size is enough; for finitely many queries and passages, the singular value decomposition of CA's "
    "score matrix gives the best embeddings of each dimension r. Line: that best factorisation of the scores of a "
    "block of queries and passages, without each query's mean, which changes no ranking. Markers: trained DEs of width "
    "r, one-hot (DE) and distilled (DIST), on the same block, all scores scaled by the one factor that fits best. No "
    "DE can be below the line of errors. Look for the line to be far below the markers, and its MRR@10 to reach CA's, "
    "at the widths of the trained models: capacity would suffice, and what is missing is missing from training. A "
    "smaller distance on train than on test is the generalisation gap. Each query's relevant passage is in the block, "
    "so MRR@10 is not that of the tables. The paper states the proposition but has no such figure."
)


def data(params: Mapping[str, Any], root: Path) -> pd.DataFrame:
    """``error`` and MRR@10 of every factorisation and every run, a line each.

    Columns: evalset, series ("SVD" for factorisations, "CA" for the scores that are factorised), run, width (the
    dimension of the embeddings), error, MRR@10 with its interval low to high, and the size of the block. The options'
    ``teacher`` names the run whose scores are factorised, ``ranks`` the dimensions. Raises `UserError` if a matrix is
    missing or has queries or passages other than the teacher's.
    """
    rows = []
    teacher = params["options"]["teacher"]
    runs = {run["name"]: run for run in params["runs"] if run["name"] != teacher}
    for evalset in EVALSETS:
        scores = factorisation.read(root, teacher, params["seeds"][0], evalset)
        target = factorisation.centred(scores)
        errors = factorisation.best_errors(target)
        ranks = [rank for rank in params["options"]["ranks"] if rank <= len(errors)]
        shown = [("CA", teacher, None, 0.0, target)]
        shown += [("SVD", None, rank, errors[rank - 1], factorisation.best(target, rank)) for rank in ranks]
        for name, run in runs.items():
            other = factorisation.read(root, name, params["seeds"][0], evalset)
            if not (other.index.equals(scores.index) and other.columns.equals(scores.columns)):
                raise UserError(f"The score matrices of {teacher} and {name} are of different blocks: make both again.")
            approximation = factorisation.centred(other)
            error = factorisation.error(target, approximation)
            shown.append((naming.series(run), name, run["width"], error, approximation))
        qrels = read_qrels(root / "evaluation" / f"{evalset}.qrels.tsv")
        for series, name, width, error, approximation in shown:
            about = {"evalset": evalset, "series": series, "run": name, "width": width, "error": error}
            size = {"queries": len(scores.index), "passages": len(scores.columns)}
            ranked = pd.DataFrame(approximation, scores.index, scores.columns)
            rows.append({**about, **_effectiveness(ranked, qrels, params["evaluation"]), **size})
    return pd.DataFrame(rows).astype({"width": "Int64"})


def _effectiveness(scores: pd.DataFrame, qrels: Mapping, evaluation: Mapping[str, Any]) -> dict[str, float]:
    """MRR@10 of ranking all passages of the block for each of its queries."""
    run = {qid: Ranking(list(scores.columns), row) for qid, row in zip(scores.index, scores.to_numpy(), strict=True)}
    values = list(evaluate(run, {qid: qrels[qid] for qid in run}, [MEASURE])[MEASURE].values())
    low, high = bootstrap_interval(values, **{key: evaluation[key] for key in ("confidence", "resamples", "seed")})
    return {MEASURE: float(np.mean(values)), "low": low, "high": high}


def draw(frame: pd.DataFrame, params: Mapping[str, Any]) -> Figure:
    """Error and effectiveness on train and on test, against the dimension of the embeddings."""
    figure = Figure(figsize=(10, 6))
    where = f"{params['dataset']}, scale {params['scale']}, seed {params['seeds'][0]}"
    figure.suptitle(f"Rebuilt: {where}", x=0.02, ha="left")
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    for row, (column, label) in zip(axes, PANELS.items(), strict=True):
        for one, evalset in zip(row, EVALSETS, strict=True):
            shown = frame[frame.evalset == evalset]
            _panel(one, shown, column)
            size = shown.iloc[0]
            one.set_title(f"{evalset.capitalize()}: {size.queries} queries × {size.passages} passages")
        row[0].set_ylabel(label)
        row[0].set_ylim(bottom=0)
    for one in axes[-1]:
        one.set_xlabel("dimension of the embeddings")
    axes[0, 1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    confidence = f"bars and bands: {100 * params['evaluation']['confidence']:g} % over queries"
    figure.supxlabel(confidence, fontsize=8, color=GREY)
    return figure


def _panel(axes: Axes, frame: pd.DataFrame, column: str) -> None:
    """One column of `data` against the width."""
    best = frame[frame.series == "SVD"].astype({"width": float})
    axes.plot(best.width, best[column], color="black", marker=".", label="best factorisation\nof CA's scores")
    for series in ("DE", "DIST"):
        points = frame[frame.series == series].astype({"width": float}).sort_values("width")
        style = {"color": COLOURS[series], "marker": MARKERS[series], "linestyle": "none"}
        axes.plot(points.width, points[column], **style, label=f"trained {series}")
        if column == MEASURE:
            axes.vlines(points.width, points.low, points.high, color=COLOURS[series], linewidth=1)
    if column == MEASURE:
        axes.fill_between(best.width, best.low, best.high, color="black", alpha=0.1, linewidth=0)
        teacher = frame.loc[frame.series == "CA", column].iloc[0]  # of the teacher, which comes first
        axes.axhline(teacher, color=COLOURS["CA"], linewidth=1, linestyle="--")
        axes.text(best.width.min(), teacher, "CA", color=COLOURS["CA"], va="bottom")
    widths = sorted(best.width)
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, _spaced(widths))
    axes.minorticks_off()


def _spaced(widths: list[float]) -> list[str]:
    """Labels of sorted widths on a logarithmic axis, empty where one would run into the one before."""
    labels, last = [], 0.0
    for width in widths:
        shown = width >= last * LEAST_RATIO
        labels.append(f"{width:g}" if shown else "")
        last = width if shown else last
    return labels


if __name__ == "__main__":
    drawing.alone("figS2")
