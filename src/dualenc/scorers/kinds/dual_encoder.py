"""Dual-encoder (eq. 2): one BERT for query and passage, pooled, and the dot product of the two vectors.

Vectors go through dropout and layer normalisation (Appendix B). Saved, it is ``SentenceTransformer(path)``.
"""

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling

from dualenc.scorers import starting, vectors
from dualenc.scorers.reading import Texts

ABOUT = {"reads": "text", "heads": [], "searches": "dense", "shown": True}
OPTIONS = ("pooling", "dropout", "gain")
LOADER, TRAINER, ARGUMENTS = SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
FILES = ["1_Pooling/config.json", "2_Dropout/config.json", "3_LayerNorm/config.json", "3_LayerNorm/model.safetensors"]
OUTPUT, of_side, compare, differentiable = vectors.OUTPUT, vectors.of_side, vectors.compare, vectors.differentiable
SCORES = "the dot product of the two texts' vectors"
PIPELINE, TAGS = "sentence-similarity", ["dual-encoder", "dense"]


def weights(width: int) -> tuple[str, dict[str, tuple[int, ...]]]:
    """The file of the weights that are not the encoder's, and their shapes."""
    return "3_LayerNorm/model.safetensors", {"norm.weight": (width,), "norm.bias": (width,)}


def start(encoder: str | Path, *, max_length: int, pooling: str, dropout: float, gain: float) -> SentenceTransformer:
    """A model that starts from the encoder in a folder; only ``max_length`` tokens of a text count.

    ``gain`` is the initial gain of the output normalisation: scores lie within +-``gain``^2 x width. Raises
    ``UserError`` if the folder lacks a file or a weight.
    """
    starting.check(encoder, ABOUT["heads"])
    transformer = starting.transformer(encoder, max_length)
    width = transformer.get_embedding_dimension()
    modules = [transformer, Pooling(width, pooling), Dropout(dropout), LayerNorm(width)]
    torch.nn.init.constant_(modules[-1].norm.weight, gain)
    return SentenceTransformer(modules=modules, similarity_fn_name="dot", device=starting.device())


def score(model: SentenceTransformer, source: Texts, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """Scores (N,) float32 of the pairs in these rows; each distinct text is encoded once."""
    distinct_queries, query = np.unique(queries, return_inverse=True)
    distinct_passages, passage = np.unique(passages, return_inverse=True)
    query_vectors = vectors.embed(model, source.queries, distinct_queries, source)
    passage_vectors = vectors.embed(model, source.passages, distinct_passages, source)
    return np.einsum("nd,nd->n", query_vectors[query], passage_vectors[passage])
