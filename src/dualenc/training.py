"""Training a cross-attention model or a dual-encoder on lists, through the library's trainers (section 5, Appendix B).

The trainer walks once over as many positions as the training has lists; what stands at a position (which query, which
of its negatives) is a function of the seed and the position alone. So an interrupted training goes on with the
batches that an uninterrupted one would have seen.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import (
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.sampler import DefaultBatchSampler
from torch.utils.data import SequentialSampler
from transformers import Trainer, set_seed

from dualenc import batches, models, resumable
from dualenc.evaluation import Qrels, evaluate
from dualenc.losses import loss_function
from dualenc.parameters import Experiment
from dualenc.runs import Run
from dualenc.scoring import Model, Texts, rerank
from dualenc.supervision import Lists, pick

MEASURES = ["MRR@10", "nDCG@10"]
CHOOSES = "validation_nDCG@10"  # Appendix B: early stopping on nDCG@10; on a split held out of the training set


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
        """Re-rank and evaluate; the other arguments are the trainer's and are not used."""
        metrics = {}
        for split, probe in self.probes.items():
            run = rerank(model, probe.source, probe.candidates, probe.query_rows, self.passage_rows)
            for measure, values in evaluate(run, probe.qrels, MEASURES).items():
                metrics[f"{split}_{measure}"] = float(np.mean(list(values.values())))
        return metrics


class Collator:
    """Batches of lists for a trainer: features of queries and passages, or of pairs, and (labels, teacher scores)."""

    valid_label_columns = ("label",)

    def __init__(self, lists: Lists, source: Texts, experiment: Experiment, lengths: Mapping[str, int], seed: int):
        self.lists, self.source, self.experiment, self.lengths, self.seed = lists, source, experiment, lengths, seed
        count = experiment.steps * experiment.batch_size
        self.rows = resumable.positions(count, len(lists.queries), seed)

    def __call__(self, items: Sequence[Mapping[str, int]]) -> dict[str, torch.Tensor]:
        """The batch at these positions; "label" is (B, 2, K): labels, teacher scores (0 without a teacher)."""
        at = [item["position"] for item in items]
        rows = self.rows[at]
        columns = np.stack([self._columns(position, row) for position, row in zip(at, rows, strict=True)])
        lists = self.lists
        queries, passages = lists.queries[rows], lists.passages[rows[:, None], columns]
        labels = lists.labels[rows[:, None], columns]
        teacher = np.zeros_like(labels) if lists.teacher is None else lists.teacher[rows[:, None], columns]
        return {"label": torch.from_numpy(np.stack([labels, teacher], axis=1)), **self._features(queries, passages)}

    def _columns(self, position: int, row: int) -> np.ndarray:
        generator = np.random.default_rng([self.seed, position])
        experiment = self.experiment
        return pick(self.lists, row, size=experiment.list_size, selection=experiment.selection, generator=generator)

    def _features(self, queries: np.ndarray, passages: np.ndarray) -> batches.Features:
        source = self.source
        if self.experiment.model == "cross-attention":
            query_rows = np.repeat(queries, passages.shape[1])
            columns = source.queries, source.passages
            return batches.pairs(*columns, query_rows, passages.ravel(), source.special, self.lengths["pair"])
        sides = {"query": (source.queries, queries), "passage": (source.passages, passages.ravel())}
        return {
            f"{side}_{name}": tensor
            for side, (column, rows) in sides.items()
            for name, tensor in batches.texts(column, rows, source.special, self.lengths["text"]).items()
        }


class ListLoss(torch.nn.Module):
    """Adapts a loss of lists to the library's trainers."""

    def __init__(self, model: Model, loss: Callable):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, features, labels, prompt=None, task=None):
        """The loss of one batch; ``features`` as the trainer collects them, ``labels`` (B, 2, K)."""
        labels, teacher = labels.unbind(1)
        if len(features) == 3:  # the cross-attention trainer passes the tensors of one set of features
            names = ("input_ids", "attention_mask", "token_type_ids")
            student = self.model(dict(zip(names, features, strict=True)))["scores"].view(labels.shape)
        else:
            query, passages = (self.model(side)["sentence_embedding"] for side in features)
            student = torch.einsum("bd,bkd->bk", query, passages.view(*labels.shape, -1))
        return self.loss(student, teacher, labels)


