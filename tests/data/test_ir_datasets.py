"""Datasets by their ids in ir_datasets: MS MARCO's own code and formats, downloaded from localhost, and any other."""

import gzip
import json
import lzma
import re
from collections.abc import Iterator

import ir_datasets
import pytest
from ir_datasets.datasets.beir import BeirTitleDoc
from ir_datasets.formats import TrecQrels, TrecScoredDocs, TsvDocs, TsvQueries
from ir_datasets.util import LocalDownload

import file_server
import msmarco_files
from dualenc import cli
from dualenc.data import collection, ir_datasets_errors
from dualenc.data.kinds import ir_datasets as kind
from dualenc.data.runs import read_run
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json
from dualenc.steps.evaluation_sets import evaluation_sets
from dualenc.study.settings import EvaluationSets
from msmarco_files import FIXED, RAW, SPLITS

OPTIONS = {"splits": SPLITS, "encoding": "fixed", "max_words": None, "max_passages": None}
OPTIONS |= {"max_queries": {"train": 10, "validation": 10, "test": 10}}


def parameters(**options):
    """A dataset of the kind with other options than `OPTIONS`."""
    return kind.Parameters(kind="ir_datasets", **OPTIONS | options)


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[file_server.FileServer]:
    """A server that has all files of MS MARCO that our splits need, and ir_datasets which knows no other."""
    with file_server.serving() as server:
        msmarco_files.serve(server, tmp_path / "home", monkeypatch)
        yield server


@pytest.fixture
def build(tmp_path):
    """Build a dataset with other options than `OPTIONS`."""

    def make(**options):
        folder = tmp_path / "dataset"
        kind.build(folder, parameters(**options))
        collection.check_folder(folder)
        return folder

    return make


