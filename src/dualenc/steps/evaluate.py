"""The measures of runs: no model, no torch."""

from typing import Annotated

import numpy as np
import typer

from dualenc.data.collection import read_qrels
from dualenc.data.runs import Ranking, read_run
from dualenc.evaluation import metrics
from dualenc.steps.arguments import Folder, OutputFolder, Params
from dualenc.study.schema import Evaluation


def evaluate(
    params: Params[Evaluation],
    evaluation: Folder,
    runs: Folder,
    splits: Annotated[str, typer.Option(help="comma-separated evaluation sets")],
    output: OutputFolder,
    constant: bool = False,
) -> None:
    """Evaluate the runs of one system on evaluation sets; with --constant, their passages in random order.

    Reads ``<set>.run.gz`` of the folder ``runs`` and writes ``metrics.json`` and ``per_query.parquet``. ``constant``
    gives every passage the score 0 first: by the rule for ties, a random order.
    """
    per_query = {}
    for split in splits.split(","):
        run = read_run(runs / f"{split}.run.gz")
        if constant:
            run = {qid: Ranking(ranking.pids, np.zeros(len(ranking.pids))) for qid, ranking in run.items()}
        qrels = read_qrels(evaluation / f"{split}.qrels.tsv")
        per_query[split] = metrics.evaluate(run, qrels, params.sets.get(split, params.measures))
    metrics.write_metrics(output, per_query, confidence=params.confidence, resamples=params.resamples, seed=params.seed)
