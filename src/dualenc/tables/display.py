"""How the numbers of `dualenc.tables.comparison` are shown to readers, and the sentences below them."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from dualenc.evaluation.results import RETRIEVAL
from dualenc.tables.writing import Cell

DATASETS = {"msmarco-passage": "MS MARCO", "trec-dl-2019": "TREC DL19", "natural-questions": "NQ"}
"""Names of the paper's datasets."""


FITTING = 8
"""Columns of numbers with intervals that a page has room for."""


def display(
    values: pd.DataFrame, params: Mapping[str, Any], measured: list[tuple[str, str]], quoted: pd.DataFrame
) -> pd.DataFrame:
    """Cells for readers: rebuilt, its differences from the reference and from the paper, and what the paper prints.

    Differences are shown for the first measure of each set; the CSV has all. ``quoted`` are the paper's cells
    of all rows (`dualenc.paper.reported.cells`).
    """
    lines = values.to_dict("records")
    alpha = 1 - params["evaluation"]["confidence"]
    dual_encoders = values[~values.model.isin(["cross-attention", None])]
    columns = {}
    for evalset, measure in measured:
        name = f"{evalset}_{measure}"
        best = dual_encoders[f"{name}_mean"].max()
        bold = [line["run"] in set(dual_encoders.run) and line[f"{name}_mean"] == best for line in lines]
        cells = [_rebuilt(line, name, alpha, is_best) for line, is_best in zip(lines, bold, strict=True)]
        columns[f"rebuilt: {params['dataset']}", f"{evalset} {measure}"] = cells
    first_of = {evalset: measure for evalset, measure in reversed(measured)}
    first = [(evalset, measure) for evalset, measure in measured if measure == first_of[evalset]]
    for evalset, measure in first:
        cells = [_difference(line, f"{evalset}_{measure}") for line in lines]
        columns["difference from the reference", f"{evalset} {measure}"] = cells
    for evalset, measure in first:
        cells = [_interval(line, f"{evalset}_{measure}_minus_paper") for line in lines]
        if cells != [Cell()] * len(cells):
            columns["rebuilt - paper", f"{evalset} {measure}"] = cells
    printed = quoted[["dataset", "evalset", "measure"]].drop_duplicates()
    for dataset, evalset, measure in printed.itertuples(index=False):
        name = f"paper_{dataset}_{evalset}_{measure}"
        cells = [_printed(line[name], line[f"{name}_mark"]) for line in lines]
        columns[f"paper: {DATASETS[dataset]}", f"{evalset} {measure}"] = cells
    return pd.DataFrame(columns, index=pd.MultiIndex.from_frame(values[["group", "label"]]))


def main_columns(
    shown: pd.DataFrame, params: Mapping[str, Any], measured: list[tuple[str, str]]
) -> list[tuple[str, str]] | None:
    """The main columns of a `display` that has too many for a page, None for others.

    These are, of each set, its first measure, and of the paper what was rebuilt; if the paper does not have the
    dataset, the first of its datasets stands for it.
    """
    if len(shown.columns) <= FITTING:
        return None
    first_of = {evalset: f"{evalset} {measure}" for evalset, measure in reversed(measured)}
    papers = list(dict.fromkeys(block for block, _ in shown if block.startswith("paper: ")))
    rebuilt = [f"paper: {DATASETS[name]}" for name in (params["dataset"], *first_of) if name in DATASETS]
    wanted = [block for block in papers if block in rebuilt] or papers[:1]
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for block, label in shown:
        if block in wanted:
            found.setdefault((block, label.split()[0]), (block, label))
        elif block not in papers and label in first_of.values():
            found[block, label] = (block, label)
    return list(found.values())


def _rebuilt(line: Mapping[str, Any], name: str, alpha: float, bold: bool) -> Cell:
    """A rebuilt mean with its mark of significance, its interval and its spread over seeds."""
    mean, low, high, sd = (line[f"{name}_{field}"] for field in ("mean", "low", "high", "seed_sd"))
    if math.isnan(mean):
        return Cell()
    significant = "*" if line.get(f"{name}_p_holm", math.nan) <= alpha else ""
    spread = "" if math.isnan(sd) else f" ±{sd:.3f}"
    return Cell(f"{mean:.3f}", f"{significant} [{low:.3f}, {high:.3f}]{spread}", bold)


