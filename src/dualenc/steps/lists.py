"""Training lists before a teacher has scored them."""

from dualenc.data import collection
from dualenc.data.runs import read_run
from dualenc.steps.arguments import Folder, Output, Params
from dualenc.study.settings import Lists
from dualenc.training import supervision


def lists(params: Params[Lists], dataset: Folder, candidates: Folder, output: Output) -> None:
    """Make training lists: positives and BM25 negatives for each query."""
    run, qrels = read_run(candidates / "train.run.gz"), collection.qrels(dataset, "train")
    frame, counts = supervision.build(run, qrels, list_length=params.list_length, count=params.train_lists)
    supervision.write(output, frame, counts)
