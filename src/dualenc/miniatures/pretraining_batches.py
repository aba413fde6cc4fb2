"""Minibatches for pre-training: lists of passages with labels, and texts without."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from dualenc.encoders import batches
from dualenc.encoders.tokens import Tokens
from dualenc.scorers.reading import Texts
from dualenc.study.schema import Pretraining
from dualenc.training.masking import mask
from dualenc.training.supervision import Lists, pick


class Unlabelled(NamedTuple):
    """Texts without labels, and what a sentence encoder says about them, if there was one.

    ``sentences`` (N, D) are unit vectors of the texts; ``pieces`` (total, P) vectors of the word pieces in
    ``texts.ids``, NaN where the encoder did not read that far.
    """

    texts: Tokens
    sentences: np.ndarray | None
    pieces: np.ndarray | None


class Collator:
    """Batches of lists and texts; what is at a position depends only on the seed and the position.

    ``rows`` and ``text_rows`` are the lists and the texts of the positions, one after the other.
    """

    def __init__(
        self, source: Texts, lists: Lists, unlabelled: Unlabelled, rows: np.ndarray, text_rows: np.ndarray,
        parameters: Pretraining, lengths: Mapping[str, int],
    ):  # fmt: skip
        self.source, self.lists, self.unlabelled, self.rows, self.text_rows = source, lists, unlabelled, rows, text_rows
        self.parameters, self.lengths = parameters, lengths

    def __call__(self, items: Sequence[Mapping[str, int]]) -> dict:
        """Features of ``pairs`` (B x K, L) with ``relevant`` (B, K), of ``queries`` and ``passages``, and of texts."""
        at = [item["position"] for item in items]
        generator = np.random.default_rng([self.parameters.seed, at[0]])
        return self._listed(self.rows[at], generator) | self._texts(at[0] // len(at), generator)

    def _listed(self, rows: np.ndarray, generator: np.random.Generator) -> dict:
        size, source, lists = self.parameters.list_size, self.source, self.lists
        columns = np.stack([pick(lists, row, size=size, selection="sampled", generator=generator) for row in rows])
        passages, relevant = lists.passages[rows[:, None], columns], lists.labels[rows[:, None], columns]
        queries = lists.queries[rows]
        contrasted = passages[:, [0, -1]].ravel()  # a positive comes first, a negative last
        return {
            "pairs": batches.pairs(
                *(source.queries, source.passages, np.repeat(queries, size), passages.ravel()),
                *(source.special, self.lengths["pair"]),
            ),
            "relevant": torch.from_numpy(relevant),
            "queries": batches.texts(source.queries, queries, source.special, self.lengths["text"]),
            "passages": batches.texts(source.passages, contrasted, source.special, self.lengths["text"]),
        }

    def _texts(self, step: int, generator: np.random.Generator) -> dict:
        """``texts``, masked for the labels ``words``; what the encoder says about those that are not.

        ``sentences`` (M, M) are its cosines by its temperature, ``pieces`` (n, P) its vectors of the word pieces at
        ``pieces_at``.
        """
        source, parameters, (texts, sentences, _) = self.source, self.parameters, self.unlabelled
        rows = self.text_rows[step * parameters.texts_per_step : (step + 1) * parameters.texts_per_step]
        count = round(parameters.masked_texts * len(rows))
        features = batches.texts(texts, rows, source.special, self.lengths["text"])
        share = np.where(np.arange(len(rows)) < count, parameters.masked, 0.0)[:, None]
        features = mask(features, share, source.special, source.vocabulary, generator)
        found = {"words": features.pop("labels"), "texts": features}
        if sentences is not None:
            vectors = torch.from_numpy(sentences[rows[count:]].astype(np.float32))
            found["sentences"] = vectors @ vectors.T / parameters.sentence_encoder.temperature
            found["pieces_at"], found["pieces"] = self._pieces(rows, count, features["input_ids"].shape)
        return found

    def _pieces(self, rows: np.ndarray, count: int, shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Where in a batch of texts (T, L) there are targets, in texts from the ``count``th on, and these (n, P)."""
        texts, _, pieces = self.unlabelled
        at, found = np.zeros(shape, dtype=bool), []
        for place, row in enumerate(rows[count:], start=count):
            start, stop = texts.offsets[row : row + 2]
            target = pieces[start : min(stop, start + shape[1] - 2)].astype(np.float32)
            known = np.isfinite(target[:, 0])
            at[place, 1 : 1 + len(target)] = known
            found.append(target[known])
        return torch.from_numpy(at), torch.from_numpy(np.concatenate(found))
