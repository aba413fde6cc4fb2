"""Training lists before a teacher has scored them."""

from pathlib import Path

from dualenc import datasets, supervision
from dualenc.runs import read_run


def lists(folder: Path, bm25_runs: Path, list_length: int, count: int, output: Path) -> None:
    """Training lists without teacher scores, ``lists.parquet``."""
    run = read_run(bm25_runs / "train.run.gz")
    frame, counts = supervision.build(run, datasets.qrels(folder, "train"), list_length=list_length, count=count)
    supervision.write(output, frame, counts)
