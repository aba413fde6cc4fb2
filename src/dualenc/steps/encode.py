"""Embeddings of a part of a collection."""

import shutil
from pathlib import Path

import numpy as np

from dualenc.data import arrays
from dualenc.retrieval import dense
from dualenc.runtime import provenance, states
from dualenc.scorers import models, parts, reading, vectors
from dualenc.steps.inputs import model_files


def encode(
    token_folder: Path, model: Path, tokens_per_batch: int, shards: int, number: int, scratch: Path, output: Path
) -> None:
    """Embeddings (n, D) of shard ``number`` (from 0) of the passages, .npy, by a dual-encoder.

    They are float16, which changes the score of a pair by less than a thousandth of the product of its lengths.
    Blocks that are done stay in a state folder in ``scratch`` until the shard is whole.
    """
    about = {"tokens_per_batch": tokens_per_batch, "shards": shards, "number": number}
    inputs = [*model_files(model), token_folder / "manifest.json"]
    state = states.state_folder(scratch, about, inputs, provenance.code("steps.encode"))
    source = reading.texts(token_folder, "test", tokens_per_batch)
    rows = dense.shard(len(source.passages.offsets) - 1, shards, number)
    with states.locked(state):
        encoder = models.load(model, "dual-encoder")

        def block(part: range) -> np.ndarray:
            return vectors.embed(encoder, source.passages, np.arange(part.start, part.stop), source).astype(np.float16)

        blocks = parts.complete(state / "blocks", rows, dense.PASSAGES_AT_ONCE, block, "encoding")
        arrays.write(output, (arrays.read(file, 2) for file in blocks), np.float16, encoder.get_embedding_dimension())
        shutil.rmtree(state)
