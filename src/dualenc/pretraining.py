"""Pre-training of miniature BERTs: masked language modelling on (query, passage) pairs of the train split.

Pairs have the format of a cross-attention model, so attention across the two sides is trained too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import BertForMaskedLM, Trainer, TrainingArguments, set_seed

from dualenc import batches, initialisation, models, resumable
from dualenc.masking import mask, masked_loss
from dualenc.parameters import Encoder, Pretraining
from dualenc.scoring import Texts


class MaskedLanguageTrainer(Trainer):
    """The library's trainer, with positions in order and the vocabulary-wide head on masked positions only."""

    def __init__(self, *args, probe: "MaskingCollator", **kwargs):
        super().__init__(*args, **kwargs)
        self.probe = probe

    def _get_train_sampler(self, train_dataset=None):
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Mean cross-entropy over the masked positions of a batch."""
        loss, _ = masked_loss(model.bert, model.cls, inputs)
        return (loss, {}) if return_outputs else loss

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        """Loss and accuracy on the held-out pairs, each masked position counting once."""
        self.model.eval()
        total = hits = loss = 0.0
        size = self.args.per_device_eval_batch_size
        with torch.inference_mode():
            for start in range(0, len(self.eval_dataset), size):
                at = range(start, min(start + size, len(self.eval_dataset)))
                inputs = self._prepare_inputs(self.probe([{"position": position} for position in at]))
                mean, right = masked_loss(self.model.bert, self.model.cls, inputs)
                total, hits = total + len(right), hits + right.sum().item()
                loss += mean.item() * len(right)
        self.model.train()
        metrics = {f"{metric_key_prefix}_loss": loss / total, f"{metric_key_prefix}_accuracy": hits / total}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class MaskingCollator:
    """Batches of masked pairs; what stands at a position depends on the seed and the position alone."""

    def __init__(self, source: Texts, pairs: np.ndarray, rows: np.ndarray, masked: float, max_length: int, seed: int):
        self.source, self.pairs, self.rows, self.masked = source, pairs, rows, masked
        self.max_length, self.seed = max_length, seed

    def __call__(self, items: Sequence[Mapping[str, int]]) -> batches.Features:
        """Features and ``labels`` (B, L), ``IGNORED`` where a token is not predicted."""
        at = [item["position"] for item in items]
        queries, passages = self.pairs[self.rows[at]].T
        source = self.source
        features = batches.pairs(source.queries, source.passages, queries, passages, source.special, self.max_length)
        generator = np.random.default_rng([self.seed, at[0]])
        return mask(features, self.masked, source.special, source.vocabulary, generator)


def pretrain(
    source: Texts,
    held_out: Texts,
    pairs: np.ndarray,
    held_out_pairs: np.ndarray,
    *,
    encoder: Encoder,
    parameters: Pretraining,
    max_length: int,
    state: Path,
) -> tuple[BertForMaskedLM, list[tuple[int, str, str, float]]]:
    """Pre-train a miniature of the shape ``encoder``, from ``dualenc.initialisation``.

    ``pairs`` (N, 2) are query and passage rows of ``source`` to learn from, ``held_out_pairs`` of ``held_out`` the
    probes. Returns the model and the curve, rows of (step, split, metric, value). ``state`` holds what a later call
    needs to go on; its lock must be held.
    """
    set_seed(parameters.seed)
    model = models.masked_language_model(
        layers=encoder.layers,
        width=encoder.width,
        heads=encoder.heads,
        vocabulary=source.vocabulary,
        max_length=max_length,
        pad=source.special["pad"],
    )
    vectors = initialisation.word_vectors(source, pairs, encoder.width, parameters.seed)
    initialisation.start(model, vectors, parameters.seed)
    rows = resumable.positions(parameters.steps * parameters.batch_size, len(pairs), parameters.seed)
    every_pair = np.arange(len(held_out_pairs))
    collate = MaskingCollator(source, pairs, rows, parameters.masked, max_length, parameters.seed)
    probe = MaskingCollator(held_out, held_out_pairs, every_pair, parameters.masked, max_length, parameters.seed)
    arguments = resumable.arguments(
        state,
        steps=parameters.steps,
        batch_size=parameters.batch_size,
        learning_rate=parameters.learning_rate,
        weight_decay=parameters.weight_decay,
        warmup=parameters.warmup,
        evaluate_every=parameters.evaluate_every,
        seed=parameters.seed,
    )
    trainer = MaskedLanguageTrainer(
        model=model,
        args=TrainingArguments(**arguments, per_device_eval_batch_size=parameters.batch_size),
        train_dataset=Dataset.from_dict({"position": range(len(rows))}),
        eval_dataset=Dataset.from_dict({"position": every_pair}),
        data_collator=collate,
        probe=probe,
    )
    log = resumable.fit(trainer)
    keys = {"eval_loss": ("validation", "loss"), "eval_accuracy": ("validation", "accuracy")}
    return trainer.model, resumable.curve(log, keys)
