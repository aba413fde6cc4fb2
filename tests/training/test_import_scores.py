"""The step that imports published scores: its files, its download, and the runs that they are for."""

import gzip
import hashlib

import numpy as np
import pandas as pd
import pytest

import file_server
from dualenc.data import collection
from dualenc.data.sampling import in_hash_order
from dualenc.orchestration import workflow
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5, read_json
from dualenc.steps.import_scores import import_scores
from dualenc.study import config
from dualenc.study.settings import ImportScores
from dualenc.training import supervision
from params import PARAMS

SETTINGS = {"teacher": "ca", "tolerance": 0, "allowed_defects": 0}
TRAIN = [str(qid) for qid in range(1, 9)]
# Ten negatives of each query, and two queries that are not in the train split.
ROWS = [(q / 4, n / 8 - q, q, q, 20 + n) for q in range(1, 11) for n in range(10)]
CONTENT = "".join("\t".join(map(str, row)) + "\n" for row in ROWS).encode()


@pytest.fixture
def folder(tmp_path):
    """A dataset of eight train queries and thirty passages."""
    asked = {"train": TRAIN, "validation": ["9"], "test": ["11"]}
    collection.write(
        tmp_path / "dataset",
        [(str(pid), "text") for pid in range(30)],
        {split: [(qid, "text") for qid in qids] for split, qids in asked.items()},
        {split: [(qid, qid, 1) for qid in qids] for split, qids in asked.items()},
        {},
    )
    return tmp_path / "dataset"


def run(folder, root, *, length=5, count=6, **source):
    params = ImportScores(list_length=length, train_lists=count, published_scores={**SETTINGS, **source})
    import_scores(params, folder, root / "scratch", root / "lists")
    return {str(path.relative_to(root / "lists")): path for path in sorted((root / "lists").rglob("*.parquet"))}


@pytest.fixture
def files(folder, tmp_path):
    (tmp_path / "scores.tsv").write_bytes(CONTENT)
    return run(folder, tmp_path, path=str(tmp_path / "scores.tsv"))


def read(path, folder):
    rows = {split: {qid: row for row, qid in enumerate(collection.queries(folder, split).qid)} for split in ("train",)}
    passages = {pid: row for row, pid in enumerate(collection.passages(folder).pid)}
    return supervision.read(path, rows["train"], passages, collection.qrels(folder, "train"))


def test_three_files_for_the_same_queries(files, folder, tmp_path):
    assert list(files) == ["ca/lists.parquet", "ca/top.parquet", "one-hot/lists.parquet"]
    scored, top, plain = (read(path, folder) for path in files.values())
    assert plain.teacher is None
    np.testing.assert_array_equal(scored.passages, plain.passages)
    np.testing.assert_array_equal(scored.labels, [[1, 0, 0, 0, 0]] * 6)
    np.testing.assert_array_equal(top.passages[:, 1:], [[29, 28, 27, 26]] * 6)
    assert (scored.passages != top.passages).any()
    for path in files.values():
        frame = pd.read_parquet(path)
        assert frame.qid.tolist() == in_hash_order(TRAIN)[:6]
        for row in frame.itertuples() if "teacher_scores" in frame else []:
            expected = [int(pid) / 8 - 2.5 - int(row.qid) for pid in row.pids[1:]]
            assert row.teacher_scores.tolist() == [int(row.qid) / 4, *expected]
    assert not any((tmp_path / "scratch").iterdir())


def test_manifests_say_what_was_counted(files):
    for name, path in files.items():
        about = read_json(f"{path}.json")
        assert about["md5"] == md5(path) and about["rows"] == 6 and about["teacher"] == "ca"
        assert about["queries"] == 8 and about["too_few_passages"] == 0
        assert ("scores" in about) == name.startswith("ca/")


