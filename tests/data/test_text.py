"""Text files of others: every reader of them against every fault that files have, and against every form they take."""

import bz2
import gzip
import json
import lzma
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dualenc.data import collection, text
from dualenc.data.kinds import dpr, tsv
from dualenc.data.runs import read_run
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json
from dualenc.steps.evaluate import evaluate
from dualenc.study.schema import Evaluation
from dualenc.training import score_rows

TSV = {
    "collection.tsv": "p1\tun caf\u00e9\u2028au lait\np2\tdeux\x0bth\u00e9s\x85\np3\t\u4e09\n",
    "queries.train.tsv": "q1\tpremi\u00e8re\nq4\tquatri\u00e8me\n",
    "queries.dev.tsv": "q2\tdeuxi\u00e8me\n",
    "queries.test.tsv": "q3\ttroisi\u00e8me\n",
    "qrels.train.tsv": "q1\t0\tp1\t1\nq4\t0\tp3\t1\n",
    "qrels.dev.tsv": "q2\t0\tp2\t1\n",
    "qrels.test.tsv": "q3\t0\tp1\t2\nq3\t0\tp3\t-2\n",
}
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
OPTIONS = {"max_words": None, "max_passages": None, "max_queries": dict.fromkeys(SPLITS, 9)}


def built(file: Path):
    """The dataset of the folder of ``file``, one of its seven."""
    out = file.parent / "dataset"
    tsv.build(out, tsv.Parameters(kind="tsv", path=str(file.parent), splits=SPLITS, **OPTIONS))
    texts = [
        dict(frame.itertuples(index=False)) for frame in (collection.passages(out), collection.queries(out, "train"))
    ]
    return *texts, [collection.qrels(out, split) for split in SPLITS]


def dealt(file: Path):
    """The rows of a file of published scores, by line."""
    parts, _, defects = score_rows.partition(file, file.parent, 0)
    score_rows.refuse(file, defects, 0)
    return np.sort(np.concatenate([np.fromfile(part, score_rows.ROW) for part in parts]), order="line").tolist()


def entries(file: Path):
    return list(dpr.read(file))


def run_of(file: Path):
    return {qid: (ranking.pids, ranking.scores.tolist()) for qid, ranking in read_run(file).items()}


ENTRY = {
    "question": "question 1 caf\u00e9",
    "positive_ctxs": [{"title": "a", "text": "\u4e09", "score": 1, "passage_id": "p"}],
    "hard_negative_ctxs": [],
    "negative_ctxs": [],
}
ENTRIES = [
    dpr.Entry(number, "question 1 caf\u00e9", [dpr.Passage("p", 1.0, "a", "\u4e09")], [], []) for number in (1, 2)
]
TEXTS = {"p1": "un caf\u00e9\u2028au lait", "p2": "deux\x0bth\u00e9s\x85", "p3": "\u4e09"}
JUDGED = [{"q1": {"p1": 1}, "q4": {"p3": 1}}, {"q2": {"p2": 1}}, {"q3": {"p3": -2, "p1": 2}}]
DATASET = (TEXTS, {"q1": "premi\u00e8re", "q4": "quatri\u00e8me"}, JUDGED)
QRELS = {"q1": {"\u00e9": 1}, "q2": {"b": 0, "c": -2}}
RUN = {"q1": (["\u00e9", "b"], [2.5, 0.125]), "q2": (["b"], [-4.0])}
ROWS = [(1.5, -2.0, 7, 11, 12, 1), (0.5, 0.25, 7, 10, 0, 2)]
READERS = {  # what is read -> the file's name, what stands in it, what reads it, and what is found
    "collection": ("collection.tsv", TSV["collection.tsv"], built, DATASET),
    "queries": ("queries.train.tsv", TSV["queries.train.tsv"], built, DATASET),
    "tsv qrels": ("qrels.test.tsv", TSV["qrels.test.tsv"], built, DATASET),
    "dpr": ("nq.json", json.dumps([ENTRY] * 2, ensure_ascii=False, indent=1), entries, ENTRIES),
    "qrels": ("test.qrels", "q1 0 \u00e9 1\nq2 0 b 0\nq2 0 c -2\n", collection.read_qrels, QRELS),
    "run": ("bm25.run", "q1 Q0 \u00e9 1 2.5 x\nq1 Q0 b 2 125e-3 x\nq2 Q0 b 1 -4 x\n", run_of, RUN),
    "scores": ("scores.tsv", "1.5\t-2\t7\t11\t12\n0.5\t.25\t7\t10\t0\n", dealt, ROWS),
}  # fmt: skip
PACK = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}
NAMED = {".gz": "gzip", ".xz": "xz", ".bz2": "bzip2", ".zst": "zstd"}
RIGHT = {
    "plain": ("", str.encode),
    "byte order mark": ("", lambda content: content.encode("utf-8-sig")),
    "CRLF": ("", lambda content: content.replace("\n", "\r\n").encode()),
    "no last end of line": ("", lambda content: content.removesuffix("\n").encode()),
    **{
        f"packed {suffix}": (suffix, lambda content, pack=pack: pack(content.encode())) for suffix, pack in PACK.items()
    },
    "two gzip members": (
        ".gz",
        lambda content: gzip.compress(content[:9].encode()) + gzip.compress(content[9:].encode()),
    ),
    "marked and packed": (".gz", lambda content: gzip.compress(content.encode("utf-8-sig"))),
}
WRONG = {
    "empty": ("", lambda content: b"", "is empty: get it again"),
    "a mark alone": ("", lambda content: b"\xef\xbb\xbf", "is empty"),
    "empty in gzip": (".gz", lambda content: gzip.compress(b""), "is empty"),
    "UTF-16": ("", lambda content: content.encode("utf-16"), "is not UTF-8 text but UTF-16: convert it with"),
    "Latin-1": ("", lambda content: content.replace("1", "1\xe9", 1).encode("latin-1", "replace"), "is not UTF-8"),
    "UTF-16 unmarked": ("", lambda content: content.encode("utf-16-le"), "contains a NUL byte|JSON|defects"),
    "NUL": ("", lambda content: content.replace("1", "1\0", 1).encode(), "line 1 contains a NUL byte|JSON|defects"),
    "zip": ("", lambda content: b"PK\x03\x04\x14\x00\x00\x00", "but a zip archive: unpack it"),
    **{
        f"cut {suffix}": (suffix, lambda content, pack=pack: pack(content.encode())[:-5], "not a complete {form} file")
        for suffix, pack in PACK.items()
    },
    **{f"no {suffix}": (suffix, str.encode, r"is not a complete {form} file \(.*\): get it again") for suffix in PACK},
    **{f"empty {suffix}": (suffix, lambda content: b"", "is empty|is not a complete {form} file") for suffix in PACK},
    **{
        f"unnamed {suffix}": ("", lambda content, pack=pack: pack(content.encode()), f"a name that ends in {suffix}")
        for suffix, pack in PACK.items()
    },
}  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """Write the other files that a reader needs, and say where its own goes."""

    def call(name):
        for other in TSV.keys() - {name} if name in TSV else []:
            (tmp_path / other).write_text(TSV[other], encoding="utf-8")
        return tmp_path / name

    return call


