"""What the steps that run a model read and write alike."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml

from dualenc.data import collection
from dualenc.data.runs import Run, read_run
from dualenc.encoders import precision
from dualenc.runtime import provenance
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5, write_json
from dualenc.scorers import distributed, reading
from dualenc.training import supervision
from dualenc.training.supervision import Lists

STACK = ["torch", "transformers", "sentence-transformers", "tokenizers"]


class Data(NamedTuple):
    """The texts of each split as models read them, the rows of the qids, and the dataset folder."""

    sources: dict[str, reading.Texts]
    query_rows: dict[str, dict[str, int]]
    folder: Path


def data(folder: Path, token_folder: Path, tokens_per_batch: int) -> Data:
    """The data of a dataset folder and of its tokens."""
    splits = collection.splits(folder)
    return Data(
        {split: reading.texts(token_folder, split, tokens_per_batch) for split in splits},
        {split: rows(folder, split) for split in splits},
        folder,
    )


def rows(folder: Path, name: str) -> dict[str, int]:
    """Row number of each id of "passages" or of the queries of a split."""
    return {identifier: row for row, identifier in enumerate(collection.ids(folder, name).to_pylist())}


def passage_rows(folder: Path, *runs: Run) -> dict[str, int]:
    """Row number of each passage that the runs name: of millions, few. Raises ``UserError`` for an unknown one."""
    named = {pid for run in runs for ranking in run.values() for pid in ranking.pids}
    known = collection.rows(folder, "passages", named)
    if len(known) < len(named):
        unknown = min(named - known.keys())
        raise UserError(f"{folder} has no passage {unknown!r}, which the candidates name: make them again from it.")
    return known


def read_candidates(evaluation: Path, split: str, query_rows: Mapping[str, int]) -> Run:
    """The candidates of an evaluation set. Raises ``UserError`` as `read_run` does, and for an unknown query."""
    file = evaluation / f"{split}.run.gz"
    run = read_run(file)
    unknown = min(run.keys() - query_rows.keys(), default=None)
    if unknown is not None:
        raise UserError(
            f"{file} names query {unknown!r}, which the dataset does not have: make it again from the dataset."
        )
    return run


def worth_ranking(run: Run, qrels: Mapping[str, Mapping[str, int]]) -> Run:
    """The queries with a relevant passage among their candidates; all others score 0, in whichever order."""
    relevant = {qid: {pid for pid, rel in judged.items() if rel > 0} for qid, judged in qrels.items()}
    return {qid: ranking for qid, ranking in run.items() if not relevant[qid].isdisjoint(ranking.pids)}


def read_lists(path: Path, folder: Path, query_rows: Mapping[str, int]) -> Lists:
    """Training lists by row number, with what the train split's judgements say about their queries."""
    qrels = collection.qrels(folder, "train")
    listed = chain.from_iterable(supervision.load(path).pids)
    judged = {pid for passages in qrels.values() for pid in passages}
    return supervision.read(path, query_rows, collection.rows(folder, "passages", judged.union(listed)), qrels)


def model_files(folder: Path) -> list[Path]:
    """All files of a model."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def write_curve(folder: Path, curve: list[tuple[int, str, str, float]]) -> pd.DataFrame:
    """Write ``curve.csv``: step, split, metric, value."""
    frame = pd.DataFrame(curve, columns=["step", "split", "metric", "value"])
    frame.to_csv(folder / "curve.csv", index=False)
    return frame


def write_about(folder: Path, about: Mapping, inputs: list[Path], width: int) -> None:
    """Write ``config.yaml`` (the resolved parameters) and ``provenance.json`` (inputs, versions, commit).

    ``width`` is that of the model, on which it depends how its layers calculate (`dualenc.encoders.precision`).
    """
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(about), sort_keys=False), encoding="utf-8")
    made_of = {f"{path.parent.name}/{path.name}": md5(path) for path in inputs}
    layers = {"training": precision.way(width, training=True), "scoring": precision.way(width, training=False)}
    about = {"inputs": made_of, "processes": distributed.size(), "layers": layers, **provenance.environment(STACK)}
    write_json(folder / "provenance.json", about)
