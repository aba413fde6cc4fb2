"""Training lists: what is in them, what is refused, and which passages a training step sees."""

import json

import numpy as np
import pandas as pd
import pytest

from dualenc.data import collection
from dualenc.data.runs import Ranking, read_run
from dualenc.runtime.errors import UserError
from dualenc.runtime.files import md5
from dualenc.training import supervision
from dualenc.training.supervision import Lists


def ranking(*pids):
    return Ranking(list(pids), np.arange(len(pids), 0, -1, dtype=np.float32))


def test_retrieved_positives_first_then_a_sample_of_the_candidates_that_are_not_relevant():
    run = {"q": ranking("a", "b", "c", "d", "e", "f"), "r": ranking("a", "x", "b", "c")}
    qrels = {"q": {"e": 1, "c": 2, "z": 1, "b": 0}, "r": {"x": 1}}
    frame, about = supervision.build(run, qrels, list_length=4, count=9)
    lists = {row.qid: row for row in frame.itertuples()}
    assert (lists["q"].pids[:2], lists["q"].labels) == (["c", "e"], [1, 1, 0, 0])
    assert set(lists["q"].pids[2:]) < {"a", "b", "d", "f"} and len(set(lists["q"].pids)) == 4
    assert (lists["r"].pids[0], set(lists["r"].pids[1:]), lists["r"].labels) == (
        "x",
        {"a", "b", "c"},
        [1, 0, 0, 0],
    )
    assert about == {"queries": 2, "no_positive_retrieved": 0, "too_few_candidates": 0}


def test_negatives_are_sampled_without_regard_to_their_rank():
    pids = [f"p{rank}" for rank in range(20)]
    run = {f"q{number}": ranking("x", *pids) for number in range(400)}
    frame, _ = supervision.build(run, {qid: {"x": 1} for qid in run}, list_length=6, count=400)
    counts = pd.Series([pid for row in frame.pids for pid in row[1:]]).value_counts()
    share = 5 / 20  # five standard deviations of a binomial below
    assert len(counts) == 20 and np.all(np.abs(counts - 400 * share) < 5 * (400 * share * (1 - share)) ** 0.5)


def test_many_positives_leave_room_for_a_negative():
    qrels = {"q": dict.fromkeys("abcdef", 1)}
    frame, _ = supervision.build({"q": ranking("a", "b", "c", "n")}, qrels, list_length=3, count=9)
    assert (frame.pids[0], frame.labels[0]) == (["a", "b", "n"], [1, 1, 0])


def test_a_query_that_fills_no_list_is_left_out_and_counted():
    run = {"few": ranking("a", "b"), "none": ranking("x", "y"), "enough": ranking("a", "b", "c")}
    run["missed"] = ranking("x", "y", "z")
    qrels = {
        "few": {"a": 1},
        "none": {"x": 1, "y": 1},
        "absent": {"a": 1},
        "enough": {"a": 1},
        "missed": {"a": 1},
    }
    frame, about = supervision.build(run, qrels, list_length=3, count=9)
    assert list(frame.qid) == ["enough"]
    assert about == {"queries": 5, "no_positive_retrieved": 2, "too_few_candidates": 2}
    with pytest.raises(UserError, match=r"no query has the 4 candidates .* list_length or raise its depth"):
        supervision.build(run, qrels, list_length=4, count=9)
    with pytest.raises(UserError, match="none of 2 train queries has a relevant passage among its candidates"):
        supervision.build(run, {qid: qrels[qid] for qid in ("absent", "missed")}, list_length=2, count=9)


def test_the_first_lists_are_a_fixed_sample():
    qids = [f"q{number}" for number in range(40)]
    run, qrels = {qid: ranking("a", "b") for qid in qids}, {qid: {"a": 1} for qid in qids}
    chosen = [list(supervision.build(run, qrels, list_length=2, count=count)[0].qid) for count in (10, 25)]
    assert chosen[0] == chosen[1][:10] == supervision.in_hash_order(qids[::-1])[:10] and chosen[0] != qids[:10]
    assert sorted(supervision.in_hash_order(qids)) == sorted(qids)


ROWS = {"q": {"q1": 0, "q2": 1}, "p": {"a": 0, "b": 1, "c": 2}}
QRELS = {"q1": {"c": 1}, "q2": {"a": 1, "b": 0}}


def frame(pids=("a", "b", "c"), qid="q2", scores=None):
    values = {"qid": ["q1", qid], "pids": [["c", "a", "b"], list(pids)], "labels": [[1, 0, 0], [1, 0, 0]]}
    return pd.DataFrame(values if scores is None else values | {"teacher_scores": scores})


def write(path, lists):
    supervision.write(path / "lists.parquet", lists, {"source": "here"})
    return path / "lists.parquet"


