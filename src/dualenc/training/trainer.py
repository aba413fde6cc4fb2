"""Training a model on lists, through the library's trainers (section 5, Appendix B).

The trainer walks once over as many positions as the training run has lists; `dualenc.training.minibatches` says what is
there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.sampler import DefaultBatchSampler
from torch.utils.data import SequentialSampler
from transformers import set_seed

from dualenc.data.runs import Run
from dualenc.evaluation.metrics import Qrels, evaluate
from dualenc.scorers import models
from dualenc.scorers.reading import Model, Texts
from dualenc.scorers.scoring import rerank
from dualenc.study.schema import Experiment
from dualenc.training import resumable
from dualenc.training.divergence import FiniteSteps
from dualenc.training.minibatches import Collator
from dualenc.training.objective import ListLoss
from dualenc.training.supervision import Lists

MEASURES = ["MRR@10", "nDCG@10"]
CHOOSES = "validation_nDCG@10"  # Appendix B: early stopping on nDCG@10; on a split held out of the training set


TRAINERS = {name: type(one.TRAINER.__name__, (FiniteSteps, one.TRAINER), {}) for name, one in models.MODULES.items()}
"""Kind of a model -> the library's trainer of it, which takes finite steps alone."""


class Training(NamedTuple):
    """What decides a trained model, and the folder ``state`` with what a later call needs to continue.

    ``encoder`` is the folder of the encoder to start from, ``lengths`` has "text" and "pair". The lock of ``state``
    must be held.
    """

    encoder: Path
    lists: Lists
    source: Texts
    experiment: Experiment
    lengths: Mapping[str, int]
    seed: int
    state: Path


class Probe(NamedTuple):
    """An evaluation set to score along training: its texts, candidates and judgements, and rows of its qids."""

    source: Texts
    candidates: Run
    qrels: Qrels
    query_rows: Mapping[str, int]


class Probes(BaseEvaluator):
    """Mean MRR@10 and nDCG@10 of each probe, as ``<split>_<measure>``."""

    def __init__(self, probes: Mapping[str, Probe], passage_rows: Mapping[str, int]):
        super().__init__()
        self.probes, self.passage_rows = probes, passage_rows

    def __call__(self, model: Model, output_path=None, epoch: float = -1, steps: int = -1) -> dict[str, float]:
        """Re-rank and evaluate; the other arguments are the trainer's and are not used.

        Each probe is scored by itself, so that what validation chooses has the same bits whatever else is probed.
        When processes train together, the trainer lets the first one do it, and tells the others.
        """
        metrics = {}
        for split, probe in self.probes.items():
            run = rerank(model, probe.source, probe.candidates, probe.query_rows, self.passage_rows)
            for measure, values in evaluate(run, probe.qrels, MEASURES).items():
                metrics[f"{split}_{measure}"] = float(np.mean(list(values.values())))
        return metrics


def train(
    training: Training, probes: Mapping[str, Probe], passage_rows: Mapping[str, int], checkpoints: Sequence[int] = ()
) -> tuple[Model, list[tuple[int, str, str, float]]]:
    """Train; returns the model of the best probe and the learning curve, rows of (step, split, metric, value).

    Raises ``UserError`` as `dualenc.training.resumable.fit` does.

    ``probes`` must have "validation", on whose nDCG@10 alone the best checkpoint is chosen; the others are for the
    curve. What the model is at the steps ``checkpoints`` stays in the state (`dualenc.training.resumable.saved_model`).
    """
    trainer = make_trainer(
        training,
        Probes(probes, passage_rows),
        eval_on_start=len(probes) > 1,  # a curve's beginning; no checkpoint has this model
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{CHOOSES}",
        greater_is_better=True,
    )
    trainer.add_callback(resumable.Keep(checkpoints))
    log = resumable.fit(trainer, training.experiment.model, patience=training.experiment.patience)
    keys = {f"eval_{split}_{measure}": (split, measure) for split in probes for measure in MEASURES}
    return trainer.model, resumable.curve(log, keys)


def make_trainer(training: Training, evaluator: Probes, **changes: object) -> FiniteSteps:
    """The library's trainer; ``changes`` are arguments of its own."""
    experiment = training.experiment
    set_seed(training.seed)
    model = models.start(training.encoder, experiment, training.lengths)
    collator = Collator(training.lists, training.source, experiment, training.lengths, training.seed)
    arguments = resumable.arguments(
        training.state,
        steps=experiment.steps,
        batch_size=experiment.batch_size,
        learning_rate=experiment.learning_rate,
        weight_decay=experiment.weight_decay,
        warmup=experiment.warmup,
        evaluate_every=experiment.evaluate_every,
        seed=training.seed,
    )
    trainer = TRAINERS[experiment.model](
        model=model,
        args=models.MODULES[experiment.model].ARGUMENTS(**arguments | changes, batch_sampler=in_order),
        train_dataset=Dataset.from_dict({"position": range(len(collator.rows))}),
        data_collator=collator,
        loss=ListLoss(model, experiment, training.encoder, training.source.tokens_per_batch),
        evaluator=evaluator,
    )
    trainer.remove_callback(trainer.model_card_callback_class)  # it samples the data to write examples
    return trainer


def in_order(dataset: Dataset, batch_size: int, drop_last: bool, **_: object) -> DefaultBatchSampler:
    """Positions as they come: the order was drawn by the collator."""
    return DefaultBatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last)
