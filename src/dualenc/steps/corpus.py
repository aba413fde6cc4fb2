"""Lists to pre-train on, from one dataset's train split."""

from pathlib import Path

import pyarrow as pa

from dualenc.data import collection
from dualenc.retrieval.candidates import bm25
from dualenc.study.schema import Bm25
from dualenc.training import supervision


def corpus(folder: Path, parameters: Bm25, depth: int, list_length: int, output: Path, threads: int = 1) -> None:
    """``lists.parquet``: train queries, their passages, and what else BM25 retrieves.

    BM25 searches the passages that are relevant to a train query only, so no text of the other splits is seen.
    """
    qrels = collection.qrels(folder, "train")
    relevant = {pid for judged in qrels.values() for pid, rel in judged.items() if rel > 0}
    passages = collection.passages(folder, relevant)
    queries = collection.queries(folder, "train")
    run = bm25(
        pa.array(passages.pid.tolist()),
        passages.text.tolist(),
        dict(zip(queries.qid, queries.text, strict=True)),
        depth=depth,
        threads=threads,
        **parameters.model_dump(),
    ).run
    frame, counts = supervision.build(run, qrels, list_length=list_length, count=len(qrels))
    supervision.write(output, frame, counts)
