"""The candidates and judgements that models are evaluated on."""

from pathlib import Path

from pydantic import BaseModel

from dualenc.data import collection
from dualenc.data.runs import Ranking, Run, read_run, write_run
from dualenc.runtime.files import atomic, read_json
from dualenc.training import supervision


class Source(BaseModel):
    """Whose candidates they are."""

    source: str


class CandidateMetrics(BaseModel):
    """What has to be in the ``metrics.json`` of `dualenc.steps.candidates`."""

    candidates: Source


def evaluation_sets(folder: Path, candidates: Path, train_count: int, depth: int, output: Path) -> None:
    """Candidates and judgements of each evaluation set: ``<set>.run.gz`` and ``<set>.qrels.tsv``.

    "validation", "test" and further test sets are whole splits. "train" is the beginning, in hash order, of the queries
    that training lists are made from, with their candidates, so that train and test are measured in the same way:
    queries whose relevant passage was not retrieved count, with 0, though no list could be made of them.
    """
    source = read_json(candidates / "metrics.json", CandidateMetrics)["candidates"]["source"]
    sets = {}
    for split in collection.splits(folder):  # all are read before the first is written
        qrels = collection.qrels(folder, split)
        if split == "train":
            qrels = {qid: qrels[qid] for qid in supervision.in_hash_order(list(qrels))[:train_count]}
        run = read_run(candidates / f"{split}.run.gz")
        sets[split] = cut({qid: run[qid] for qid in qrels if qid in run}, depth), qrels
    for split, (run, qrels) in sets.items():
        write_run(output / f"{split}.run.gz", run, tag=source)
        lines = [f"{qid} 0 {pid} {rel}\n" for qid, judged in qrels.items() for pid, rel in judged.items()]
        with atomic(output / f"{split}.qrels.tsv") as path:
            path.write_text("".join(lines), encoding="utf-8")


def cut(run: Run, depth: int) -> Run:
    """The first ``depth`` passages of each query."""
    return {qid: Ranking(ranking.pids[:depth], ranking.scores[:depth]) for qid, ranking in run.items()}
