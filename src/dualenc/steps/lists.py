"""Training lists before a teacher has scored them."""

from pathlib import Path

from dualenc.data import collection
from dualenc.data.runs import read_run
from dualenc.training import supervision


def lists(folder: Path, bm25_runs: Path, list_length: int, count: int, output: Path) -> None:
    """Training lists without teacher scores, ``lists.parquet``."""
    run = read_run(bm25_runs / "train.run.gz")
    frame, counts = supervision.build(run, collection.qrels(folder, "train"), list_length=list_length, count=count)
    supervision.write(output, frame, counts)
