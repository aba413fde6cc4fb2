"""First-stage candidates of all splits."""

from pathlib import Path

from dualenc import datasets
from dualenc.candidates import bm25
from dualenc.datasets import SPLITS
from dualenc.evaluation import candidate_metrics
from dualenc.files import write_json
from dualenc.parameters import Bm25
from dualenc.runs import write_run


def candidates(folder: Path, parameters: Bm25, depth: int, output: Path) -> None:
    """BM25 runs of all splits, ``<split>.run.gz``, and ``metrics.json`` with their recall@depth and MRR@10.

    Raises ``UserError`` as ``datasets.check_folder`` does, before anything is written.
    """
    datasets.check_folder(folder)
    queries = {split: datasets.queries(folder, split) for split in SPLITS}
    together = {qid: text for frame in queries.values() for qid, text in zip(frame.qid, frame.text, strict=True)}
    passages = datasets.ids(folder, "passages"), datasets.texts(folder, "passages")
    run = bm25(*passages, together, depth=depth, **parameters.model_dump())
    metrics = {}
    for split, frame in queries.items():
        part = {qid: run[qid] for qid in frame.qid}
        write_run(output / f"{split}.run.gz", part, tag="bm25")
        metrics[split] = candidate_metrics(part, datasets.qrels(folder, split), depth)
    write_json(output / "metrics.json", metrics)
