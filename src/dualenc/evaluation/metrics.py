"""Effectiveness of a run: measures per query, their means with intervals, and the two files that keep them.

ir-measures computes the measures. It is handed ranks instead of scores, because it would break ties by pid:
so the tie rule of `dualenc.data.runs` holds in every number.
"""

from pathlib import Path

import ir_measures

from dualenc.data.runs import Run, ranked
from dualenc.evaluation.statistics import bootstrap_interval
from dualenc.paper.measures import MEASURE, called
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import atomic, write_json

Qrels = dict[str, dict[str, int]]
"""qid -> pid -> relevance; passages that are not listed count as relevance 0."""

PerQuery = dict[str, dict[str, float]]
"""measure -> qid -> value."""

Metrics = dict[str, dict[str, dict[str, float]]]
"""What ``metrics.json`` of an evaluation has: evaluation set -> `summarise`."""


def evaluate(run: Run, qrels: Qrels, measures: list[str]) -> PerQuery:
    """The value of each measure for every query of ``qrels``, in the order of ``measures`` and ``qrels``.

    Measures, in the notation of ir-measures, with a cutoff k:

    - ``RR@k`` (or ``MRR@k``): 1 / rank of the first relevant passage, 0 if there is none in the top k. It is
      called ``MRR@k`` in the result, as its mean is.
    - ``nDCG@k``: graded, gain = relevance, discount = log2(1 + rank), ideal = the best order of all judged.
    - ``R@k``: the fraction of all relevant passages that is in the top k.

    ``RR(rel=2)@k`` and ``R(rel=2)@k`` count passages of relevance 2 and more as relevant, not of 1 and more.

    All queries of ``qrels`` count: one without relevant passages in its list, or without a list in ``run``,
    has 0. Queries that only ``run`` has are left out: TREC DL judged only a few of its queries. Raises
    `UserError` for an unknown measure, and if ``run`` and ``qrels`` share no query.
    """
    parsed = {_parse(name): called(name) for name in measures}
    depth = max(measure["cutoff"] for measure in parsed)
    judged = [qid for qid in run if qid in qrels]
    if not judged:
        raise UserError(
            f"None of the run's {len(run)} queries is among the {len(qrels)} queries of the qrels; "
            "take both from the same dataset and split."
        )
    negated_ranks = {qid: _negated_ranks(ranked(qid, *run[qid]).pids[:depth], qrels[qid]) for qid in judged}
    per_query = {name: dict.fromkeys(qrels, 0.0) for name in parsed.values()}
    for metric in ir_measures.iter_calc(list(parsed), qrels, negated_ranks):
        per_query[parsed[metric.measure]][metric.query_id] = float(metric.value)
    return per_query


def _negated_ranks(pids: list[str], judged: dict[str, int]) -> dict[str, int]:
    """pid -> minus its rank, down to the last judged passage: what is below it adds nothing to any measure."""
    last = next((rank for rank in range(len(pids), 1, -1) if pids[rank - 1] in judged), 1)
    return {pid: -rank for rank, pid in enumerate(pids[:last], 1)}


def candidate_metrics(run: Run, qrels: Qrels, depth: int) -> dict[str, float]:
    """How good a first stage is: the mean of ``R@depth``, which bounds any re-ranking, and of ``MRR@10``."""
    per_query = evaluate(run, qrels, [f"R@{depth}", "MRR@10"])
    return {measure: sum(values.values()) / len(values) for measure, values in per_query.items()}


def summarise(per_query: PerQuery, *, confidence: float, resamples: int, seed: int) -> dict[str, dict[str, float]]:
    """For each measure its mean over queries, the ends of its interval, and the number of queries.

    The result is measure -> {"mean", "low", "high", "queries"}; see `bootstrap_interval` for the arguments.
    """
    summary = {}
    for measure, by_qid in per_query.items():
        values = list(by_qid.values())
        low, high = bootstrap_interval(values, confidence=confidence, resamples=resamples, seed=seed)
        summary[measure] = {
            "mean": sum(values) / len(values),
            "low": low,
            "high": high,
            "queries": len(values),
        }
    return summary


def write_metrics(
    folder: str | Path, per_query: dict[str, PerQuery], *, confidence: float, resamples: int, seed: int
) -> None:
    """Write a trained model's results, evaluation set -> `PerQuery`, into ``folder``.

    ``metrics.json`` has evaluation set -> `summarise`; ``per_query.parquet`` has the columns evalset, qid,
    measure, value. Each file appears atomically.
    """
    import pandas as pd  # takes a second to import, which evaluating alone does not need

    folder = Path(folder)
    rows = [
        (evalset, qid, measure, value)
        for evalset, measures in per_query.items()
        for measure, by_qid in measures.items()
        for qid, value in by_qid.items()
    ]
    with atomic(folder / "per_query.parquet") as temporary:
        pd.DataFrame(rows, columns=["evalset", "qid", "measure", "value"]).to_parquet(temporary, index=False)
    metrics = {
        evalset: summarise(measures, confidence=confidence, resamples=resamples, seed=seed)
        for evalset, measures in per_query.items()
    }
    write_json(folder / "metrics.json", metrics)


def _parse(name: str) -> ir_measures.Measure:
    """The ir-measures object of a measure's name; `UserError` if it is none of those `evaluate` lists."""
    if not MEASURE.fullmatch(name):
        raise UserError(
            f"Unknown measure {name!r}: write RR@k, nDCG@k or R@k with a cutoff k, such as 'RR@10', and "
            "'RR(rel=2)@10' for a higher minimum relevance."
        )
    return ir_measures.parse_measure(name)
