"""Dataset folders: what is written is read back, and every mistake is named with its file."""

import copy
import json
import re
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from dualenc.data import collection
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5

FILES = ["passages.parquet", *(f"queries.{s}.parquet" for s in collection.SPLITS)]
FILES += [f"qrels.{s}.tsv" for s in collection.SPLITS]


@pytest.fixture
def parts():
    """A small valid dataset: every split has one query with one relevant and one irrelevant passage."""
    return {
        "passages": [("d1", "Zürich is a city."), ("d2", "Paris is\na city."), ("d3", "A heron is a bird.")],
        "queries": {split: [(f"q-{split}", f"a city, asked in {split}")] for split in collection.SPLITS},
        "qrels": {split: [(f"q-{split}", "d2", 2), (f"q-{split}", "d3", 0)] for split in collection.SPLITS},
    }


def test_what_is_written_is_read_back(tmp_path, parts):
    collection.write(tmp_path, **parts, about={})
    assert list(collection.passages(tmp_path).itertuples(index=False, name=None)) == parts["passages"]
    for split in collection.SPLITS:
        frame = collection.queries(tmp_path, split)
        assert list(frame.itertuples(index=False, name=None)) == parts["queries"][split]
        assert collection.qrels(tmp_path, split) == {f"q-{split}": {"d2": 2, "d3": 0}}
    collection.check_folder(tmp_path)


def test_qrels_are_trec_lines(tmp_path, parts):
    collection.write(tmp_path, **parts, about={})
    assert (tmp_path / "qrels.test.tsv").read_text(encoding="utf-8") == "q-test 0 d2 2\nq-test 0 d3 0\n"


def test_the_manifest_describes_every_file(tmp_path, parts):
    collection.write(tmp_path, **parts, about={"source": "made up"})
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"] == "made up"
    assert sorted(manifest["files"]) == sorted(FILES)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, "manifest.json"])
    assert all(entry["md5"] == md5(tmp_path / name) for name, entry in manifest["files"].items())
    assert manifest["files"]["passages.parquet"]["rows"] == 3
    assert manifest["files"]["qrels.train.tsv"]["rows"] == 2


def test_a_refused_dataset_leaves_the_older_one_untouched(tmp_path, parts):
    collection.write(tmp_path, **parts, about={})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError):
        collection.write(tmp_path, [("d9", "")], parts["queries"], parts["qrels"], about={})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_stream_that_breaks_off_leaves_the_older_one_untouched(tmp_path, parts):
    def broken():
        yield from parts["passages"]
        raise OSError("connection reset")

    folder = tmp_path / "folder"
    collection.write(folder, **parts, about={})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OSError, match="reset"):
        collection.write(folder, **parts | {"passages": broken()}, about={})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


