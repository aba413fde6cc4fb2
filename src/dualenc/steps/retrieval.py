"""The passages that a dual-encoder finds in the whole collection."""

from pathlib import Path

from dualenc import datasets, models, tokens
from dualenc.retrieval import retrieve
from dualenc.runs import write_run
from dualenc.steps.inputs import data


def retrieval(folder: Path, token_folder: Path, model: Path, depth: int, tokens_per_batch: int, output: Path) -> None:
    """The best ``depth`` passages of each test query: ``<set>.run.gz`` in the folder ``output``, for each test set."""
    texts = data(folder, token_folder, tokens_per_batch)
    encoder = models.load(model, "dual-encoder")
    splits = datasets.test_sets(folder)
    queries = tokens.concatenate([texts.sources[split].queries for split in splits])  # passages are encoded once
    qids = [qid for split in splits for qid in texts.query_rows[split]]
    run = retrieve(encoder, texts.sources["test"]._replace(queries=queries), qids, list(texts.passage_rows), depth)
    for split in splits:
        found = {qid: run[qid] for qid in texts.query_rows[split]}
        write_run(output / f"{split}.run.gz", found, tag="-".join(output.parts[-2:]))