@pytest.mark.parametrize("form", RIGHT)
@pytest.mark.parametrize("reader", READERS)
def test_every_form_gives_the_same_data(place, reader, form):
    name, content, read, data = READERS[reader]
    suffix, encoded = RIGHT[form]
    file = Path(f"{place(name)}{suffix}")
    file.write_bytes(encoded(content))
    assert read(file) == data


def told(read, file):
    """The one sentence about a file that cannot be read; what is wrong with lines of scores is listed below it."""
    with pytest.raises(UserError) as error:
        read(file)
    sentence, *listed = str(error.value).split("\n")
    assert str(file) in sentence and sentence.endswith(".") and (not listed or "defects" in sentence)
    return str(error.value)


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("reader", READERS)
def test_every_fault_is_one_sentence_about_the_file(place, tmp_path, reader, fault):
    name, content, read, _ = READERS[reader]
    suffix, encoded, message = WRONG[fault]
    file = Path(f"{place(name)}{suffix}")
    file.write_bytes(encoded(content))
    found = told(read, file)
    assert re.search(message.format(form=NAMED.get(suffix)), found), found
    if fault == "Latin-1":
        assert ("entry 1 is" if reader == "dpr" else "line 1: byte") in found
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_told(place, reader):
    name, _, read, _ = READERS[reader]
    file = place(name)
    assert re.search("does not exist[:;] (put|write)", told(read, file))
    file.symlink_to(file)
    assert re.search(r"cannot be read \(Too many levels|does not exist", told(read, file))
    file.unlink()
    file.mkdir()
    assert "is a folder, not a file: correct the path" in told(read, file)


@pytest.mark.parametrize("name", TSV)
def test_two_forms_of_a_file_are_refused_with_both_names(place, name):
    file = place(name)
    file.write_text(TSV[name], encoding="utf-8")
    packed = Path(f"{file}.xz")
    packed.write_bytes(lzma.compress(b"other"))
    assert f"{packed} are two forms of one file: remove" in told(built, file)


