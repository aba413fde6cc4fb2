"""The step that judges runs: no model, no torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dualenc.data.collection import read_qrels
from dualenc.data.runs import Ranking, read_run
from dualenc.evaluation.metrics import evaluate, write_metrics
from dualenc.study.schema import Evaluation


def evaluate_runs(
    evaluation: Path, runs: Path, splits: Sequence[str], constant: bool, parameters: Evaluation, output: Path
) -> None:
    """Evaluate ``<set>.run.gz`` of a folder on these evaluation sets: ``metrics.json``, ``per_query.parquet``.

    ``constant`` gives every passage the score 0 first: by the rule for ties, a random order.
    """
    per_query = {}
    for split in splits:
        run = read_run(runs / f"{split}.run.gz")
        if constant:
            run = {qid: Ranking(ranking.pids, np.zeros(len(ranking.pids))) for qid, ranking in run.items()}
        qrels = read_qrels(evaluation / f"{split}.qrels.tsv")
        per_query[split] = evaluate(run, qrels, parameters.sets.get(split, parameters.measures))
    write_metrics(
        output,
        per_query,
        confidence=parameters.confidence,
        resamples=parameters.resamples,
        seed=parameters.seed,
    )