def _difference(line: Mapping[str, Any], name: str) -> Cell:
    """How far a rebuilt mean is above its reference, and how far the paper's number is above the paper's."""
    cell = _interval(line, f"{name}_gain")
    paper = line.get(f"{name}_paper_gain", math.nan)
    return cell if math.isnan(paper) or cell == Cell() else cell._replace(detail=f"{cell.detail} paper {paper:+.3f}")


def _interval(line: Mapping[str, Any], name: str) -> Cell:
    """A difference with its interval."""
    value, low, high = (line.get(f"{name}{end}", math.nan) for end in ("", "_low", "_high"))
    return Cell() if math.isnan(value) else Cell(f"{value:+.3f}", f" [{low:+.3f}, {high:+.3f}]")


def _printed(value: float, mark: Any) -> Cell:
    """A number of the paper as printed."""
    if pd.isna(mark):
        return Cell()  # a system that the paper does not have
    return Cell(mark) if math.isnan(value) else Cell(f"{value:.3f}", mark)


def notes(
    values: pd.DataFrame, params: Mapping[str, Any], measured: list[tuple[str, str]], *, tests: int, marks: str
) -> list[str]:
    """What was rebuilt, how sure it is, and what the marks mean; ``marks`` are those of the paper."""
    evaluation, dataset, seeds = params["evaluation"], params["dataset"], params["seeds"]
    confidence = f"{100 * evaluation['confidence']:g} %"
    sets = list(dict.fromkeys(evalset for evalset, _ in measured))
    counts = {evalset: values.filter(regex=rf"^{evalset}_.*_queries$").max().max() for evalset in sets}
    encoders = values.dropna(subset="encoder").groupby("model").encoder.unique()
    models = "; ".join(f"{model}: {', '.join(names)}" for model, names in encoders.items())
    reranked = f"{', '.join(['Train', *(name for name in sets if name not in ('train', 'test', RETRIEVAL))])} and test"
    candidates = "BM25's candidates, re-ranked"
    if params.get("candidates") == "official":
        candidates = "the official candidates, re-ranked (where they have no scores, their own order is random)"
    spread = "± standard deviation over seeds" if len(seeds) > 1 else "no spread over seeds, as there is one seed"
    about = [
        f"Rebuilt: scale {params['scale']}, dataset {dataset}; "
        + ", ".join(f"{count:,} {evalset} queries" for evalset, count in counts.items())
        + f"; seeds: {', '.join(map(str, seeds))}; {models}. {reranked}: {candidates}; "
        + "train queries are among those that the models learn from."
        + (f" Retrieval: the test queries in all passages, seed {seeds[0]}." if RETRIEVAL in sets else ""),
        f"A rebuilt cell is the mean [{confidence} bootstrap interval over queries, each averaged over the seeds "
        f"first], {spread}. Bold: the best dual-encoder in the column.",
    ]
    if tests:
        about.append(
            f"Reference: {_references(values)}. * p ≤ {1 - evaluation['confidence']:.2g} in a two-sided paired "
            f"randomisation test over queries ({evaluation['permutations']:,} permutations), Holm-corrected over "
            f"the {tests} tests of the table. A difference has its paired {confidence} bootstrap interval and, after "
            "it, the difference between the paper's numbers."
        )
    if values.filter(like="_minus_paper").isna().all(axis=None):
        about.append(
            f"The paper did not use {dataset}: compare the order of the systems and the signs of the differences, "
            "not the numbers."
        )
    return [*about, f"Paper: {marks}"] if marks else about


def _references(values: pd.DataFrame) -> str:
    """Which rows are compared with which, in words."""
    places = values.dropna(subset="run").set_index("run")[["group", "label"]]
    pairs = values.dropna(subset="reference").join(places.add_prefix("reference_"), on="reference")
    within = (pairs.group == pairs.reference_group).all() and pairs.group.nunique() > 1
    words = [
        f"{label} (for {', '.join(dict.fromkeys(rows.label))})"
        for label, rows in pairs.groupby("reference_label", sort=False)
    ]
    return "; ".join(words) + (", in the same group" if within else "")
