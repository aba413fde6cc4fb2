"""What claims are made of: values per query, and their means with intervals as a `Part`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from dualenc.analysis import pairs
from dualenc.claims.verdicts import Part
from dualenc.evaluation import results
from dualenc.evaluation.results import System
from dualenc.evaluation.statistics import bootstrap_interval, unpaired_interval

MEASURE = "MRR@10"


def systems(params: Mapping[str, Any], root: Path, retrieved: Iterable[str] = ()) -> dict[str, System]:
    """All runs of a claim by name, the ``retrieved`` ones with retrieval. Raises `UserError` as `results.load_all`."""
    found = results.load_all(root, [run["name"] for run in params["runs"]], params["seeds"])
    return results.with_retrieval(found, root, retrieved, params["seeds"][0]) if retrieved else found


def values(system: System, evalset: str) -> pd.Series:
    """MRR@10 of each query, averaged over the seeds, indexed by qid."""
    return pd.Series(results.values(system, evalset, MEASURE).mean(axis=0), index=system.qids[evalset])


def mean(what: str, per_query: ArrayLike, params: Mapping[str, Any], **claimed: Any) -> Part:
    """The mean over queries with its bootstrap interval; ``claimed``: the fields of `Part` on where it has to be."""
    per_query = pd.Series(per_query)
    return Part(what, float(per_query.mean()), *bootstrap_interval(per_query, **bootstrap(params)), **claimed)


def gain(
    found: Mapping[str, System], one: str, other: str, evalset: str, params: Mapping[str, Any], **claimed: Any
) -> Part:
    """How far run ``one`` is above run ``other`` in MRR@10, paired over the queries of ``evalset``; see `mean`."""
    difference = values(found[one], evalset) - values(found[other], evalset)
    return mean(f"{one} − {other}, {evalset} {MEASURE}", difference, params, **claimed)


def unpaired(what: str, first: ArrayLike, second: ArrayLike, params: Mapping[str, Any], **claimed: Any) -> Part:
    """The mean of ``first`` minus that of ``second``, values of different queries; see `mean`."""
    difference = float(pd.Series(first).mean() - pd.Series(second).mean())
    return Part(what, difference, *unpaired_interval(first, second, **bootstrap(params)), **claimed)


def exact(what: str, value: float, **claimed: Any) -> Part:
    """A number that is not an estimate from a sample of queries."""
    return Part(what, value, value, value, **claimed)


def better_teacher(found: Mapping[str, System], params: Mapping[str, Any]) -> Part:
    """The premise of claims about distillation: on test, the teacher CA is above the student trained on labels."""
    return gain(found, "ca", "de", "test", params, above=0.0, premise=True)


def per_seed(params: Mapping[str, Any], root: Path, name: str) -> list[pd.DataFrame]:
    """The scored test pairs (`dualenc.analysis.pairs`) of a run, a frame for each seed."""
    return [pairs.of_run(root, name, seed, "test") for seed in params["seeds"]]


def averaged(per_query: Iterable[pd.Series]) -> pd.Series:
    """The mean over seeds of values indexed by qid."""
    return pd.concat(list(per_query), axis=1).mean(axis=1, skipna=False)


def widest(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """For each number of layers, shallow first: experiment -> name of its run with the widest encoder."""
    widths: dict[int, int] = {}
    for run in runs:
        widths[run["layers"]] = max(run["width"], widths.get(run["layers"], 0))
    return [
        {run["experiment"]: run["name"] for run in runs if (run["layers"], run["width"]) == (layers, width)}
        for layers, width in sorted(widths.items())
    ]


def bootstrap(params: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the bootstrap."""
    return {key: params["evaluation"][key] for key in ("confidence", "resamples", "seed")}