def test_the_files_of_a_dataset_are_those_that_it_reads(place):
    place("collection.tsv").with_name("collection.tsv.zst").write_bytes(PACK[".zst"](TSV["collection.tsv"].encode()))
    folder = place("collection.tsv").parent

    def files():
        return tsv.files(tsv.Parameters(kind="tsv", path=str(folder), splits=SPLITS, **OPTIONS))

    assert {file.name for file in files()} == TSV.keys() - {"collection.tsv"} | {"collection.tsv.zst"}
    assert folder / "queries.dev.tsv" in files()
    (folder / "qrels.dev.tsv").unlink()
    with pytest.raises(UserError, match=r"qrels.dev.tsv \(or .gz, .xz, .bz2, .zst\) does not exist"):
        files()


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_lines_are_those_between_line_feeds(tmp_path, monkeypatch, block):
    monkeypatch.setattr(text, "BLOCK", block)
    draw = random.Random(block)
    characters = ["a", "\u00e9", "\u2028", "\x0b", "\x85", "\t", "\r ", "\u4e09", "\U0001f426", "\ufeff "]
    wanted = ["x" + "".join(draw.choices(characters, k=draw.randrange(6))) for _ in range(200)] + ["", "end"]
    file = tmp_path / "some.txt"
    ends = [draw.choice(["\n", "\r\n"]) for _ in wanted]
    file.write_bytes("".join(line + end for line, end in zip(wanted, ends, strict=True)).encode("utf-8-sig"))
    assert list(text.lines(file)) == list(enumerate(wanted, start=1))
    file.write_bytes(file.read_bytes().replace(b"end", "d\u00e9but \xe9".encode("latin-1")))
    with pytest.raises(
        UserError, match=r"some.txt, line 202: byte 2 of the line \(0xe9\) is not UTF-8; convert the file"
    ):
        list(text.lines(file))


def test_files_that_were_joined_have_marks_within(tmp_path):
    (tmp_path / "all.qrels").write_bytes("q1 0 a 1\n".encode("utf-8-sig") + "q2 0 b 1\n".encode("utf-8-sig"))
    assert collection.read_qrels(tmp_path / "all.qrels") == {"q1": {"a": 1}, "q2": {"b": 1}}


def test_a_long_line_is_shown_in_part(tmp_path):
    (tmp_path / "x.run").write_text("word " * 100_000, encoding="utf-8")
    assert len(told(read_run, tmp_path / "x.run")) < 400


def test_reading_prints_its_progress(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("dualenc.runtime.progress.SECONDS_BETWEEN_LINES", 0)
    (tmp_path / "x.qrels.gz").write_bytes(gzip.compress(b"q 0 d 1\n"))
    collection.read_qrels(tmp_path / "x.qrels.gz")
    assert re.match(r"x.qrels.gz: 0/0 MB, \d+\.\d+ MB/s, 0 s left\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    "wrong",
    ["q1 0 d1 1_0", "q1 0 d1 \u0661", "q1 0 d1 1.0", "q1 0 d1 +1", "q1 0 d1 1234567890", "q1 0 d1", "", "q1 0 d1 1 x"],
)
def test_what_is_not_a_judgement_is_told_by_its_line(tmp_path, wrong):
    (tmp_path / "x.qrels").write_text(f"q1 0 d2 1\n{wrong}\n", encoding="utf-8")
    assert f"x.qrels, line 2: {wrong!r} is not a judgement; write 'qid 0 pid rel'" in told(
        collection.read_qrels, tmp_path / "x.qrels"
    )


def test_a_pair_that_is_judged_twice_is_told_by_its_line(tmp_path):
    (tmp_path / "x.qrels").write_text("q1 0 d1 1\nq1 0 d2 0\nq1 0 d1 0\n", encoding="utf-8")
    assert "line 3: the pair qid 'q1', pid 'd1' is judged more than once" in told(
        collection.read_qrels, tmp_path / "x.qrels"
    )


@pytest.mark.parametrize("score", ["1_0", "\u0661", "0x1p3", "one"])
def test_scores_of_runs_are_numbers_to_everyone(tmp_path, score):
    (tmp_path / "x.run").write_text(f"q1 Q0 d1 1 2.5 x\nq1 Q0 d2 2 {score} x\n", encoding="utf-8")
    assert "x.run, line 2: expected 'qid Q0 pid rank score tag'" in told(read_run, tmp_path / "x.run")


def test_a_byte_order_mark_neither_loses_nor_adds_a_query(tmp_path):
    (tmp_path / "test.run.gz").write_bytes(gzip.compress(b"q1 Q0 d1 1 2 x\nq1 Q0 d2 2 1 x\nq2 Q0 d3 1 1 x\n"))
    (tmp_path / "test.qrels.tsv").write_bytes(b"\xef\xbb\xbfq1 0 d1 1\nq1 0 d2 1\nq2 0 d3 1\n")
    settings = Evaluation(measures=["MRR@10"], confidence=0.95, resamples=10, permutations=10, seed=1)
    evaluate(settings, tmp_path, tmp_path, "test", tmp_path / "out")
    found = read_json(tmp_path / "out" / "metrics.json")["test"]["MRR@10"]
    assert found["mean"] == 1 and found["queries"] == 2
