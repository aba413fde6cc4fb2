"""Tables with a trained model in each row: rebuilt | difference from its reference | paper, with intervals and tests.

A table of this kind is a list of `Row`s, mostly one for each experiment (`rows`), and of measured columns.
"""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dualenc.evaluation import results
from dualenc.evaluation.results import RETRIEVAL
from dualenc.paper import reported
from dualenc.study.kinds import KINDS
from dualenc.tables.display import DATASETS, display, main_columns, notes
from dualenc.tables.writing import Table

NOT_IN_PAPER = "Not in the paper"
OTHERS = ""
"""Key of `rows`' references for all experiments that have none of their own."""

Measured = list[tuple[str, str]]
"""Rebuilt columns: (evaluation set, measure)."""


class Row(NamedTuple):
    """A line of a table.

    ``run`` is what params.yaml says about the rebuilt run (name, model, encoder ...), empty for a system that only the
    paper has. ``quoted`` are the paper's cells (`dualenc.paper.reported.cells`), empty for one that it does not have.
    ``reference`` is the name of the run that this one is compared with.
    """

    group: str
    label: str
    run: Mapping[str, Any]
    quoted: pd.DataFrame
    reference: str | None


def rows(table: str, runs: Iterable[Mapping[str, Any]], references: Mapping[str, str]) -> list[Row]:
    """A row for each experiment of the paper's ``table``, in its order, then for those that it does not have.

    ``references`` says which experiment each one is compared with. A row's own and those without a run are none.
    """
    by_experiment = {run["experiment"]: run for run in runs}
    quoted = reported.cells(table)
    known = dict(iter(quoted.groupby("experiment", sort=False)))
    places = {experiment: tuple(cells.iloc[0][["group", "label"]]) for experiment, cells in known.items()}
    places |= {experiment: (NOT_IN_PAPER, experiment) for experiment in by_experiment if experiment not in known}
    lines = []
    for experiment, (group, label) in places.items():
        reference = references.get(experiment, references.get(OTHERS))
        compared = {experiment, reference} <= by_experiment.keys() and reference != experiment
        name = by_experiment[reference]["name"] if compared else None
        run, cells = by_experiment.get(experiment, {}), known.get(experiment, quoted.iloc[:0])
        lines.append(Row(group, label, run, cells, name))
    return lines


def untrained(name: str) -> dict[str, Any]:
    """What `rows` needs to know about BM25 or a random order."""
    return {"name": name, "experiment": name, "model": None, "encoder": None}


def standing_for(rebuilt: object, printed: object) -> str:
    """How a row names something rebuilt and what it stands for in the paper; either may be None."""
    if None in (rebuilt, printed) or rebuilt == printed:
        return str(printed if rebuilt is None else rebuilt)
    return f"{rebuilt} for the paper's {printed}"


def build(table: str, lines: list[Row], params: Mapping[str, Any], root: Path, *, measured: Measured) -> Table:
    """The rebuilt numbers of ``lines`` on the columns ``measured``, next to those that the paper prints in ``table``.

    A row and its reference are compared on every column that both have; Holm's correction is over all these tests.
    Only BM25 and models that can search a whole collection have columns of `results.RETRIEVAL`. Raises `UserError`
    if a run is missing or was not evaluated on the others' queries.
    """
    models = {line.run["name"]: line.run["model"] for line in lines if line.run}
    systems = results.load_all(root, models, params["seeds"])
    if RETRIEVAL in dict(measured):
        able = [name for name, model in models.items() if name == results.BM25 or (model and KINDS[model].searches)]
        systems = results.with_retrieval(systems, root, able, params["seeds"][0])
    tests = [
        (line.run["name"], line.reference, evalset, measure)
        for line in lines
        if line.reference
        for evalset, measure in measured
        if all(evalset in systems[name].qids for name in (line.run["name"], line.reference))
    ]
    compared = results.compare(systems, tests, params["evaluation"])
    values = pd.DataFrame([_line(line, systems, compared, measured, params["evaluation"]) for line in lines])
    values = _beside_paper(values, params["dataset"], measured)
    about = notes(values, params, measured, tests=len(tests), marks=reported.note(table))
    shown = display(values, params, measured, pd.concat([line.quoted for line in lines]))
    return Table(values, shown, about, chosen=main_columns(shown, params, measured))


def _line(line: Row, systems: Mapping, compared: Mapping, measured: Measured, evaluation: Mapping) -> dict[str, Any]:
    """All numbers of a row: rebuilt ``<set>_<measure>_...``, printed ``paper_<dataset>_<set>_<measure>``."""
    name = line.run.get("name")
    experiment = line.run["experiment"] if name else line.quoted.experiment.iloc[0]
    numbers = {"group": line.group, "label": line.label, "experiment": experiment, "run": name}
    numbers |= {key: line.run.get(key) for key in ("encoder", "model")} | {"reference": line.reference}
    for evalset, measure in measured:
        if name and evalset in systems[name].qids:
            fields = results.estimate(systems[name], evalset, measure, evaluation)._asdict()
            comparison = compared.get((name, line.reference, evalset, measure))
            fields |= comparison._asdict() if comparison else {}
            numbers |= {f"{evalset}_{measure}_{field}": value for field, value in fields.items()}
    for cell in line.quoted.itertuples():
        column = f"paper_{cell.dataset}_{cell.evalset}_{cell.measure}"
        numbers |= {column: cell.value, f"{column}_mark": cell.mark}
    return numbers


def _beside_paper(values: pd.DataFrame, dataset: str, measured: Measured) -> pd.DataFrame:
    """``values`` with rebuilt - paper where the dataset is the paper's, and the paper's difference from the reference.

    The paper prints MRR for the minimum relevance that is its dataset's own, without naming it: 2 for TREC DL.

    The latter, ``<set>_<measure>_paper_gain``, is of the first dataset for which the paper prints this column.
    """
    for evalset, measure in measured:
        name, own = f"{evalset}_{measure}", f"paper_{dataset}_{evalset}_{measure}"
        printed = [column for column in values if re.fullmatch(rf"paper_[^_]+_{re.escape(name)}", column)]
        if evalset in DATASETS:  # a further test set that is a dataset in the paper
            own = f"paper_{evalset}_test_{re.sub(r'[(]rel=[0-9]+[)]', '', measure)}"
            printed = [column for column in values if column == own]
        same = values.get(own, math.nan)
        for field, column in (("", "mean"), ("_low", "low"), ("_high", "high")):
            values[f"{name}_minus_paper{field}"] = values[f"{name}_{column}"] - same
        if printed:
            by_run = values.dropna(subset="run").set_index("run")[printed[0]]
            values[f"{name}_paper_gain"] = values[printed[0]] - values.reference.map(by_run)
    counts = [name for name in values if name.endswith(("_seeds", "_queries"))]
    return values.astype(dict.fromkeys(counts, "Int64"))