def texts(frame):
    return dict(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize(("encoding", "expected"), [("fixed", FIXED), ("raw", RAW)])
def test_ms_marco_and_trec_dl(server, build, encoding, expected):
    folder = build(encoding=encoding)
    assert texts(collection.passages(folder)) == expected
    assert collection.splits(folder) == ["train", "validation", "test", "trec-dl-2019"]
    assert collection.test_sets(folder) == ["test", "trec-dl-2019"]
    assert texts(collection.queries(folder, "train")) == {"11": "is the café open", "12": "what is a heron"}
    assert sorted(collection.queries(folder, "validation").qid) == sorted(msmarco_files.HELD_OUT)
    assert collection.qrels(folder, "test") == {"21": {"2": 1}, "22": {"4": 1, "5": 1}}
    assert collection.qrels(folder, "trec-dl-2019") == {"31": {"3": 3, "4": 2, "5": 1, "0": 0}, "32": {"2": 3, "1": 0}}


def test_every_filter_is_counted(server, build, capsys):
    folder = build(max_passages=9, max_queries={"train": 1, "validation": None, "test": None})
    manifest = read_json(folder / "manifest.json")
    assert manifest["kind"] == "ir_datasets" and manifest["encoding"] == "fixed" and manifest["splits"] == SPLITS
    assert manifest["counts"]["passages"] == {"in the collection": 12, "empty": 0, "kept": 9}
    zero = {"empty": 0, "not judged": 0, "no relevant passage": 0, "beyond max_queries": 0}
    zero |= {"relevant passage not in the collection": 0}
    expected = {
        "train": {"queries": 3, "not judged": 1, "beyond max_queries": 1, "kept": 1, "judgements": 1},
        "validation": {"queries": 2, "kept": 2, "judgements": 2},
        "test": {"queries": 2, "kept": 2, "judgements": 3},
        "trec-dl-2019": {"queries": 3, "no relevant passage": 1, "kept": 2, "judgements": 6},
    }
    for split, counts in expected.items():
        counts["of passages in the collection"] = counts["judgements"]
        assert manifest["counts"][split] == zero | counts
    assert "trec-dl-2019: queries: 3, empty: 0, not judged: 0, no relevant passage: 1" in capsys.readouterr().err


def test_official_candidates(server):
    run = kind.candidates(parameters(), "test")
    assert {qid: set(ranking.pids) for qid, ranking in run.items()} == {"21": {"1", "2"}, "22": {"3", "4", "9"}}
    assert all(len(set(ranking.scores.tolist())) == 1 for ranking in run.values())  # they say nothing of the order
    assert {qid: len(ranking.pids) for qid, ranking in kind.candidates(parameters(), "trec-dl-2019").items()} == {
        "31": 3,
        "32": 1,
    }


@pytest.mark.parametrize("change", [{"max_words": 5}, {"max_passages": 5}])
def test_official_candidates_are_whole_passages_of_the_whole_collection(server, change):
    with pytest.raises(UserError, match="set max_words and max_passages of the dataset to null"):
        kind.candidates(parameters(**change), "test")


def official(folder, dataset, output, depth):
    """Run ``dualenc candidates`` as the workflow does."""
    params = json.dumps({"official": dataset, "depth": depth})
    cli.app(
        ["candidates", "--params", params, "--dataset", str(folder), "--output", str(output)], standalone_mode=False
    )


def tags(path):
    """What a run says of the system that made it."""
    return {line.split()[-1] for line in gzip.decompress(path.read_bytes()).decode().splitlines()}


def test_the_step_says_that_candidates_are_official(server, build, tmp_path):
    parameters = {"kind": "ir_datasets", **OPTIONS}
    folder = build()
    official(folder, parameters, tmp_path / "all", 1000)
    metrics = read_json(tmp_path / "all" / "metrics.json")
    assert metrics.pop("candidates") == {"source": "official", "scored": False}
    assert {split: values["R@1000"] for split, values in metrics.items()} == pytest.approx(
        {"train": 1, "validation": 0.5, "test": 0.75, "trec-dl-2019": 1}
    )
    assert tags(tmp_path / "all" / "test.run.gz") == {"official"}
    official(folder, parameters, tmp_path / "two", 2)
    two, whole = (read_run(tmp_path / name / "train.run.gz") for name in ("two", "all"))
    assert {qid: ranking.pids for qid, ranking in two.items()} == {
        qid: ranking.pids[:2] for qid, ranking in whole.items()
    }
    evaluation_sets(EvaluationSets(train_evaluation=10, depth=2), folder, tmp_path / "two", tmp_path / "evaluation")
    assert tags(tmp_path / "evaluation" / "test.run.gz") == {"official"}


def test_candidates_of_another_collection(server, build, tmp_path):
    folder = build(max_passages=0)
    with pytest.raises(UserError, match=r"train split name passage '7', which is not in .*passages.parquet"):
        official(folder, {"kind": "ir_datasets", **OPTIONS}, tmp_path / "out", 10)
    assert not (tmp_path / "out").exists()


def test_a_corrupted_download_is_never_used(server, build, tmp_path):
    good = server.files["/collectionandqueries"]
    server.files["/collectionandqueries"] = good[:-20] + bytes([good[-20] ^ 1]) + good[-19:]
    url = re.escape(server.url("/collectionandqueries"))
    for _ in range(2):
        with pytest.raises(
            UserError, match=rf"msmarco-passage/dev/small from {url} does not match its checksum .*home"
        ):
            build()
        assert not list((tmp_path / "home").rglob("*collection*"))
    server.files["/collectionandqueries"] = good
    build()


def test_a_file_that_is_gone_and_a_host_that_cannot_be_reached(server, build):
    qrels = server.files.pop("/trec-dl-2019/qrels")
    with pytest.raises(UserError, match=r"msmarco-passage/trec-dl-2019/judged from .* it may be an error page"):
        build()
    server.files["/trec-dl-2019/qrels"] = qrels
    server.shutdown()
    server.server_close()
    url = re.escape(server.url("/trec-dl-2019/qrels"))
    message = rf"cannot download {url} for msmarco-passage/trec-dl-2019/judged \(ConnectionError\): check the network"
    with pytest.raises(UserError, match=message):
        build()


def local(path, name, text):
    (path / name).write_text(text, encoding="utf-8")
    return LocalDownload(path / name)


@pytest.fixture
def mine(server, tmp_path):
    """A registered dataset with titles, empty texts and judgements of passages that are not there."""
    files = tmp_path / "mine"
    files.mkdir()
    docs = TsvDocs(local(files, "docs", "a\ttext of a\tTitle\nb\ttext of b\t\nc\t\t\n"), BeirTitleDoc)
    qrels = {"train": "1 0 a 1\n", "validation": "2 0 a 1\n", "test": "3 0 z 1\n4 0 b 1\n4 0 z 1\n5 0 c 1\n6 0 a 1\n"}
    for split, rows in qrels.items():
        qids = dict.fromkeys(row.split()[0] for row in rows.splitlines())
        queries = TsvQueries(local(files, f"queries.{split}", "".join(f"{qid}\t{qid}?\n" for qid in qids) + "9\t \n"))
        parts = [docs, queries, TrecQrels(local(files, f"qrels.{split}", rows), {})]
        if split == "test":
            parts.append(TrecScoredDocs(local(files, "scores", "4 Q0 a 1 2.5 x\n4 Q0 b 2 9.5 x\n6 Q0 b 1 1.0 x\n")))
        ir_datasets.registry.register(f"mine/{split}", ir_datasets.Dataset(*parts))
    ir_datasets.registry.register("mine", ir_datasets.Dataset(docs))
    return {split: f"mine/{split}" for split in qrels}


def test_any_collection(mine, build):
    folder = build(splits=mine)
    assert texts(collection.passages(folder)) == {"a": "Title text of a", "b": "text of b"}
    assert collection.qrels(folder, "test") == {"4": {"b": 1}, "6": {"a": 1}}
    manifest = read_json(folder / "manifest.json")
    assert manifest["counts"]["passages"] == {"in the collection": 3, "empty": 1, "kept": 2}
    counts = manifest["counts"]["test"]
    assert (counts["empty"], counts["relevant passage not in the collection"], counts["kept"]) == (1, 2, 2)
    assert (counts["judgements"], counts["of passages in the collection"]) == (3, 2)
    build(splits=mine, max_words=2)
    assert collection.qrels(folder, "test") == {"4": {"b-0": 1, "b-1": 1}, "6": {"a-0": 1, "a-1": 1}}


def test_official_scores_are_kept(mine):
    run = kind.candidates(parameters(splits=mine), "test")
    assert {qid: ranking.pids for qid, ranking in run.items()} == {"4": ["b", "a"], "6": ["b"]}
    assert run["4"].scores.tolist() == [9.5, 2.5]
    with pytest.raises(UserError, match=r"mine/train, the train split, has no candidate lists .* candidates to bm25"):
        kind.candidates(parameters(splits=mine), "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": "mine/tset"}, "ir_datasets has no 'mine/tset'; did you mean mine/test"),
        ({"test": "qqqq"}, "ir_datasets has no 'qqqq': `ir_datasets list` shows all of them"),
        ({"train": "mine"}, "mine, the train split, has no queries in ir_datasets: name an id with some"),
    ],
)
def test_wrong_ids(mine, build, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        build(splits=mine | changes)
    assert not (tmp_path / "dataset").exists()


def test_only_ms_marco_has_a_raw_encoding(mine, build):
    with pytest.raises(
        UserError, match="'raw' is only for the collection msmarco-passage, and mine/test belongs to another"
    ):
        build(splits=mine, encoding="raw")


def test_a_file_to_be_downloaded_by_hand(mine, build, tmp_path):
    (tmp_path / "mine" / "qrels.test").unlink()
    with pytest.raises(UserError, match=f"mine/test has to be downloaded by hand: .* put the file at {tmp_path}/mine"):
        build(splits=mine)


@pytest.mark.parametrize("cut", [0, 12, 40, -4])
@pytest.mark.parametrize("packed", [gzip, lzma])
def test_a_file_that_is_cut_off(packed, cut, tmp_path):
    content = packed.compress(bytes(range(256)) * 9)
    (tmp_path / "docs").write_bytes(content[:cut] or b"text")
    with (
        pytest.raises(UserError, match=r"ir_datasets cannot read mine \(.+\): remove its files in .* and run again\."),
        ir_datasets_errors.explained("mine"),
        packed.open(tmp_path / "docs", "rb") as file,
    ):
        file.read()
