"""Training lists from published teacher scores, in place of a teacher of this study."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dualenc.data import collection, sources
from dualenc.data.sampling import in_hash_order
from dualenc.runtime import provenance
from dualenc.runtime.errors import UserError
from dualenc.runtime.states import locked, state_folder
from dualenc.steps.arguments import Folder, OutputFolder, Params, Scratch
from dualenc.study.settings import ImportScores
from dualenc.training import published_scores, supervision
from dualenc.training.published_scores import Grouped


def import_scores(params: Params[ImportScores], dataset: Folder, scratch: Scratch, output: OutputFolder) -> None:
    """Make training lists from published teacher scores, downloaded if need be.

    They are lists of the dataset's train queries, at most ``train_lists`` in hash order. ``one-hot/lists.parquet`` and
    ``<teacher>/lists.parquet`` hold the same random sample of each query's negatives, without and with scores;
    ``<teacher>/top.parquet`` those with the highest scores. So what is trained on labels or on triples learns nothing
    about which negatives are hard for the teacher. Raises ``UserError`` if no query has ``list_length`` passages, and
    as ``sources.fetch`` and ``published_scores.read`` do.
    """
    published = params.published_scores
    path = sources.fetch(published)
    queries = pa.array(in_hash_order(collection.ids(dataset, "train").to_pylist()))
    rules = {
        **{"list_length": params.list_length, "tolerance": published.tolerance},
        **{"allowed_defects": published.allowed_defects},
    }
    file = path.stat()
    about = {**rules, "path": str(path), "size": file.st_size, "time": file.st_mtime_ns}
    code = provenance.code("steps.import_scores")
    state = state_folder(scratch, about, [dataset / "manifest.json"], code)
    numbers = _numbers(queries, dataset), _numbers(collection.ids(dataset, "passages"), dataset)
    with locked(state):
        try:
            sampled, top, counts = published_scores.read(path, *numbers, **rules, scratch=state)
            _write(params, dataset, path, sampled, top, counts, output)
        except UserError:  # nothing to continue with
            shutil.rmtree(state)
            raise
        shutil.rmtree(state)


def _write(
    params: ImportScores, folder: Path, path: Path, sampled: Grouped, top: Grouped, counts: Mapping[str, int],
    output: Path,
) -> None:  # fmt: skip
    published = params.published_scores
    if not len(top.queries):
        raise UserError(
            f"{path} has no train query of {folder} with {params.list_length} passages: lower the scale's list_length, "
            "or correct the dataset or published_scores."
        )
    made_of = {} if sources.pinned(published) else {"sources": sources.described([path])}
    about = {**published.model_dump(), **counts, **made_of}
    for name, lists, scored in (
        ("one-hot/lists", sampled, False),
        (f"{published.teacher}/lists", sampled, True),
        (f"{published.teacher}/top", top, True),
    ):
        first = Grouped(*(column[: params.train_lists] for column in lists))
        scores = {"scores": supervision.summary(first.scores)} if scored else {}
        supervision.write(output / f"{name}.parquet", table(first, scored=scored), about | scores)


def table(lists: Grouped, *, scored: bool) -> pa.Table:
    """Lists as `training.supervision` stores them: qid, pids, labels and, if they are ``scored``, teacher_scores."""
    columns = {"pids": _text(lists.passages.ravel()), "labels": pa.array(lists.labels.ravel().astype(np.int64))}
    if scored:
        columns["teacher_scores"] = pa.array(lists.scores.ravel())
    ends = pa.array(np.arange(len(lists.queries) + 1, dtype=np.int32) * lists.passages.shape[1])
    nested = {name: pa.ListArray.from_arrays(ends, values) for name, values in columns.items()}
    return pa.table({"qid": _text(lists.queries), **nested})


def _text(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _numbers(ids: pa.Array, folder: Path) -> np.ndarray:
    """Ids as published files have them. Raises ``UserError`` for one that is not a number, written as one."""
    try:
        numbers = ids.cast(pa.uint32())
    except pa.ArrowInvalid as error:
        raise UserError(
            f"{folder} has an id that is not a whole number ({error}), but published scores name passages by number: "
            "remove published_scores from the scale, or use another dataset."
        ) from None
    for other in ids.filter(pc.not_equal(ids, numbers.cast(ids.type)))[:1].to_pylist():
        raise UserError(
            f"{folder} has the id {other!r}, but published scores name passages by number, without leading zeros: "
            "remove published_scores from the scale, or use another dataset."
        )
    return numbers.to_numpy()
