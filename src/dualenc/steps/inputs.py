"""What the steps that run a model read and write alike."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml

from dualenc import datasets, provenance, scoring, supervision
from dualenc.files import md5, write_json
from dualenc.runs import read_run, write_run
from dualenc.supervision import Lists

STACK = ["torch", "transformers", "sentence-transformers", "tokenizers"]


class Data(NamedTuple):
    """The texts of each split as models read them, and the rows of their ids."""

    sources: dict[str, scoring.Texts]
    query_rows: dict[str, dict[str, int]]
    passage_rows: dict[str, int]


def data(folder: Path, token_folder: Path, tokens_per_batch: int) -> Data:
    """The data of a dataset folder and of its tokens."""
    splits = datasets.splits(folder)
    return Data(
        {split: scoring.texts(token_folder, split, tokens_per_batch) for split in splits},
        {split: rows(folder, split) for split in splits},
        rows(folder, "passages"),
    )


def read_lists(path: Path, folder: Path, texts: Data) -> Lists:
    """Training lists by row number, with what the train split's judgements say of their queries."""
    return supervision.read(path, texts.query_rows["train"], texts.passage_rows, datasets.qrels(folder, "train"))


def rerank_sets(model: scoring.Model, data: Data, evaluation: Path, splits: Iterable[str], tag: str, to: Path) -> None:
    """Re-rank evaluation sets with a model: ``<split>.run.gz`` in the folder ``to``."""
    for split in splits:
        candidates = read_run(evaluation / f"{split}.run.gz")
        run = scoring.rerank(model, data.sources[split], candidates, data.query_rows[split], data.passage_rows)
        write_run(to / f"{split}.run.gz", run, tag=tag)


def rows(folder: Path, name: str) -> dict[str, int]:
    """Row number of each id of "passages" or of the queries of a split."""
    frame = datasets.passages(folder) if name == "passages" else datasets.queries(folder, name)
    return {identifier: row for row, identifier in enumerate(frame.iloc[:, 0])}


def pairs(folder: Path, split: str) -> np.ndarray:
    """(query row, passage row) of each relevant pair of a split, (N, 2)."""
    query_rows, passage_rows = rows(folder, split), rows(folder, "passages")
    judged = datasets.qrels(folder, split)
    relevant = [(qid, pid) for qid, passages in judged.items() for pid, rel in passages.items() if rel > 0]
    return np.array([(query_rows[qid], passage_rows[pid]) for qid, pid in relevant])


def write_curve(folder: Path, curve: list[tuple[int, str, str, float]]) -> pd.DataFrame:
    """Write ``curve.csv``: step, split, metric, value."""
    frame = pd.DataFrame(curve, columns=["step", "split", "metric", "value"])
    frame.to_csv(folder / "curve.csv", index=False)
    return frame


def write_about(folder: Path, about: Mapping, inputs: list[Path]) -> None:
    """Write ``config.yaml`` (the resolved parameters) and ``provenance.json`` (inputs, versions, commit)."""
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(about), sort_keys=False))
    made_of = {f"{path.parent.name}/{path.name}": md5(path) for path in inputs}
    write_json(folder / "provenance.json", {"inputs": made_of, **provenance.environment(STACK)})
