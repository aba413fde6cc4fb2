"""Collections in tab-separated files: every compression, passages in parts, samples by hash, and wrong files."""

import gzip
import lzma
from pathlib import Path

import pytest

from dualenc.data import collection
from dualenc.data.collection import SPLITS
from dualenc.data.kinds import tsv
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5, read_json

OPTIONS = {
    "splits": {"train": "train", "validation": "dev", "test": "test"},
    "max_words": None,
    "max_passages": None,
    "max_queries": {"train": 10, "validation": 10, "test": 10},
}
FILES = {
    "collection.tsv": "".join(f"{pid}\tone two three of {pid}\n" for pid in "abcdefg"),
    "queries.train.tsv": "1\tfirst\n2\tsecond\n3\tthird\n",
    "queries.dev.tsv": "4\tfourth\n",
    "queries.test.tsv": "5\tfifth \u00e9\n",
    "qrels.train.tsv": "1\t0\ta\t1\n2\t0\tb\t1\n2\t0\tc\t0\n3\t0\tc\t2\n",
    "qrels.dev.tsv": "4\t0\td\t1\n",
    "qrels.test.tsv": "5\t0\te\t1\n",
}


@pytest.fixture
def build(tmp_path):
    """Write the files, changed and compressed, and build their dataset with other options."""

    def make(changes=(), suffix="", **options):
        path = tmp_path / f"files{suffix}"
        path.mkdir(exist_ok=True)
        opened = {"": open, ".gz": gzip.open, ".xz": lzma.open}[suffix]
        for name, text in {**FILES, **dict(changes)}.items():
            if text is not None:
                with opened(path / f"{name}{suffix}", "wt", encoding="utf-8") as file:
                    file.write(text)
        folder = tmp_path / f"dataset{suffix}"
        tsv.build(folder, tsv.Parameters(kind="tsv", path=str(path), **OPTIONS | options))
        collection.check_folder(folder)
        return folder

    return make


def test_every_compression_gives_the_same_dataset(build):
    folders = [build(suffix=suffix) for suffix in ("", ".gz", ".xz")]
    assert dict(collection.passages(folders[0]).itertuples(index=False)) == {
        p: f"one two three of {p}" for p in "abcdefg"
    }
    assert list(collection.queries(folders[0], "test").text) == ["fifth \u00e9"]
    assert collection.qrels(folders[0], "train") == {"1": {"a": 1}, "2": {"b": 1, "c": 0}, "3": {"c": 2}}
    manifests = [read_json(folder / "manifest.json") for folder in folders]
    for manifest, suffix in zip(manifests, ("", ".gz", ".xz"), strict=True):
        files = {Path(name): about for name, about in manifest.pop("sources").items()}
        assert {file.name for file in files} == {f"{name}{suffix}" for name in FILES}
        assert all(about == {"size": file.stat().st_size, "md5": md5(file)} for file, about in files.items())
    assert manifests == manifests[:1] * 3


def test_passages_in_parts_are_relevant_where_the_whole_is(build):
    folder = build(max_words=2)
    texts = dict(collection.passages(folder).itertuples(index=False))
    assert [texts[f"a-{part}"] for part in range(3)] == ["one two", "three of", "a"]
    assert collection.qrels(folder, "train")["3"] == {"c-0": 2, "c-1": 2, "c-2": 2}


def test_a_sample_keeps_what_is_judged(build):
    folder = build(max_passages=0, max_queries={"train": 2, "validation": 1, "test": 1})
    judged = [pid for split in SPLITS for one in collection.qrels(folder, split).values() for pid in one]
    assert len(collection.qrels(folder, "train")) == 2
    assert sorted(collection.passages(folder).pid) == sorted(set(judged))
    assert len(collection.passages(build(suffix=".gz", max_passages=6))) == 6
    whole = build(suffix=".xz", max_queries=dict.fromkeys(SPLITS))
    assert len(collection.qrels(whole, "train")) == 3 and len(collection.passages(whole)) > 6


def test_judgements_of_queries_outside_the_sample_are_counted(build, capsys):
    folder = build(max_queries={"train": 2, "validation": 1, "test": 1})
    judged = sum(map(len, collection.qrels(folder, "train").values()))
    assert judged in (2, 3)
    counts = {"queries": 3, "kept": 2, "judgements": 4, "of queries kept": judged}
    assert read_json(folder / "manifest.json")["counts"]["train"] == counts
    assert f"train: queries: 3, kept: 2, judgements: 4, of queries kept: {judged}\n" in capsys.readouterr().err


def test_an_unknown_passage_is_told_even_if_its_query_is_not_in_the_sample(build):
    for wrong in ("1", "2", "3"):
        rows = FILES["qrels.train.tsv"] + f"{wrong}\t0\tzz\t0\n"
        with pytest.raises(UserError, match=r"qrels.train.tsv, line 5: pid 'zz' is not in collection.tsv"):
            build({"qrels.train.tsv": rows}, max_queries={"train": 1, "validation": 1, "test": 1})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"collection.tsv": "a\n"}, r"collection.tsv, line 1: 1 columns; write id, text between tabs"),
        ({"qrels.dev.tsv": "4\td\t1\n"}, r"qrels.dev.tsv, line 1: 3 columns; write qid, 0, pid, rel"),
        ({"queries.dev.tsv": None}, r"queries.dev.tsv \(or .gz, .xz, .bz2, .zst\) does not exist: put it there"),
        ({"collection.tsv": "a\tx\na\ty\n"}, r"collection.tsv, line 2: id 'a' occurs more than once"),
        ({"qrels.dev.tsv": "4\t0\tz\t1\n"}, r"qrels.dev.tsv, line 1: pid 'z' is not in collection.tsv; add it there"),
        ({"qrels.dev.tsv": "4\t0\td\tyes\n"}, r"qrels.dev.tsv, line 1: rel 'yes' is not a whole number; write"),
        ({"qrels.dev.tsv": "4\t0\td\t1_0\n"}, r"qrels.dev.tsv, line 1: rel '1_0' is not a whole number"),
        ({"qrels.dev.tsv": "4\t0\td\t\u0661\n"}, r"qrels.dev.tsv, line 1: rel '\u0661' is not a whole number"),
        ({"qrels.dev.tsv": "4\t0\td\t1\n4\t0\td\t1\n"}, r"qrels.dev.tsv, line 2: the pair qid '4', pid 'd' is judged"),
        ({"qrels.dev.tsv": "4\t0\td\t0\n"}, r"qid '4' has no passage with rel >= 1"),
        ({"qrels.dev.tsv": "4\t0\td\t1\n5\t0\td\t1\n"}, r"line 2: qid '5' is not in queries.dev.tsv; add it there or"),
        ({"qrels.dev.tsv": "4\t0\td\t1\n4 \t0\td\t1\n"}, r"qrels.dev.tsv, line 2: qid '4 ' is not in queries.dev.tsv"),
    ],
)
def test_wrong_files_are_named(build, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        build(changes)
    assert not (tmp_path / "dataset").exists()
