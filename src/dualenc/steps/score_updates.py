"""What one gradient step on a pair does to other scores, along a training run."""

import pandas as pd

from dualenc.analysis.score_updates import changes, neighbours
from dualenc.data.collection import read_qrels
from dualenc.runtime.files import atomic
from dualenc.scorers import models, reading
from dualenc.steps.arguments import Folder, Output, Params, set_torch_threads
from dualenc.steps.inputs import passage_rows, read_candidates, rows
from dualenc.study.settings import ScoreUpdates

SPLIT = "test"


def score_updates(
    params: Params[ScoreUpdates], dataset: Folder, tokens: Folder, evaluation: Folder, checkpoints: Folder,
    run: Folder, output: Output,
) -> None:  # fmt: skip
    """Measure what a gradient step on one pair does to the scores of others, along one training run.

    Writes `dualenc.analysis.score_updates.changes` of test pairs, with ``checkpoint`` (parquet). Checkpoints are
    ``step-<k>`` of the folder ``checkpoints`` for each k of ``params.checkpoints``, and "end", the model in the folder
    ``run``.
    """
    set_torch_threads()
    about = params.score_updates
    query_rows, qrels = rows(dataset, SPLIT), read_qrels(evaluation / f"{SPLIT}.qrels.tsv")
    candidates = read_candidates(evaluation, SPLIT, query_rows)
    watched = neighbours(candidates, qrels, pairs=about.pairs, others=about.others)
    source = reading.texts(tokens, SPLIT, params.tokens_per_batch)
    identifiers = query_rows, passage_rows(dataset, candidates)
    stages = {f"step-{step}": checkpoints / f"step-{step}" for step in params.checkpoints} | {"end": run}
    frames = []
    for checkpoint, stage in stages.items():
        model = models.load(stage / "model", params.model)
        changed = changes(model, source, watched, *identifiers, step=about.step)
        frames.append(changed.assign(checkpoint=checkpoint))
    with atomic(output) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
