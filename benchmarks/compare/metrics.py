"""MRR@10, nDCG@10 and R@1000 of each query, against ir-measures and ranx: from a run's file, and in memory.

In memory, ours begins with the rankings of a model, which are not known to be sorted, and the others with a dictionary
qid -> pid -> score, as both document; ranx makes its own structure of it, which is part of its work. ranx is not a
dependency of the project: ``pip install ranx``.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import ir_measures
import numpy as np
import ranx
from harness import Comparison, seconds

from dualenc.data.runs import Ranking, Run, read_run, write_run
from dualenc.evaluation.metrics import PerQuery, Qrels, evaluate

QUERIES, DEPTH, COLLECTION = 3500, 1000, 8_841_823  # half of MS MARCO's development set
QUICK = 700  # queries
MEASURES = {"RR@10": "mrr@10", "nDCG@10": "ndcg@10", "R@1000": "recall@1000"}
RETRIEVED = 0.9  # of the relevant passages
TWO = 0.1  # of the queries have two relevant passages
MEAN_RANK = 20
SEED = 1
TARGET = 1.0

Scores = dict[str, dict[str, float]]


def comparisons(device: str, scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """All give the same values, which is checked first."""
    run, qrels = _made(QUICK if quick else QUERIES)
    file = scratch / "synthetic.run.gz"
    write_run(file, run, tag="synthetic")
    scores = {qid: dict(zip(pids, values.tolist(), strict=True)) for qid, (pids, values) in run.items()}
    few = list(qrels)[:500]
    _check({qid: run[qid] for qid in few}, {qid: scores[qid] for qid in few}, {qid: qrels[qid] for qid in few})
    judgements = ranx.Qrels(qrels)
    size = f"{len(run):,} queries x {DEPTH:,} passages, {', '.join(MEASURES)}"
    ways = {
        ("measures of a run's file", "gzip TREC run of " + size): (
            lambda: _ours(read_run(file), qrels),
            {
                "ir-measures": lambda: _by_ir_measures(_read_by_ir_measures(file), qrels),
                "ranx": lambda: _by_ranx(ranx.Run.from_file(str(file)), judgements),
            },
        ),
        ("measures in memory", size): (
            lambda: _ours(run, qrels),
            {
                "ir-measures": lambda: _by_ir_measures(scores, qrels),
                "ranx": lambda: _by_ranx(ranx.Run(scores), judgements),
            },
        ),
    }
    for (path, setting), (ours, others) in ways.items():
        for against, theirs in others.items():
            both = (partial(seconds, ours), partial(seconds, theirs))
            yield Comparison(path, against, setting, *both, len(run), "queries", TARGET)


def _made(queries: int) -> tuple[Run, Qrels]:
    generator = np.random.default_rng(SEED)
    run, qrels = {}, {}
    for number in range(queries):
        qid = str(number)
        pids = list(map(str, generator.permutation(np.unique(generator.integers(0, COLLECTION, DEPTH + 50)))[:DEPTH]))
        run[qid] = Ranking(pids, np.sort(generator.normal(size=DEPTH).astype(np.float32))[::-1])
        relevant = [
            pids[min(int(generator.exponential(MEAN_RANK)), DEPTH - 1)] if generator.random() < RETRIEVED else "none"
            for _ in range(1 + (generator.random() < TWO))
        ]
        qrels[qid] = dict.fromkeys(relevant, 1)
    return run, qrels


def _ours(run: Run, qrels: Qrels) -> PerQuery:
    return evaluate(run, qrels, list(MEASURES))


def _by_ir_measures(scores: Scores, qrels: Qrels) -> PerQuery:
    parsed = {ir_measures.parse_measure(name): name for name in MEASURES}
    values = {name: {} for name in MEASURES}
    for metric in ir_measures.iter_calc(list(parsed), qrels, scores):
        values[parsed[metric.measure]][metric.query_id] = metric.value
    return values


def _read_by_ir_measures(file: Path) -> Scores:
    scores: Scores = {}
    for line in ir_measures.read_trec_run(str(file)):
        scores.setdefault(line.query_id, {})[line.doc_id] = line.score
    return scores


def _by_ranx(run: ranx.Run, qrels: ranx.Qrels) -> PerQuery:
    ranx.evaluate(qrels, run, list(MEASURES.values()), make_comparable=True)
    return {name: run.scores[other] for name, other in MEASURES.items()}


def _check(run: Run, scores: Scores, qrels: Qrels) -> None:
    """The means agree: of equal scores each tool decides on its own, and few are."""
    found = [_ours(run, qrels), _by_ir_measures(scores, qrels), _by_ranx(ranx.Run(scores), ranx.Qrels(qrels))]
    for values in found[1:]:
        for ours, theirs in zip(found[0].values(), values.values(), strict=True):
            np.testing.assert_allclose(np.mean(list(ours.values())), np.mean(list(theirs.values())), atol=2e-3)