def test_lists_come_back_by_row_number(tmp_path):
    scores = np.array([[3.0, -1.5, 0.25], [1e-3, 2.0, -7.0]])
    path = write(tmp_path, supervision.with_scores(frame(), scores))
    lists = supervision.read(path, ROWS["q"], ROWS["p"], QRELS)
    assert [rows.tolist() for rows in lists.judged] == [[2], [0, 1]]
    assert lists.queries.tolist() == [0, 1] and lists.passages.tolist() == [[2, 0, 1], [0, 1, 2]]
    assert lists.labels.tolist() == [[1, 0, 0], [1, 0, 0]] and lists.labels.dtype == np.float32
    np.testing.assert_array_equal(lists.teacher, scores.astype(np.float32))
    about = json.loads((tmp_path / "lists.parquet.json").read_text(encoding="utf-8"))
    assert about == {"source": "here", "rows": 2, "md5": md5(path)}
    assert supervision.read(write(tmp_path, frame()), ROWS["q"], ROWS["p"], QRELS).teacher is None


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_named(tmp_path, score):
    scores = np.array([[3.0, -1.5, 0.25], [1.0, score, 2.0]])
    with pytest.raises(UserError, match=f"query 'q2' and passage 'b' is {score}"):
        supervision.with_scores(frame(), scores)
    path = write(tmp_path, frame(scores=list(scores)))
    with pytest.raises(UserError, match=f"query 'q2' and passage 'b' is {score}"):
        supervision.read(path, ROWS["q"], ROWS["p"], QRELS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pids": "aba"}, "a passage twice in the list for query 'q2'"),
        ({"pids": "abz"}, "names 'z', which is not in the dataset"),
        ({"qid": "q9"}, "names 'q9', which is not in the dataset"),
    ],
)
def test_lists_that_do_not_fit_the_dataset(tmp_path, changes, message):
    path = write(tmp_path, frame(**changes))
    with pytest.raises(UserError, match=message) as error:
        supervision.read(path, ROWS["q"], ROWS["p"], QRELS)
    assert str(path) in str(error.value) and "build the lists again" in str(error.value)


def random_lists(seed, rows=20, length=8):
    generator = np.random.default_rng(seed)
    positives = generator.integers(1, 4, rows)
    labels = (np.arange(length) < positives[:, None]).astype(np.float32)
    teacher = generator.normal(size=(rows, length)).astype(np.float32)
    return Lists(np.arange(rows), np.tile(np.arange(length), (rows, 1)), labels, teacher, [])


@pytest.mark.parametrize("size", range(4, 9))
def test_top_takes_all_positives_and_the_negatives_that_the_teacher_likes_best(size):
    lists = random_lists(size)
    for row in range(20):
        columns = supervision.pick(lists, row, size=size, selection="top", generator=np.random.default_rng(0))
        positives = int(lists.labels[row].sum())
        assert columns[:positives].tolist() == list(range(positives)) and len(set(columns)) == size
        chosen, left = columns[positives:], set(range(positives, 8)) - set(columns.tolist())
        scores = lists.teacher[row]
        assert np.all(np.diff(scores[chosen]) <= 0)
        assert all(scores[chosen].min() >= scores[column] for column in left)


def test_sampled_draws_every_negative_alike():
    lists, generator = random_lists(0), np.random.default_rng(1)
    positives = int(lists.labels[3].sum())
    counts = np.zeros(8)
    for _ in range(2000):
        columns = supervision.pick(lists, 3, size=positives + 2, selection="sampled", generator=generator)
        assert columns[:positives].tolist() == list(range(positives)) and len(set(columns)) == positives + 2
        counts[columns] += 1
    negatives = 8 - positives
    share = 2 / negatives
    assert np.all(counts[:positives] == 2000)  # five standard deviations of a binomial below
    assert np.all(np.abs(counts[positives:] - 2000 * share) < 5 * (2000 * share * (1 - share)) ** 0.5)


@pytest.mark.parametrize("selection", ["sampled", "top"])
def test_a_short_list_keeps_a_negative(selection):
    labels = np.array([[1, 1, 1, 0, 0]], dtype=np.float32)
    lists = Lists(np.zeros(1, int), np.arange(5)[None], labels, np.array([[0, 1, 2, 3, 4.0]]), [])
    columns = supervision.pick(lists, 0, size=2, selection=selection, generator=np.random.default_rng(0))
    assert columns[0] == 0 and columns[1] in ([4] if selection == "top" else [3, 4])


def test_the_lists_of_a_study(tiny):
    qrels, run = collection.qrels(tiny / "dataset", "train"), read_run(tiny / "candidates" / "train.run.gz")
    lists = pd.read_parquet(tiny / "lists.parquet")
    assert len(lists) == 80 and set(map(len, lists.pids)) == {5}
    for row in lists.itertuples():
        assert [int(pid in qrels[row.qid]) for pid in row.pids] == list(row.labels) == [1, 0, 0, 0, 0]
        assert set(row.pids) <= set(run[row.qid].pids)
