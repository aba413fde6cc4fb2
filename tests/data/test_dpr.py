"""Natural Questions as DPR prepared it: what is kept, judged and re-ranked, files that are broken, and memory."""

import gzip
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from dualenc.data import collection
from dualenc.data.collection import SPLITS
from dualenc.data.kinds import dpr
from dualenc.data.runs import read_run
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import read_json
from dualenc.steps.candidates import candidates
from dualenc.steps.dataset import dataset
from dualenc.study import config
from dualenc.study.settings import Candidates
from dualenc.training import supervision

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "dpr_sample" / "biencoder-nq-dev.sample.json"
SETTINGS = {"kind": "dpr", "titles": True, "hard_negatives": 100, "random_negatives": 100}
LIMITS = {"train": 1000, "validation": 4, "test": 1000}


def passage(pid, score=0.0, words="some words"):
    about = {"title": f"title {pid}", "text": f"{words} of {pid}", "score": score, "title_score": 0}
    return about | {"passage_id": str(pid)}


def entry(number, positives=None, hard=30, random=5):
    """A question whose gold passage BM25 finds if its number is even."""
    base = number * 1000
    if positives is None:
        positives = [passage(base, 1000), passage(base + 1, 9.5)] + [passage(base, 8.5)] * (number % 2 == 0)
    hards = [passage(base + 100 + rank, 20 - rank / 2) for rank in range(hard)]
    randoms = [passage(base + 500 + rank) for rank in range(random)]
    question = {"dataset": "nq", "question": f"question {number}", "answers": ["x"]}
    return question | {"positive_ctxs": positives, "hard_negative_ctxs": hards, "negative_ctxs": randoms}


@pytest.fixture
def make(tmp_path):
    """Write entries as train and dev files, and the parameters of their dataset."""

    def call(train, dev, suffix=".json", **changes):
        paths = {}
        for name, entries in (("train", train), ("dev", dev)):
            paths[name] = tmp_path / f"{name}{suffix}"
            with (gzip.open if suffix.endswith("gz") else open)(paths[name], "wt", encoding="utf-8") as file:
                file.write(entries if isinstance(entries, str) else json.dumps(entries))
        files = {name: {"path": str(path)} for name, path in paths.items()}
        return dpr.Parameters(**{**SETTINGS, "max_queries": LIMITS, **files, **changes})

    return call


TRAIN = [entry(number) for number in range(1, 13)]
DEV = [entry(number) for number in range(20, 25)]


def ids(folder):
    return {split: dict(collection.queries(folder, split).itertuples(index=False)) for split in SPLITS}


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_questions_passages_and_judgements(make, tmp_path, suffix):
    parameters = make(TRAIN, DEV, suffix)
    dataset(parameters, tmp_path / "dataset")
    collection.check_folder(tmp_path / "dataset")
    asked = ids(tmp_path / "dataset")
    assert {split: len(one) for split, one in asked.items()} == {"train": 8, "validation": 4, "test": 5}
    assert sorted(asked["test"].values()) == [f"question {number}" for number in range(20, 25)]
    assert sorted({**asked["train"], **asked["validation"]}.values()) == sorted(one["question"] for one in TRAIN)
    for split in SPLITS:
        judged = collection.qrels(tmp_path / "dataset", split)
        for qid, text in asked[split].items():
            base = int(text.split()[1]) * 1000
            assert judged[qid] == {str(base): 2, str(base + 1): 1}
    texts = dict(collection.passages(tmp_path / "dataset").itertuples(index=False))
    given = {one["passage_id"] for some in TRAIN + DEV for key in some if key.endswith("ctxs") for one in some[key]}
    assert texts == {pid: f"title {pid} some words of {pid}" for pid in given}


def test_ids_do_not_depend_on_order_and_titles_may_be_left_out(make, tmp_path):
    dataset(make(TRAIN, DEV), tmp_path / "one")
    dataset(make(TRAIN[::-1], DEV[::-1], titles=False), tmp_path / "two")
    assert ids(tmp_path / "one") == ids(tmp_path / "two")
    texts = dict(collection.passages(tmp_path / "two").itertuples(index=False))
    assert texts["1000"] == "some words of 1000"


