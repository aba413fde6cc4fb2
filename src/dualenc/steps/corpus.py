"""Lists to pre-train on, from one dataset's train split."""

import pyarrow as pa

from dualenc.data import collection
from dualenc.retrieval.candidates import bm25
from dualenc.steps.arguments import Folder, Output, Params, threads
from dualenc.study.settings import Corpus
from dualenc.training import supervision


def corpus(params: Params[Corpus], dataset: Folder, output: Output) -> None:
    """Make the lists that miniatures are pre-trained on, from a dataset's train split.

    Writes train queries, their passages, and the others that BM25 retrieves, as `dualenc.training.supervision` stores
    lists. BM25 searches the passages that are relevant to a train query only, so no text of the other splits is seen.
    """
    qrels = collection.qrels(dataset, "train")
    relevant = {pid for judged in qrels.values() for pid, rel in judged.items() if rel > 0}
    passages = collection.passages(dataset, relevant)
    queries = collection.queries(dataset, "train")
    run = bm25(
        pa.array(passages.pid.tolist()),
        passages.text.tolist(),
        dict(zip(queries.qid, queries.text, strict=True)),
        depth=params.depth,
        threads=threads(),
        **params.bm25.model_dump(),
    ).run
    frame, counts = supervision.build(run, qrels, list_length=params.list_length, count=len(qrels))
    supervision.write(output, frame, counts)