def test_the_file_is_downloaded_and_checked(folder, tmp_path, files, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {name: path.read_bytes() for name, path in files.items()}
    with file_server.serving() as server:
        server.files["/record/scores%20ids.tsv?download=1"] = CONTENT
        source = {"url": server.url("/record/scores%20ids.tsv?download=1"), "size": len(CONTENT)}
        after = run(folder, tmp_path, **source, md5=hashlib.md5(CONTENT).hexdigest())
        assert (tmp_path / "data" / "downloads" / "scores ids.tsv").read_bytes() == CONTENT
        assert {name: path.read_bytes() for name, path in after.items()} == before
        with pytest.raises(UserError, match="MD5"):
            run(folder, tmp_path, **source, md5="0" * 32)


def test_what_cannot_be_imported(folder, tmp_path):
    path = tmp_path / "scores.tsv"
    with pytest.raises(UserError, match=r"scores.tsv does not exist: put the file there"):
        run(folder, tmp_path, path=str(path))
    path.write_bytes(CONTENT)
    with pytest.raises(UserError, match=r"no train query of .*dataset with 12 passages: lower the scale's list_length"):
        run(folder, tmp_path, path=str(path), length=12)
    frame = pd.read_parquet(folder / "passages.parquet")
    frame.assign(pid="D" + frame.pid).to_parquet(folder / "passages.parquet")
    with pytest.raises(UserError, match=r"dataset has an id that is not a whole number \(.*'D29'.*\)"):
        run(folder, tmp_path, path=str(path))
    assert not (tmp_path / "lists").exists() and not any((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("split", ["passages", "queries.train"])
@pytest.mark.parametrize("wrong", ["007", "0x7"])
def test_ids_with_leading_zeros_are_not_those_of_published_scores(folder, tmp_path, split, wrong):
    (tmp_path / "scores.tsv").write_bytes(CONTENT)
    file = folder / f"{split}.parquet"
    frame = pd.read_parquet(file)
    frame.replace({"7": wrong}).to_parquet(file)
    with pytest.raises(
        UserError, match=rf"dataset has the id '{wrong}', but published .* without leading zeros: remove"
    ):
        run(folder, tmp_path, path=str(tmp_path / "scores.tsv"))
    padded = tmp_path / "padded.tsv"
    padded.write_bytes(CONTENT.replace(b"\t7\t", f"\t{wrong}\t".encode()))
    frame.to_parquet(file)
    with pytest.raises(
        UserError, match=rf"padded.tsv has 10 defects, .*\n  line 61: query_id '{wrong}' (has lead|is not)"
    ):
        run(folder, tmp_path, path=str(padded))
    assert not (tmp_path / "lists").exists() and not any((tmp_path / "scratch").iterdir())


def test_compressed_scores_give_the_same_lists(files, folder, tmp_path):
    packed = tmp_path / "scores.tsv.gz"
    packed.write_bytes(gzip.compress(CONTENT.replace(b"\n", b"\r\n")))
    for name, path in run(folder, tmp_path / "packed", path=str(packed)).items():
        assert path.read_bytes() == files[name].read_bytes()


def study(**published):
    smoke = PARAMS["scales"]["smoke"] | {"published_scores": SETTINGS | published}
    return config.study(PARAMS | {"scales": {"smoke": smoke}})


def test_runs_that_the_lists_are_for():
    at = study(path="scores.tsv")
    expected = {
        "ca": "one-hot/lists",
        "de": "one-hot/lists",
        "de-margin-mse": "ca/lists",
        "de-softmax-ce": "ca/top",
        "de-m3se": "ca/top",
        "de-from-de": "de/lists",
    }
    assert {run: str(workflow.lists_of(at, run)) for run in expected} == {
        run: f"supervision/{path}.parquet" for run, path in expected.items()
    }
    assert str(workflow.lists_of(config.study(PARAMS), "de-m3se")) == "supervision/ca/lists.parquet"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, r"scales.smoke.published_scores = \{.*\} is not allowed: give either a path or a url.$"),
        ({"path": "a", "url": "b"}, r"is not allowed: give either a path or a url.$"),
        ({"path": "a", "teacher": "cb"}, r"published_scores.teacher = 'cb' is unknown; .* did you mean ca"),
        ({"url": "a", "md5": "abc"}, r"published_scores.md5 = 'abc' is not allowed"),
    ],
)
def test_wrong_parameters(wrong, message):
    with pytest.raises(UserError, match=message):
        study(**wrong)