def test_what_is_left_out_is_counted(make, tmp_path):
    useless = [entry(30, positives=[]), entry(31, hard=0), entry(20), TRAIN[0]]
    parameters = make(TRAIN + useless, [*DEV, entry(40, positives=[]), entry(41, hard=0), DEV[0]])
    dataset(parameters, tmp_path / "dataset")
    asked = ids(tmp_path / "dataset")
    assert sorted(asked["test"].values()) == [f"question {number}" for number in (20, 21, 22, 23, 24, 41)]
    assert len(asked["train"]) + len(asked["validation"]) == len(TRAIN)
    none = {"repeated": 1, "without_positive": 1, "without_hard_negative": 0, "in_dev": 0}
    train = {"questions": 16, "without_hard_negative": 1, "in_dev": 1}
    expected = {"train": none | train, "dev": none | {"questions": 8}}
    assert read_json(tmp_path / "dataset" / "manifest.json")["counts"] == expected
    assert "30500" not in set(collection.passages(tmp_path / "dataset").pid)


def test_a_sample_has_the_passages_of_its_questions(make, tmp_path):
    parameters = make(TRAIN, DEV, max_queries={"train": 2, "validation": 1, "test": 1})
    dataset(parameters, tmp_path / "dataset")
    assert {split: len(one) for split, one in ids(tmp_path / "dataset").items()} == {
        "train": 2, "validation": 1, "test": 1,
    }  # fmt: skip
    assert len(collection.passages(tmp_path / "dataset")) == 4 * 37
    whole = make(TRAIN, DEV, max_queries={"train": None, "validation": 1, "test": None})
    dataset(whole, tmp_path / "whole")
    counts = {"train": len(TRAIN) - 1, "validation": 1, "test": len(DEV)}
    assert {split: len(one) for split, one in ids(tmp_path / "whole").items()} == counts


def test_pools_of_validation_and_test(make, tmp_path):
    parameters = make(TRAIN, DEV, hard_negatives=10, random_negatives=3)
    dataset(parameters, tmp_path / "dataset")
    for split in ("validation", "test"):
        run = dpr.candidates(parameters, split)
        asked = ids(tmp_path / "dataset")[split]
        assert run.keys() == asked.keys()
        for qid, ranking in run.items():
            number = int(asked[qid].split()[1])
            base = number * 1000
            scores = {int(pid) - base: score for pid, score in zip(ranking.pids, ranking.scores.tolist(), strict=True)}
            expected = {100 + rank: 20 - rank / 2 for rank in range(10)} | {500: 0, 501: 0, 502: 0}
            assert scores == expected | {1: 9.5, 0: 8.5 if number % 2 == 0 else 0}


def test_a_gold_passage_that_bm25_did_not_find_may_stand_anywhere_among_such(make):
    run = dpr.candidates(make(TRAIN, [entry(number) for number in range(101, 601, 2)]), "test")
    places = [ranking.pids[-6:].index(min(ranking.pids, key=int)) for ranking in run.values()]
    counts = np.bincount(places, minlength=6)
    assert len(run) == 250 and np.all(np.abs(counts - 250 / 6) < 4 * (250 * 5 / 36) ** 0.5)


def test_lists_have_one_positive_and_hard_negatives(make, tmp_path):
    parameters = make(TRAIN, DEV)
    dataset(parameters, tmp_path / "dataset")
    judged = collection.qrels(tmp_path / "dataset", "train")
    frame, about = supervision.build(dpr.candidates(parameters, "train"), judged, list_length=20, count=100)
    assert len(frame) == 8 and about["no_positive_retrieved"] == about["too_few_candidates"] == 0
    for row in frame.itertuples():
        base = max(int(pid) for pid, rel in judged[row.qid].items() if rel == 2)
        assert row.labels == [1] + [0] * 19 and row.pids[0] == str(base)
        assert {int(pid) - base for pid in row.pids[1:]} < set(range(100, 130))


def test_pools_are_the_official_candidates(make, tmp_path):
    parameters = make(TRAIN, DEV)
    dataset(parameters, tmp_path / "dataset")
    candidates(Candidates(official=parameters, depth=25), tmp_path / "dataset", tmp_path / "candidates")
    for split in SPLITS:
        run = read_run(tmp_path / "candidates" / f"{split}.run.gz")
        whole = dpr.candidates(parameters, split)
        assert {qid: ranking.pids for qid, ranking in run.items()} == {
            qid: ranking.pids[:25] for qid, ranking in whole.items()
        }
    with pytest.raises(UserError, match="no query of the train split finds a passage that is relevant to it"):
        candidates(Candidates(official=parameters, depth=12), tmp_path / "dataset", tmp_path / "few")
    assert not (tmp_path / "few").exists()


