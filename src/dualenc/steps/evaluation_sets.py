"""The candidates and judgements that models are evaluated on."""

from pydantic import BaseModel

from dualenc.data import collection
from dualenc.data.runs import Ranking, Run, read_run, write_run
from dualenc.runtime.files import atomic, read_json
from dualenc.steps.arguments import Folder, OutputFolder, Params
from dualenc.study.settings import EvaluationSets
from dualenc.training import supervision


class Source(BaseModel):
    """Whose candidates they are."""

    source: str


class CandidateMetrics(BaseModel):
    """What must be in the ``metrics.json`` of `dualenc.steps.candidates`."""

    candidates: Source


def evaluation_sets(params: Params[EvaluationSets], dataset: Folder, candidates: Folder, output: OutputFolder) -> None:
    """Write candidates and qrels of the sets that models are evaluated on.

    They are ``<set>.run.gz`` and ``<set>.qrels.tsv``. "validation", "test" and further test sets are whole splits.
    "train" is the beginning, in hash order, of the queries that training lists are made from, with their candidates, so
    that train and test are measured in the same way: queries whose relevant passage was not retrieved count, with 0,
    though no list could be made from them.
    """
    source = read_json(candidates / "metrics.json", CandidateMetrics)["candidates"]["source"]
    sets = {}
    for split in collection.splits(dataset):  # all are read before the first is written
        qrels = collection.qrels(dataset, split)
        if split == "train":
            qrels = {qid: qrels[qid] for qid in supervision.in_hash_order(list(qrels))[: params.train_evaluation]}
        run = read_run(candidates / f"{split}.run.gz")
        sets[split] = cut({qid: run[qid] for qid in qrels if qid in run}, params.depth), qrels
    for split, (run, qrels) in sets.items():
        write_run(output / f"{split}.run.gz", run, tag=source)
        lines = [f"{qid} 0 {pid} {rel}\n" for qid, judged in qrels.items() for pid, rel in judged.items()]
        with atomic(output / f"{split}.qrels.tsv") as path:
            path.write_text("".join(lines), encoding="utf-8")


def cut(run: Run, depth: int) -> Run:
    """The first ``depth`` passages of each query."""
    return {qid: Ranking(ranking.pids[:depth], ranking.scores[:depth]) for qid, ranking in run.items()}
