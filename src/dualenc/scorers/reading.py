"""What models read: the texts of a split, as tokens, in batches of similar length."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sentence_transformers.base import BaseModel

from dualenc.encoders import batches, tokens
from dualenc.encoders.tokens import Tokens
from dualenc.runtime.progress import Progress

Model = BaseModel


class Texts(NamedTuple):
    """The texts that pairs are made of: queries of one split, passages, and how to batch them."""

    queries: Tokens
    passages: Tokens
    special: dict[str, int]
    vocabulary: int
    tokens_per_batch: int


def texts(folder: str | Path, split: str, tokens_per_batch: int) -> Texts:
    """The texts of one split from a folder of tokens."""
    queries, passages = (tokens.read(folder, name) for name in (f"queries.{split}", "passages"))
    about = tokens.manifest(folder)
    return Texts(queries, passages, about["special"], about["vocabulary"], tokens_per_batch)


def outputs(
    model: Model, column: Tokens, rows: np.ndarray, source: Texts
) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
    """What a model that reads single texts says about the texts in ``rows``: which of them (B,), and its outputs."""
    lengths = np.minimum(column.offsets[rows + 1] - column.offsets[rows] + 2, model.max_seq_length)
    for batch in in_batches(lengths, source, "encoding", "texts"):
        features = batches.texts(column, rows[batch], source.special, model.max_seq_length)
        yield batch, model(to_device(model, features))


def sides(
    model: Model, source: Texts, queries: np.ndarray, passages: np.ndarray, module: torch.nn.Module | None = None
) -> tuple[batches.Features, batches.Features]:
    """What a model of single texts says about the queries and the passages (N, ...) of pairs, in one batch.

    Each text is read once, by a ``module`` of the model if one is given. Where gradients are on, they flow through it.
    """
    read = module or model
    found = []
    for column, rows in ((source.queries, queries), (source.passages, passages)):
        distinct, at = np.unique(rows, return_inverse=True)
        output = read(to_device(model, batches.texts(column, distinct, source.special, model.max_seq_length)))
        found.append({name: tensor[at] for name, tensor in output.items() if isinstance(tensor, torch.Tensor)})
    return found[0], found[1]


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Evaluation mode without gradients, and the previous mode afterwards."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        yield
    model.train(training)


def in_batches(lengths: np.ndarray, source: Texts, what: str, unit: str) -> Iterator[np.ndarray]:
    """`batches.by_length`, and progress as batches are done: the longest come first and take longest."""
    progress = Progress(what, unit, len(lengths), work=float(lengths.sum()))
    for batch in batches.by_length(lengths, source.tokens_per_batch):
        yield batch
        progress.advance(len(batch), float(lengths[batch].sum()))


def to_device(model: Model, features: batches.Features) -> batches.Features:
    """The features where the model is."""
    return {name: tensor.to(model.device) for name, tensor in features.items()}