@pytest.mark.skipif(not SAMPLE.exists(), reason=f"{SAMPLE} is not there: five real entries, not part of this project")
def test_real_entries(make, tmp_path):
    parameters = make(TRAIN, SAMPLE.read_text(encoding="utf-8"))
    dataset(parameters, tmp_path / "dataset")
    asked = ids(tmp_path / "dataset")["test"]
    assert "who sings does he love me with reba" in asked.values() and len(asked) == 5
    qid = next(qid for qid, text in asked.items() if text.startswith("who sings"))
    assert collection.qrels(tmp_path / "dataset", "test")[qid] == {
        "11828866": 2, "15632586": 1, "8870096": 1, "7626265": 1,
    }  # fmt: skip
    text = dict(collection.passages(tmp_path / "dataset").itertuples(index=False))["11828866"]
    assert text.startswith('Does He Love You Does He Love You "Does He Love You" is a song written')
    run = dpr.candidates(parameters, "test")
    assert len(run[qid].pids) == 4 + 96 + 50 and run[qid].scores.max() < 20
    assert run[qid].scores[run[qid].pids.index("11828866")] == pytest.approx(13.394315)


WHOLE = json.dumps(TRAIN)
BROKEN = {
    "truncated": (WHOLE[: len(WHOLE) // 2], r"train.json is not valid JSON after entry 6 \(.*\): get the file"),
    "no array": (json.dumps({"data": TRAIN}), r"train.json has no entries: it must be an array of questions"),
    "a key": (WHOLE.replace('"passage_id"', '"psg_id"', 1), r"train.json, entry 1 has no 'passage_id': DPR's"),
    "a later key": (WHOLE.replace('"question": "question 5"', '"q": ""'), r"train.json, entry 5 has no 'question'"),
    "a score": (WHOLE.replace("1000,", '"high",', 1), r"train.json, entry 1 cannot be read \(.*'high'\)"),
    "an entry": ("[1]", r"train.json, entry 1 cannot be read"),
    "a question": (WHOLE.replace('"question 3"', "3"), r"train.json, entry 3 cannot be read \(3 is not text\)"),
    "a text": (WHOLE.replace('"some words of 4001"', "null"), r"entry 4 cannot be read \(None is not text\)"),
    "an id": (WHOLE.replace('"3000"', "null", 1), r"entry 3 cannot be read \(None is not an id\)"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_files_are_told_by_entry(make, tmp_path, how):
    content, message = BROKEN[how]
    with pytest.raises(UserError, match=message):
        dataset(make(content, DEV), tmp_path / "dataset")
    assert not (tmp_path / "dataset" / "manifest.json").exists()


def test_a_truncated_gzip_file(make, tmp_path):
    parameters = make(TRAIN, DEV, ".json.gz")
    path = tmp_path / "train.json.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        UserError, match=r"train.json.gz is not a complete gzip file \(Compressed file ended .*\): get it"
    ):
        dataset(parameters, tmp_path / "dataset")


def test_a_file_comes_from_one_place(make):
    params = config.load(Path(__file__).parents[2] / "params.yaml").params.model_dump()
    wrong = make(TRAIN, DEV).model_dump() | {"dev": {"path": "a", "url": "b"}}
    with pytest.raises(UserError, match=r"datasets.nq.dev = \{.*\} is not allowed: give either a path or a url.$"):
        config.study(params | {"datasets": params["datasets"] | {"nq": wrong}})


def peak(parameters, folder):
    """Peak memory (bytes) of Python's objects while a dataset is built."""
    tracemalloc.start()
    try:
        dataset(parameters, folder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_text(make, tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "ROWS_AT_ONCE", 100)
    small, large = ([entry(number, hard=20, random=2) for number in range(1, 301)] for _ in range(2))
    for some in large:
        for one in some["hard_negative_ctxs"]:
            one["text"] *= 50
    peaks = [peak(make(some, DEV), tmp_path / name) for name, some in (("small", small), ("large", large))]
    size = (tmp_path / "train.json").stat().st_size
    assert size > 5e6 and peaks[1] - peaks[0] < size / 5
