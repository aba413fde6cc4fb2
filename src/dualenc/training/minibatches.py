"""Minibatches of lists for a trainer: which queries and passages, as features, with labels and teacher scores.

What is at a position of training (which query, which of its negatives) is a function of the seed and the position
alone; what a whole minibatch shares (further negatives, hidden tokens) is one of the seed and the minibatch's first
position. So interrupted training resumes with the minibatches that uninterrupted training would have seen.

Each of the processes that train together (`dualenc.scorers.distributed`) makes the whole minibatch, and its share of
the features.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from dualenc.encoders import batches
from dualenc.runtime.errors import UserError
from dualenc.scorers import distributed
from dualenc.scorers.reading import Texts
from dualenc.study.kinds import KINDS
from dualenc.study.schema import Experiment
from dualenc.training import resumable
from dualenc.training.masking import drop, mask
from dualenc.training.negatives import Pool, pooled
from dualenc.training.supervision import Lists, pick

# What is drawn for a whole minibatch: each from its own generator, seeded with its number.
UNIFORM, DROPPED, MASKED = 1, 2, 3


class Targets(NamedTuple):
    """What a loss compares the scores of a minibatch's lists with, each (B, K).

    ``teacher`` has the teacher's scores (0 without a teacher), ``places`` the rows of the passages among the
    minibatch's distinct ones.
    """

    labels: torch.Tensor
    teacher: torch.Tensor
    places: torch.Tensor

    def packed(self) -> torch.Tensor:
        """One tensor (B, 3, K), which is what the library's trainers pass on: float32 holds places up to 2^24."""
        return torch.stack([tensor.float() for tensor in self], dim=1)

    @classmethod
    def unpacked(cls, label: torch.Tensor) -> "Targets":
        """What was ``packed``."""
        labels, teacher, places = label.unbind(1)
        return cls(labels, teacher, places.long())


class Collator:
    """Makes the minibatch at given positions, in the form that the library's trainers take.

    Features are those of queries and passages, or of pairs for a model that reads pairs. "label" holds the packed
    `Targets`.
    """

    valid_label_columns = ("label",)

    def __init__(self, lists: Lists, source: Texts, experiment: Experiment, lengths: Mapping[str, int], seed: int):
        """Raises ``UserError`` if more passages are to be drawn than the collection has."""
        collection = len(source.passages.lengths())
        if experiment.uniform > collection:
            raise UserError(
                f"uniform = {experiment.uniform} passages cannot be drawn from a collection of {collection}: lower it."
            )
        self.lists, self.source, self.experiment, self.lengths, self.seed = lists, source, experiment, lengths, seed
        self.collection = collection
        count = experiment.steps * experiment.batch_size
        self.rows = resumable.positions(count, len(lists.queries), seed)

    def __call__(self, items: Sequence[Mapping[str, int]]) -> dict[str, torch.Tensor]:
        """The minibatch at these positions, or the share of the one that they are in."""
        at = [item["position"] for item in items]
        if distributed.size() > 1:
            first = at[0] - at[0] % self.experiment.batch_size
            at = range(first, first + self.experiment.batch_size)
        rows = self.rows[list(at)]
        columns = np.stack([self._columns(position, row) for position, row in zip(at, rows, strict=True)])
        lists, experiment = self.lists, self.experiment
        queries, passages = lists.queries[rows], lists.passages[rows[:, None], columns]
        labels = lists.labels[rows[:, None], columns]
        teacher = np.zeros_like(labels) if lists.teacher is None else lists.teacher[rows[:, None], columns]
        pool = self._pool(passages, rows, at[0])
        more = ((0, 0), (0, pool.places.shape[1] - passages.shape[1]))
        teacher = np.pad(teacher, more, constant_values=0 if lists.teacher is None else -np.inf)
        targets = Targets(*map(torch.from_numpy, (np.pad(labels, more), teacher, pool.places)))
        if KINDS[experiment.model].reads == "pair":
            features = self._pairs(queries, passages, at[0])
        else:
            features = self._sides(queries, pool.passages, at[0])
        features = {name: tensor[distributed.share(len(tensor))] for name, tensor in features.items()}
        return {"label": targets.packed(), **features}

    def _columns(self, position: int, row: int) -> np.ndarray:
        generator = np.random.default_rng([self.seed, position])
        experiment = self.experiment
        return pick(self.lists, row, size=experiment.list_size, selection=experiment.selection, generator=generator)

    def _pool(self, passages: np.ndarray, rows: np.ndarray, first: int) -> Pool:
        experiment = self.experiment
        if not (experiment.in_batch or experiment.uniform):
            distinct, places = np.unique(passages, return_inverse=True)
            return Pool(distinct, places.reshape(passages.shape))
        drawn = self._generator(first, UNIFORM).choice(self.collection, experiment.uniform, replace=False)
        extra = np.concatenate([drawn, passages.ravel()]) if experiment.in_batch else drawn
        return pooled(passages, extra, [self.lists.judged[row] for row in rows])

    def _pairs(self, queries: np.ndarray, passages: np.ndarray, first: int) -> batches.Features:
        source = self.source
        columns, rows = (source.queries, source.passages), np.repeat(queries, passages.shape[1])
        features = batches.pairs(*columns, rows, passages.ravel(), source.special, self.lengths["pair"])
        return self._dropped(features, self._generator(first, DROPPED))

    def _sides(self, queries: np.ndarray, passages: np.ndarray, first: int) -> batches.Features:
        source, experiment = self.source, self.experiment
        dropping, masking = self._generator(first, DROPPED), self._generator(first, MASKED)
        sides = {}
        for side, column, rows in (("query", source.queries, queries), ("passage", source.passages, passages)):
            features = batches.texts(column, rows, source.special, self.lengths["text"])
            sides[side] = self._dropped(features, dropping)
            if experiment.mlm_weight:
                masked = mask(features, experiment.mlm_masked, source.special, source.vocabulary, masking)
                sides[f"masked_{side}"] = masked
        order = sorted(sides, key=lambda side: side.startswith("masked"))  # as `dualenc.training.objective` takes them
        return {f"{side}_{name}": tensor for side in order for name, tensor in sides[side].items()}

    def _dropped(self, features: batches.Features, generator: np.random.Generator) -> batches.Features:
        share = self.experiment.token_dropout
        return drop(features, share, self.source.special, generator) if share else features

    def _generator(self, first: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, first, number])
