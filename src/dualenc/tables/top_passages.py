"""What two systems rank first where one of them is better: what tables 10 and 11 have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dualenc.analysis import pairs
from dualenc.evaluation import results
from dualenc.paper import reported
from dualenc.tables import texts
from dualenc.tables.writing import Cell, Table
from dualenc.training.supervision import in_hash_order

EVALSET = "test"
BLOCK = "top passages (bold: relevant)"


def build(params: Mapping[str, Any], root: Path) -> Table:
    """The first passages of the two runs of ``params`` for queries where the first run is better.

    Queries are ordered by how much better, and by the hash of their qid among equals. The options are ``measure``,
    ``places``, which of these queries are shown (from 1; fewer if there are not so many), ``passages``, how many of
    each run, and ``characters``, of a text. Raises `UserError` if a run or a text is missing.
    """
    options, seed = params["options"], params["seeds"][0]
    names = [run["name"] for run in params["runs"]]
    systems = results.load_all(root, names, [seed])
    values = pd.DataFrame(
        {name: results.values(system, EVALSET, options["measure"])[0] for name, system in systems.items()},
        index=systems[names[0]].qids[EVALSET],
    )
    gap = values[names[0]] - values[names[1]]
    better = gap[in_hash_order(list(gap.index[gap > 0]))].sort_values(ascending=False, kind="stable")
    qids = [better.index[place - 1] for place in options["places"] if place <= len(better)]
    top = []
    for run in params["runs"]:
        scored = pairs.of_run(root, run["name"], seed, EVALSET)
        first = scored[scored.qid.isin(qids) & (scored["rank"] <= options["passages"])]
        top.append(
            first.assign(run=run["name"], experiment=run["experiment"], value=first.qid.map(values[run["name"]]))
        )
    frame = pd.concat(top, ignore_index=True)
    folder = root / "data" / params["dataset"]
    asked, found = texts.queries(folder, EVALSET, qids), texts.passages(folder, frame.pid)
    frame = frame.assign(query=frame.qid.map(asked), passage=frame.pid.map(found))
    columns = [(BLOCK, label(run["experiment"])) for run in params["runs"]]
    return Table(frame, _display(frame, qids, columns, params), _notes(gap, params), texts=tuple(columns))


def label(experiment: str) -> str:
    """The name that the paper's table 1 gives an experiment, or its own if it is not there."""
    cells = reported.cells("tab1")
    return next(iter(cells.label[cells.experiment == experiment]), experiment)


def _display(
    frame: pd.DataFrame, qids: list[str], columns: list[tuple[str, str]], params: Mapping[str, Any]
) -> pd.DataFrame:
    """A group of rows for each query, a row for each place."""
    options, rows, index = params["options"], [], []
    cells = {
        (line.qid, line.experiment, line.rank): Cell(
            texts.shortened(line.passage, options["characters"]), bold=line.relevant
        )
        for line in frame.itertuples()
    }
    for qid in qids:
        of = frame[frame.qid == qid]
        reached = " and ".join(f"{value:.2f}" for value in of.groupby("experiment", sort=False).value.first())
        query = texts.shortened(of["query"].iloc[0], options["characters"])
        for place in range(1, options["passages"] + 1):
            index.append((f"{query} ({options['measure']} {reached})", str(place)))
            rows.append([cells.get((qid, run["experiment"], place), Cell()) for run in params["runs"]])
    index = pd.MultiIndex.from_tuples(index, names=["group", "label"])
    return pd.DataFrame(rows, index=index, columns=pd.MultiIndex.from_tuples(columns))


def _notes(gap: pd.Series, params: Mapping[str, Any]) -> list[str]:
    """What was rebuilt, and on how many queries which system is better."""
    first, second = (f"{label(run['experiment'])} ({run['name']})" for run in params["runs"])
    measure = params["options"]["measure"]
    return [
        f"Rebuilt: scale {params['scale']}, dataset {params['dataset']}, seed {params['seeds'][0]}. Of {len(gap)} "
        f"{EVALSET} queries, {measure} is the same for both on {(gap == 0).sum()}, higher for {first} on "
        f"{(gap > 0).sum()}, and higher for {second} on {(gap < 0).sum()}. Of those where {first} is higher, the table "
        f"shows places {', '.join(map(str, params['options']['places']))} by the difference.",
        "A passage in plain type is one that nobody judged relevant, which is not to say that it is not.",
    ]
