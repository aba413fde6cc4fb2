"""Models that have one vector for each text, which dot products compare."""

import numpy as np
import torch

from dualenc.encoders.batches import Features
from dualenc.encoders.tokens import Tokens
from dualenc.scorers import reading
from dualenc.scorers.reading import Model, Texts

OUTPUT = "sentence_embedding"
"""What the library calls the vectors."""


def of_side(vectors: torch.Tensor, side: Features, dropout: float, training: bool) -> Features:
    """What the texts of a side are compared by: vectors (B, D), whose dropout is the model's own."""
    return {OUTPUT: vectors}


def compare(model: Model, query: Features, passages: Features, places: torch.Tensor) -> torch.Tensor:
    """Scores (B, K) of the passages at ``places`` (B, K) with the queries (B,)."""
    return (query[OUTPUT] @ passages[OUTPUT].T).gather(1, places)


def differentiable(model: Model, source: Texts, queries: np.ndarray, passages: np.ndarray) -> torch.Tensor:
    """Scores (N,) of the pairs in these rows, in one batch, differentiable in the parameters."""
    query, passage = reading.sides(model, source, queries, passages)
    return (query[OUTPUT] * passage[OUTPUT]).sum(-1)


def embed(model: Model, column: Tokens, rows: np.ndarray, source: Texts) -> np.ndarray:
    """Vectors (N, D) float32 of the texts in ``rows`` of a column, in evaluation mode."""
    result = np.empty((len(rows), model.get_embedding_dimension()), dtype=np.float32)
    with reading.evaluating(model):
        for batch, output in reading.outputs(model, column, rows, source):
            result[batch] = output[OUTPUT].float().cpu().numpy()
    return result
