"""Tokens hidden from a model in training: masked words to predict (Devlin et al., 2019), and dropped ones."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from dualenc.encoders.batches import Features

IGNORED = -100  # label of a position that is not predicted


def mask(
    features: Features,
    share: float | np.ndarray,
    special: Mapping[str, int],
    vocabulary: int,
    generator: np.random.Generator,
) -> Features:
    """The features with a ``share`` of their word pieces masked, and ``labels``.

    ``share`` may be one for each row (B, 1). At least one piece is masked, unless all shares are 0.
    Of the chosen pieces 80 % become [MASK], 10 % a random piece, 10 % stay; ``labels`` (B, L) are the ids of the
    chosen pieces, ``IGNORED`` elsewhere.
    """
    ids = features["input_ids"].numpy()
    may = _words(ids, special) & (np.asarray(share) > 0)
    draw = np.where(may, generator.random(ids.shape), 2.0)
    chosen = draw < share
    if may.any() and not chosen.any():
        chosen.ravel()[draw.argmin()] = True
    kind = generator.random(ids.shape)
    changed = np.where(chosen & (kind < 0.8), special["mask"], ids)
    random_pieces = generator.integers(max(special.values()) + 1, vocabulary, ids.shape)
    changed = np.where(chosen & (kind >= 0.8) & (kind < 0.9), random_pieces, changed)
    labels = np.where(chosen, ids, IGNORED)
    return features | {"input_ids": torch.from_numpy(changed), "labels": torch.from_numpy(labels)}


def masked_loss(bert: torch.nn.Module, head: torch.nn.Module, features: Features) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean cross-entropy over the masked positions, and for each whether its word was predicted (M,).

    ``bert`` gives the hidden states of ``mask``'s features, ``head`` the logits of words; it sees the masked
    positions only, as it is as wide as the vocabulary.
    """
    labels = features["labels"]
    chosen = labels != IGNORED
    inputs = {name: tensor for name, tensor in features.items() if name != "labels"}
    logits = head(bert(**inputs).last_hidden_state[chosen])
    return cross_entropy(logits, labels[chosen]), logits.argmax(-1) == labels[chosen]


def drop(features: Features, share: float, special: Mapping[str, int], generator: np.random.Generator) -> Features:
    """The features without a ``share`` of their word pieces (token dropout, Appendix C.10).

    A dropped piece is treated like padding: no other piece attends to it, no pooling and no late interaction counts
    it; the others keep their positions. Special tokens stay, so no text becomes empty.
    """
    ids = features["input_ids"].numpy()
    dropped = _words(ids, special) & (generator.random(ids.shape) < share)
    return features | {"attention_mask": features["attention_mask"] * torch.from_numpy(~dropped)}


def _words(ids: np.ndarray, special: Mapping[str, int]) -> np.ndarray:
    """Where pieces of words are."""
    return ~np.isin(ids, list(special.values()))
