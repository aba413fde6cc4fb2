"""The passages that a dual-encoder finds in the whole collection."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from dualenc import arrays, datasets, models, scoring
from dualenc.progress import Progress, reported
from dualenc.retrieval import PASSAGES_AT_ONCE, encode, retrieve
from dualenc.runs import write_run


def retrieval(
    folder: Path, token_folder: Path, model: Path, embeddings: Sequence[Path], depth: int, tokens_per_batch: int,
    output: Path,
) -> None:  # fmt: skip
    """The run ``output`` of the best ``depth`` passages of each test query.

    ``embeddings`` are the files of `dualenc.steps.encode`, in order; with none, the passages are encoded here.
    """
    source = scoring.texts(token_folder, "test", tokens_per_batch)
    qids, pids = datasets.ids(folder, "test"), datasets.ids(folder, "passages")
    encoder = models.load(model, "dual-encoder")
    if embeddings:
        saved = chain.from_iterable(arrays.blocks(path, PASSAGES_AT_ONCE) for path in embeddings)
        blocks = reported(saved, Progress("searching", "blocks", -(-len(pids) // PASSAGES_AT_ONCE)))
    else:
        blocks = encode(encoder, source, range(len(pids)))
    run = retrieve(encoder, source, qids, pids, blocks, depth)
    write_run(output, run, tag="-".join(output.parts[-3:-1]))
