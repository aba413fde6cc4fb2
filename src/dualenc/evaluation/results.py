"""Evaluated systems, read back from their per-query values: what figures and tables are made from.

Below a results folder, the files are ``runs/<run name>/seed-<n>/per_query.parquet``, and for BM25 and the random order,
which have no seeds, ``runs/bm25/per_query.parquet`` (`dualenc.evaluation.metrics.write_metrics` writes them). Where all
passages were the candidates, they are below ``retrieval`` instead of ``runs``.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dualenc.data import frames
from dualenc.evaluation.statistics import bootstrap_interval, difference_interval, holm, paired_test
from dualenc.runtime.errors import UserError

BM25 = "bm25"
"""Run name of the first stage, which all others re-rank."""

RANDOM = "random"
"""Run name of a random order of the first stage's candidates."""


RETRIEVAL = "retrieval"
"""Folder of retrieval from all passages, and the name of its evaluation set in a `System`."""


class System(NamedTuple):
    """The values of one run with all its seeds, aligned on queries.

    ``qids`` is evaluation set -> sorted qids (Q); ``per_query`` is evaluation set -> measure -> (S, Q)
    values, a row for each seed in the order they were asked for.
    """

    name: str
    qids: dict[str, list[str]]
    per_query: dict[str, dict[str, np.ndarray]]


class Estimate(NamedTuple):
    """The mean of a measure over seeds and queries, and how sure it is.

    ``low`` and ``high`` bound it over queries (each query's value averaged over the seeds first).
    ``seed_low`` and ``seed_high`` are the smallest and largest mean of one seed, and ``seed_sd`` is the
    standard deviation of these means, NaN if there is only one.
    """

    mean: float
    low: float
    high: float
    seed_low: float
    seed_high: float
    seed_sd: float
    seeds: int
    queries: int


class Comparison(NamedTuple):
    """How far a system is above another: the difference of the means, its interval, and p-values."""

    gain: float
    gain_low: float
    gain_high: float
    p: float
    p_holm: float


def load(root: Path, name: str, seeds: Iterable[int], folder: str = "runs") -> System:
    """The run ``name`` below a ``folder`` of the results folder ``root``, with its ``seeds``.

    Raises `UserError` that names the file if one is missing or unreadable, and if two seeds were not
    evaluated on the same queries.
    """
    run = root / folder / name
    folders = [run] if name in (BM25, RANDOM) else [run / f"seed-{seed}" for seed in seeds]
    columns = {folder: _read(folder / "per_query.parquet") for folder in folders}
    first = columns[folders[0]]
    for folder, column in columns.items():
        if not column.index.equals(first.index):
            evalset, measure, qid = column.index.symmetric_difference(first.index)[0]
            raise UserError(
                f"{folders[0]} and {folder} do not have the same values (one lacks {measure} for query {qid} "
                f"on {evalset}): evaluate both again on the same evaluation sets."
            )
    table = pd.DataFrame(columns)
    qids: dict[str, list[str]] = {}
    per_query: dict[str, dict[str, np.ndarray]] = {}
    for (evalset, measure), part in table.groupby(level=["evalset", "measure"]):
        qids[evalset] = list(part.index.get_level_values("qid"))
        per_query.setdefault(evalset, {})[measure] = part.to_numpy().T
    return System(name, qids, per_query)


def load_all(root: Path, names: Iterable[str], seeds: Iterable[int], folder: str = "runs") -> dict[str, System]:
    """Run name -> `load`. Raises `UserError` also if two runs were not evaluated on the same queries."""
    seeds = list(seeds)
    systems = {name: load(root, name, seeds, folder) for name in names}
    first = next(iter(systems.values()))
    for system in systems.values():
        for evalset in sorted(first.qids.keys() | system.qids.keys()):
            differing = set(first.qids.get(evalset, ())) ^ set(system.qids.get(evalset, ()))
            if differing:
                raise UserError(
                    f"Runs {first.name!r} and {system.name!r} below {root / folder} were not evaluated on "
                    f"the same queries of {evalset} (only one has {min(differing)}): evaluate both again."
                )
    return systems


def with_retrieval(systems: Mapping[str, System], root: Path, names: Iterable[str], seed: int) -> dict[str, System]:
    """``systems``, of which those of ``names`` have the evaluation set `RETRIEVAL` too, with one seed.

    Raises `UserError` as `load_all` does.
    """
    retrieved = {}
    for name, system in load_all(root, names, [seed], RETRIEVAL).items():
        qids, per_query = system.qids["test"], system.per_query["test"]
        before = systems[name]
        retrieved[name] = System(name, before.qids | {RETRIEVAL: qids}, before.per_query | {RETRIEVAL: per_query})
    return {**systems, **retrieved}


def values(system: System, evalset: str, measure: str) -> np.ndarray:
    """(S, Q) values of a measure on an evaluation set. Raises `UserError` if the run was not evaluated this way."""
    try:
        return system.per_query[evalset][measure]
    except KeyError:
        raise UserError(
            f"Run {system.name!r} has no {measure} on {evalset}: list {measure} under evaluation.measures in "
            "params.yaml and evaluate again."
        ) from None


def estimate(system: System, evalset: str, measure: str, evaluation: Mapping[str, Any]) -> Estimate:
    """The mean of ``measure`` on ``evalset`` with its interval over queries and its spread over seeds.

    ``evaluation`` has confidence, resamples and seed; see `dualenc.evaluation.statistics.bootstrap_interval`.
    """
    array = values(system, evalset, measure)
    seed_means = array.mean(axis=1)
    low, high = bootstrap_interval(array.mean(axis=0), **_bootstrap(evaluation))
    sd = float(seed_means.std(ddof=1)) if len(seed_means) > 1 else float("nan")
    spread = float(seed_means.min()), float(seed_means.max()), sd
    return Estimate(float(array.mean()), low, high, *spread, *array.shape)


def compare(
    systems: Mapping[str, System], tests: Iterable[tuple[str, str, str, str]], evaluation: Mapping[str, Any]
) -> dict[tuple[str, str, str, str], Comparison]:
    """The `Comparison` of each test: (name, reference, evaluation set, measure).

    All of them together are one family for Holm's correction. p is that of the paired randomisation test over
    queries, each query's value averaged over seeds first. ``evaluation`` has confidence, resamples, permutations and
    seed.
    """
    averaged = {
        (name, reference, evalset, measure): [
            values(systems[one], evalset, measure).mean(axis=0) for one in (name, reference)
        ]
        for name, reference, evalset, measure in tests
    }
    settings = {"permutations": evaluation["permutations"], "seed": evaluation["seed"]}
    p = {key: paired_test(*both, **settings) for key, both in averaged.items()}
    p_holm = holm(p)
    return {
        key: Comparison(
            float((a - b).mean()), *difference_interval(a, b, **_bootstrap(evaluation)), p[key], p_holm[key]
        )
        for key, (a, b) in averaged.items()
    }


def _bootstrap(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the bootstrap among those of the evaluation."""
    return {key: evaluation[key] for key in ("confidence", "resamples", "seed")}


def _read(path: Path) -> pd.Series:
    """Values indexed by (evalset, measure, qid), sorted."""
    keys = {name: frames.text for name in ("evalset", "measure", "qid")}
    frame = frames.read(path, {**keys, "value": frames.number}, "train and evaluate this run first")
    column = frame.set_index(["evalset", "measure", "qid"])["value"].sort_index()
    if not column.index.is_unique:
        evalset, measure, qid = column.index[column.index.duplicated()][0]
        raise UserError(f"{path} has {measure} for query {qid} on {evalset} twice: evaluate this run again.")
    return column
