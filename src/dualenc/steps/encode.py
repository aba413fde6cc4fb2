"""Embeddings of a part of a collection."""

import shutil

import numpy as np

from dualenc.data import arrays
from dualenc.retrieval import dense
from dualenc.runtime import provenance, states
from dualenc.scorers import models, parts, reading, vectors
from dualenc.steps.arguments import Folder, Output, Params, Scratch, Shard, check_shard, set_torch_threads
from dualenc.steps.inputs import model_files
from dualenc.study.settings import Encode


def encode(
    params: Params[Encode], tokens: Folder, model: Folder, shard: Shard, scratch: Scratch, output: Output
) -> None:
    """Encode one shard of the collection with a dual-encoder.

    Writes the embeddings (n, D) of the shard's passages, .npy. They are float16, which changes the score of a pair by
    less than a thousandth of the product of its lengths. Blocks that are done stay in a state folder in ``scratch``
    until the shard is whole. Raises ``UserError`` if there is no such shard.
    """
    check_shard(shard, params.shards)
    set_torch_threads()
    about = {"tokens_per_batch": params.tokens_per_batch, "shards": params.shards, "number": shard}
    inputs = [*model_files(model), tokens / "manifest.json"]
    state = states.state_folder(scratch, about, inputs, provenance.code("steps.encode"))
    source = reading.texts(tokens, "test", params.tokens_per_batch)
    rows = dense.shard(len(source.passages.offsets) - 1, params.shards, shard)
    with states.locked(state):
        encoder = models.load(model, "dual-encoder")

        def block(part: range) -> np.ndarray:
            return vectors.embed(encoder, source.passages, np.arange(part.start, part.stop), source).astype(np.float16)

        blocks = parts.complete(state / "blocks", rows, dense.PASSAGES_AT_ONCE, block, "encoding")
        arrays.write(output, (arrays.read(file, 2) for file in blocks), np.float16, encoder.get_embedding_dimension())
        shutil.rmtree(state)
