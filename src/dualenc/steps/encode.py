"""Embeddings of a part of a collection."""

from pathlib import Path

import numpy as np

from dualenc import arrays, models, retrieval, scoring


def encode(token_folder: Path, model: Path, tokens_per_batch: int, shards: int, number: int, output: Path) -> None:
    """Embeddings (n, D) of shard ``number`` (from 0) of the passages, .npy, by a dual-encoder.

    They are float16, which changes the score of a pair by less than a thousandth of the product of its lengths.
    """
    source = scoring.texts(token_folder, "test", tokens_per_batch)
    encoder = models.load(model, "dual-encoder")
    rows = retrieval.shard(len(source.passages.offsets) - 1, shards, number)
    width = encoder.get_embedding_dimension()
    arrays.write(output, retrieval.encode(encoder, source, rows), np.float16, width)