def train(
    encoder: str | Path,
    lists: Lists,
    source: Texts,
    probes: Mapping[str, Probe],
    passage_rows: Mapping[str, int],
    *,
    experiment: Experiment,
    lengths: Mapping[str, int],
    seed: int,
    state: Path,
) -> tuple[Model, list[tuple[int, str, str, float]]]:
    """Train ``experiment`` from ``encoder``; returns the model of the best probe and the learning curve.

    ``probes`` must have "validation", on whose nDCG@10 alone the best checkpoint is chosen; the others are for the
    curve. ``state`` holds what a later call needs to go on; its lock must be held. Curve rows are (step, split,
    metric, value).
    """
    trainer = _trainer(
        encoder,
        lists,
        source,
        experiment=experiment,
        lengths=lengths,
        seed=seed,
        state=state,
        evaluator=Probes(probes, passage_rows),
        eval_on_start=True,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{CHOOSES}",
        greater_is_better=True,
    )
    log = resumable.fit(trainer, patience=experiment.patience)
    keys = {f"eval_{split}_{measure}": (split, measure) for split in probes for measure in MEASURES}
    return trainer.model, resumable.curve(log, keys)


def keep(
    encoder: str | Path,
    lists: Lists,
    source: Texts,
    *,
    experiment: Experiment,
    lengths: Mapping[str, int],
    seed: int,
    state: Path,
    steps: Sequence[int],
) -> dict[int, Path]:
    """The models that ``train`` passes through at ``steps``, each saved in a folder below ``state``.

    The schedule is that of the whole training, which ends here at the last of ``steps``; nothing is probed.
    """
    trainer = _trainer(
        encoder,
        lists,
        source,
        experiment=experiment,
        lengths=lengths,
        seed=seed,
        state=state,
        evaluator=None,
        eval_strategy="no",
    )
    trainer.add_callback(resumable.Keep(steps))
    resumable.fit(trainer)
    return {step: resumable.kept(state, step) for step in steps}


def _trainer(
    encoder: str | Path,
    lists: Lists,
    source: Texts,
    *,
    experiment: Experiment,
    lengths: Mapping[str, int],
    seed: int,
    state: Path,
    evaluator: Probes | None,
    **changes: object,
) -> Trainer:
    """The library's trainer of ``experiment`` from ``encoder``; ``changes`` are arguments of its own."""
    set_seed(seed)
    if experiment.model == "cross-attention":
        model = models.cross_encoder(encoder, dropout=experiment.dropout, max_length=lengths["pair"])
        trainer_class, arguments_class = CrossEncoderTrainer, CrossEncoderTrainingArguments
    else:
        model = models.dual_encoder(
            encoder,
            pooling=experiment.pooling,
            dropout=experiment.dropout,
            gain=experiment.gain,
            max_length=lengths["text"],
        )
        trainer_class, arguments_class = SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    collator = Collator(lists, source, experiment, lengths, seed)
    arguments = resumable.arguments(
        state,
        steps=experiment.steps,
        batch_size=experiment.batch_size,
        learning_rate=experiment.learning_rate,
        weight_decay=experiment.weight_decay,
        warmup=experiment.warmup,
        evaluate_every=experiment.evaluate_every,
        seed=seed,
    )
    trainer = trainer_class(
        model=model,
        args=arguments_class(**arguments | changes, batch_sampler=in_order),
        train_dataset=Dataset.from_dict({"position": range(len(collator.rows))}),
        data_collator=collator,
        loss=ListLoss(model, loss_function(experiment.loss, experiment.loss_parameters)),
        evaluator=evaluator,
    )
    trainer.remove_callback(trainer.model_card_callback_class)  # it samples the data to write examples
    return trainer


def in_order(dataset: Dataset, batch_size: int, drop_last: bool, **_: object) -> DefaultBatchSampler:
    """Positions as they come: the order was drawn by the collator."""
    return DefaultBatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last)
