"""The passages that a model finds in the whole collection."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from dualenc.data import arrays, collection
from dualenc.data.runs import write_run
from dualenc.encoders.tokens import concatenate
from dualenc.retrieval import dense, sparse
from dualenc.runtime.errors import UserError
from dualenc.runtime.progress import reported
from dualenc.scorers import models, reading
from dualenc.steps.arguments import Folder, OutputFolder, Params, Shards, set_torch_threads
from dualenc.study.kinds import KINDS
from dualenc.study.settings import Retrieval


def retrieval(
    params: Params[Retrieval], dataset: Folder, tokens: Folder, model: Folder, output: OutputFolder,
    embeddings: Shards = None,
) -> None:  # fmt: skip
    """Search the whole collection with a model, for every query of the test sets.

    Writes the best ``retrieval_depth`` passages of each, ``<set>.run.gz`` for each test set. ``embeddings`` are the
    files of `dualenc.steps.encode`, in order; with none, the passages are encoded here. Raises ``UserError`` if they
    are not those of all passages, or of another model's width.
    """
    set_torch_threads()
    qids = {split: collection.ids(dataset, split).to_pylist() for split in collection.test_sets(dataset)}
    pids = collection.ids(dataset, "passages")
    sources = [reading.texts(tokens, split, params.tokens_per_batch) for split in qids]
    source = sources[0]._replace(queries=concatenate([one.queries for one in sources]))
    encoder = models.load(model, params.model)
    asked = list(chain.from_iterable(qids.values()))
    if KINDS[params.model].searches == "sparse":
        run = sparse.retrieve(encoder, source, asked, pids, params.retrieval_depth)
    else:
        blocks = _blocks(encoder, source, len(pids), embeddings or [])
        run = dense.retrieve(encoder, source, asked, pids, blocks, params.retrieval_depth)
    for split, own in qids.items():
        write_run(output / f"{split}.run.gz", {qid: run[qid] for qid in own}, tag="-".join(output.parts[-2:]))


def _blocks(
    encoder: SentenceTransformer, source: reading.Texts, count: int, embeddings: Sequence[Path]
) -> Iterable[np.ndarray]:
    """The vectors of all passages, some at a time."""
    if embeddings:
        _check(embeddings, count, encoder.get_embedding_dimension())
        saved = chain.from_iterable(arrays.blocks(path, dense.PASSAGES_AT_ONCE) for path in embeddings)
        return reported(saved, "searching", "blocks", -(-count // dense.PASSAGES_AT_ONCE))
    return dense.encode(encoder, source, range(count))


def _check(embeddings: Sequence[Path], count: int, width: int) -> None:
    """Raise ``UserError`` if these files do not hold one vector of this width for each of ``count`` passages."""
    vectors = [arrays.read(path, 2, mmap_mode="r") for path in embeddings]
    wrong = next((path for path, rows in zip(embeddings, vectors, strict=True) if rows.shape[1] != width), None)
    if wrong is not None:
        raise UserError(f"{wrong} has no vectors of width {width}, which the model makes: encode the passages again.")
    if sum(map(len, vectors)) != count:
        raise UserError(
            f"the files in {embeddings[0].parent} have {sum(map(len, vectors)):,} vectors for {count:,} passages: give "
            "each shard once."
        )
