"""The passages that a dual-encoder finds in the whole collection."""

from pathlib import Path

from dualenc import models
from dualenc.retrieval import retrieve
from dualenc.runs import write_run
from dualenc.steps.inputs import data


def retrieval(folder: Path, token_folder: Path, model: Path, depth: int, tokens_per_batch: int, output: Path) -> None:
    """The run ``output`` of the best ``depth`` passages of each test query."""
    texts = data(folder, token_folder, tokens_per_batch)
    encoder = models.load(model, "dual-encoder")
    run = retrieve(encoder, texts.sources["test"], list(texts.query_rows["test"]), list(texts.passage_rows), depth)
    write_run(output, run, tag="-".join(output.parts[-3:-1]))