def test_an_interrupted_write_leaves_no_manifest(tmp_path, parts):
    collection.write(tmp_path, **parts, about={})
    (tmp_path / "qrels.test.tsv").unlink()
    (tmp_path / "qrels.test.tsv" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        collection.write(tmp_path, **parts, about={})
    assert not (tmp_path / "manifest.json").exists()


def test_any_iterator_gives_the_same_bytes_as_lists(tmp_path, parts):
    parts["passages"] += [(f"more-{number}", f"Text {number}.") for number in range(20)]
    collection.write(tmp_path / "lists", **parts, about={})
    streams = {split: iter(rows) for split, rows in parts["queries"].items()}
    collection.write(tmp_path / "streams", iter(parts["passages"]), streams, parts["qrels"], about={})
    for name in [*FILES, "manifest.json"]:
        assert (tmp_path / "streams" / name).read_bytes() == (tmp_path / "lists" / name).read_bytes()


@pytest.fixture
def in_small_parts(monkeypatch):
    """Four rows at a time: what is checked or read must not depend on where a part ends."""
    monkeypatch.setattr(collection, "ROWS_AT_ONCE", 4)


def test_many_row_groups_are_read_as_one(tmp_path, parts, in_small_parts):
    parts["passages"] += [(f"more-{number}", f"Text {number}.") for number in range(20)]
    collection.write(tmp_path, **parts, about={})
    pids, texts = zip(*parts["passages"], strict=True)
    assert parquet.ParquetFile(tmp_path / "passages.parquet").num_row_groups == 6
    assert list(collection.passages(tmp_path).itertuples(index=False, name=None)) == parts["passages"]
    assert collection.ids(tmp_path, "passages").to_pylist() == list(pids)
    assert list(collection.texts(tmp_path, "passages")) == list(texts)
    assert list(collection.texts(tmp_path, "test")) == ["a city, asked in test"]
    assert collection.rows(tmp_path, "passages", ["more-19", "unknown", "d1", "more-3"]) == {
        pid: pids.index(pid) for pid in ("d1", "more-3", "more-19")
    }
    assert collection.passages(tmp_path, {"more-5", "d2", "unknown"}).pid.tolist() == ["d2", "more-5"]
    assert collection.passages(tmp_path, []).columns.tolist() == ["pid", "text"]


def test_a_pid_is_found_again_in_another_part(tmp_path, parts, in_small_parts):
    parts["passages"] += [(f"more-{number}", "Text.") for number in range(20)] + [("d2", "Text.")]
    with pytest.raises(UserError, match="pid 'd2' occurs more than once"):
        collection.write(tmp_path, **parts, about={})


def test_a_missing_text_is_found_in_any_part(tmp_path, parts, in_small_parts):
    collection.write(tmp_path, **parts, about={})
    texts = ["A text."] * 9 + [None]
    pd.DataFrame({"pid": map(str, range(10)), "text": texts}).to_parquet(tmp_path / "passages.parquet")
    with pytest.raises(UserError, match="column 'text' has no value in row 9"):
        collection.check_folder(tmp_path)


def test_white_space_is_what_python_splits_at():
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    found = pc.match_substring_regex(pa.array(characters), f"[{collection.SPACE}]").to_pylist()
    assert found == [not character.split() for character in characters]


def repeated_pid(parts):
    parts["passages"].append(("d1", "Another text."))


def repeated_qid(parts):
    parts["queries"]["test"].append(("q-test", "another question"))


def query_in_two_splits(parts):
    parts["queries"]["test"].append(("q-train", "a city, asked in train"))


def pid_with_a_space(parts):
    parts["passages"].append(("d 4", "A text."))


def empty_qid(parts):
    parts["queries"]["validation"].append(("", "a question"))


def blank_passage(parts):
    parts["passages"].append(("d4", " \n"))


def blank_query(parts):
    parts["queries"]["train"].append(("q4", ""))


def no_queries(parts):
    parts["queries"]["validation"] = []


def no_split(parts):
    del parts["queries"]["test"]


def unknown_pid(parts):
    parts["qrels"]["test"].append(("q-test", "d77", 1))


def unknown_qid(parts):
    parts["qrels"]["validation"].append(("q-test", "d1", 1))


def judged_twice(parts):
    parts["qrels"]["train"].append(("q-train", "d2", 1))


def no_judgements(parts):
    del parts["qrels"]["train"]


def no_positive(parts):
    parts["qrels"]["test"][0] = ("q-test", "d2", 0)


MISTAKES = [
    (repeated_pid, "passages.parquet: pid 'd1'"),
    (repeated_qid, "queries.test.parquet: qid 'q-test'"),
    (query_in_two_splits, "queries.test.parquet: qid 'q-train'"),
    (pid_with_a_space, "passages.parquet: pid 'd 4'"),
    (empty_qid, "queries.validation.parquet: qid ''"),
    (blank_passage, "passages.parquet: the text of pid 'd4'"),
    (blank_query, "queries.train.parquet: the text of qid 'q4'"),
    (no_queries, "queries.validation.parquet has no queries"),
    (no_split, "queries.test.parquet has no queries"),
    (unknown_pid, "qrels.test.tsv: pid 'd77' is not in passages.parquet"),
    (unknown_qid, "qrels.validation.tsv: qid 'q-test' is not in queries.validation.parquet"),
    (judged_twice, "qrels.train.tsv: the pair qid 'q-train', pid 'd2'"),
    (no_judgements, "qrels.train.tsv: qid 'q-train' has no passage"),
    (no_positive, "qrels.test.tsv: qid 'q-test' has no passage"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=[mistake.__name__ for mistake, _ in MISTAKES])
def test_a_mistake_is_named_with_its_file_and_a_remedy(tmp_path, parts, mistake, message):
    wrong = copy.deepcopy(parts)
    mistake(wrong)
    with pytest.raises(UserError, match=f"^{re.escape(f'{tmp_path}/{message}')}.*; .*[.]$") as error:
        collection.write(tmp_path, **wrong, about={})
    assert "\n" not in str(error.value)
    assert not any(tmp_path.iterdir())


def test_a_query_may_have_several_positives_and_a_passage_several_queries(tmp_path, parts):
    parts["queries"]["test"].append(("q5", "towns"))
    parts["qrels"]["test"] += [("q-test", "d1", 1), ("q5", "d1", 1), ("q5", "d2", 1)]
    collection.write(tmp_path, **parts, about={})
    assert collection.qrels(tmp_path, "test")["q5"] == {"d1": 1, "d2": 1}


def without_the_file(folder):
    (folder / "qrels.validation.tsv").unlink()


def not_parquet(folder):
    (folder / "passages.parquet").write_text("pid,text\nd1,A text.\n", encoding="utf-8")


def other_column(folder):
    pd.DataFrame({"qid": ["q-test"], "query": ["a city"]}).to_parquet(folder / "queries.test.parquet")


def integer_ids(folder):
    pd.DataFrame({"pid": [1, 2], "text": ["A text.", "A text."]}).to_parquet(folder / "passages.parquet")


def missing_text(folder):
    pd.DataFrame({"pid": ["d1", "d2"], "text": ["A text.", None]}).to_parquet(folder / "passages.parquet")


def three_fields(folder):
    (folder / "qrels.test.tsv").write_text("q-test 0 d2 1\nq-test d3 0\n", encoding="utf-8")


def fractional_relevance(folder):
    (folder / "qrels.train.tsv").write_text("q-train 0 d2 0.5\n", encoding="utf-8")


def judged_elsewhere(folder):
    (folder / "qrels.train.tsv").write_text("q-test 0 d2 1\n", encoding="utf-8")


BROKEN = [
    (without_the_file, "qrels.validation.tsv does not exist"),
    (not_parquet, "passages.parquet is not a readable parquet file"),
    (other_column, "queries.test.parquet has no column 'text', only ['qid', 'query']"),
    (integer_ids, "passages.parquet: column 'pid' holds int64"),
    (missing_text, "passages.parquet: column 'text' has no value in row 1"),
    (three_fields, "qrels.test.tsv, line 2: 'q-test d3 0'"),
    (fractional_relevance, "qrels.train.tsv, line 1: 'q-train 0 d2 0.5'"),
    (judged_elsewhere, "qrels.train.tsv: qid 'q-test' is not in queries.train.parquet"),
]


@pytest.mark.parametrize(("damage", "message"), BROKEN, ids=[damage.__name__ for damage, _ in BROKEN])
def test_a_broken_folder_is_reported(tmp_path, parts, damage, message):
    collection.write(tmp_path, **parts, about={})
    damage(tmp_path)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        collection.check_folder(tmp_path)
    assert "; " in str(error.value)
    assert "\n" not in str(error.value)
