"""Tables with a system in each row: rebuilt | rebuilt - paper | paper, with intervals and tests."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dualenc import paper, results
from dualenc.results import BM25, RANDOM
from dualenc.tables import Cell, Table

NOT_IN_PAPER = "Not in the paper"
Measured = list[tuple[str, str]]
"""Rebuilt columns: (evaluation set, measure)."""


def build(
    artefact: str,
    params: Mapping[str, Any],
    root: Path,
    *,
    measured: Measured,
    baseline: str,
    references: Mapping[str, str],
) -> Table:
    """The systems of the paper's table ``artefact`` and all runs of ``params``, a row each.

    Rows stand in the paper's order; an experiment that the paper does not have comes last. On those columns
    of ``measured`` that are about the test set, every rebuilt experiment is compared with the one that
    ``references`` gives for it, or else with ``baseline``. Raises `UserError` if a run is missing or was
    not evaluated on the others' queries.
    """
    evaluation = params["evaluation"]
    runs = {RANDOM: {"name": RANDOM}, BM25: {"name": BM25}, **{run["experiment"]: run for run in params["runs"]}}
    loaded = results.load_all(root, [run["name"] for run in runs.values()], params["seeds"])
    systems = {experiment: loaded[run["name"]] for experiment, run in runs.items()}
    pairs = {experiment: references.get(experiment, baseline) for experiment in runs if experiment != baseline}
    pairs = {experiment: reference for experiment, reference in pairs.items() if reference in runs}
    tested = [(evalset, measure) for evalset, measure in measured if evalset == "test"]
    compared = results.compare(systems, pairs.items(), tested, evaluation)

    quoted = paper.cells(artefact)
    places = {RANDOM: (quoted.group.iloc[0], "Random order")}
    places |= {cell.experiment: (cell.group, cell.label) for cell in quoted.itertuples()}
    places |= {experiment: (NOT_IN_PAPER, experiment) for experiment in runs if experiment not in places}
    lines = []
    for experiment, (group, label) in places.items():
        run, reference = runs.get(experiment, {}), pairs.get(experiment)
        about = {"experiment": experiment, "run": run.get("name"), "encoder": run.get("encoder")}
        line = {"group": group, "label": label, **about, "model": run.get("model"), "reference": reference}
        for evalset, measure in measured if run else []:
            estimate = results.estimate(systems[experiment], evalset, measure, evaluation)
            line |= _prefixed(evalset, measure, estimate._asdict())
            if reference and (evalset, measure) in tested:
                line |= _prefixed(evalset, measure, compared[experiment, reference, evalset, measure]._asdict())
        for cell in quoted[quoted.experiment == experiment].itertuples():
            name = f"paper_{cell.dataset}_{cell.task}_{cell.measure}"
            line |= {name: cell.value, f"{name}_mark": cell.mark}
        lines.append(line)
    values = _with_differences(pd.DataFrame(lines), params["dataset"], tested)
    notes = _notes(values, params, tests=len(compared), marks=paper.note(artefact))
    return Table(values, _display(values, params, measured, tested, quoted), notes)


def _prefixed(evalset: str, measure: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{evalset}_{measure}_{name}": value for name, value in fields.items()}


def _with_differences(values: pd.DataFrame, dataset: str, tested: Measured) -> pd.DataFrame:
    """``values`` with rebuilt - paper where both re-rank the same dataset, else NaN; counts as integers."""
    for evalset, measure in tested:
        printed = f"paper_{dataset}_re-rank_{measure}"
        rebuilt = values[f"{evalset}_{measure}_mean"]
        values[f"{evalset}_{measure}_minus_paper"] = rebuilt - values.get(printed, math.nan)
    counts = [name for name in values if name.endswith(("_seeds", "_queries"))]
    return values.astype(dict.fromkeys(counts, "Int64"))


def _display(
    values: pd.DataFrame,
    params: Mapping[str, Any],
    measured: Measured,
    tested: Measured,
    quoted: pd.DataFrame,
) -> pd.DataFrame:
    """``values`` for readers."""
    alpha = 1 - params["evaluation"]["confidence"]
    encoders = values[values.model == "dual-encoder"]
    columns = {}
    for evalset, measure in measured:
        name = f"{evalset}_{measure}"
        best = encoders[f"{name}_mean"].max()
        cells = [_rebuilt(line, name, alpha, best) for line in values.to_dict("records")]
        columns[f"rebuilt: {params['dataset']}", f"{evalset} {measure}"] = cells
    for evalset, measure in tested:
        gaps = values[f"{evalset}_{measure}_minus_paper"]
        cells = [Cell("" if math.isnan(gap) else f"{gap:+.3f}") for gap in gaps]
        columns["rebuilt - paper", f"{evalset} {measure}"] = cells
    heads = quoted[["dataset", "task", "measure", "block"]].drop_duplicates()
    for dataset, task, measure, block in heads.itertuples(index=False):
        name = f"paper_{dataset}_{task}_{measure}"
        pairs = zip(values[name], values[f"{name}_mark"], strict=True)
        columns[f"paper: {block}", measure] = [_printed(value, mark) for value, mark in pairs]
    return pd.DataFrame(columns, index=pd.MultiIndex.from_frame(values[["group", "label"]]))


def _rebuilt(line: Mapping[str, Any], name: str, alpha: float, best: float) -> Cell:
    """A rebuilt mean with its mark of significance, its interval and its spread over seeds."""
    mean, low, high, sd = (line[f"{name}_{field}"] for field in ("mean", "low", "high", "seed_sd"))
    if math.isnan(mean):
        return Cell()
    significant = "*" if line.get(f"{name}_p_holm", math.nan) <= alpha else ""
    spread = "" if math.isnan(sd) else f" ±{sd:.3f}"
    bold = line["model"] == "dual-encoder" and mean == best
    return Cell(f"{mean:.3f}", f"{significant} [{low:.3f}, {high:.3f}]{spread}", bold)


def _printed(value: float, mark: Any) -> Cell:
    """A number of the paper as printed."""
    if pd.isna(mark):
        return Cell()  # a system that the paper does not have
    return Cell(mark) if math.isnan(value) else Cell(f"{value:.3f}", mark)


def _notes(values: pd.DataFrame, params: Mapping[str, Any], *, tests: int, marks: str) -> list[str]:
    """What was rebuilt, how sure it is, and what the marks mean."""
    evaluation, dataset, seeds = params["evaluation"], params["dataset"], params["seeds"]
    queries = {name.split("_")[0]: values[name].max() for name in values if name.endswith("_queries")}
    sizes = " and ".join(f"{count:,} {evalset} queries" for evalset, count in queries.items())
    encoders = values.dropna(subset="encoder").groupby("model").encoder.unique()
    models = "; ".join(f"{model}: {', '.join(names)}" for model, names in encoders.items())
    labels = values.set_index("experiment").label
    compared = "; ".join(
        f"{', '.join(rows.label)} {'each ' * (len(rows) > 1)}with {labels[reference]}"
        for reference, rows in values.groupby("reference", sort=False)
    )
    spread = "± standard deviation over seeds" if len(seeds) > 1 else "no spread over seeds, as there is one seed"
    notes = [
        f"Rebuilt: scale {params['scale']}, dataset {dataset}, BM25's candidates re-ranked; {sizes} (train "
        f"queries are among those the models learn from); seeds: {', '.join(map(str, seeds))}; {models}.",
        f"A rebuilt cell is the mean [{100 * evaluation['confidence']:g} % bootstrap interval over queries, "
        f"each averaged over the seeds first], {spread}. Bold: the best dual-encoder of the column.",
        f"* p ≤ {1 - evaluation['confidence']:.2g} in a two-sided paired randomisation test over queries "
        f"({evaluation['permutations']:,} permutations), Holm-corrected over the {tests} tests of the table, "
        f"which compare {compared}.",
    ]
    if values.filter(like="_minus_paper").isna().all(axis=None):
        notes.append(
            f"The paper did not use {dataset}, so rebuilt - paper is empty: compare the order of the systems "
            "and the signs of the gaps, not the numbers."
        )
    return [*notes, f"Paper: {marks}"]
