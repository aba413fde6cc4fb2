"""Runs: exact round trips, deterministic bytes, a fair order of ties, and errors that say where."""

import gzip

import numpy as np
import pytest

from dualenc.data.runs import Ranking, ranked, read_run, write_run
from dualenc.runtime.errors import UserError


def random_run(queries: int, depth: int) -> dict[str, Ranking]:
    rng = np.random.default_rng(0)
    return {
        f"q{q}": Ranking(
            [f"p{p}" for p in rng.choice(10 * depth, depth, replace=False)],
            (rng.normal(size=depth) * 10.0 ** rng.integers(-30, 30, depth)).astype(np.float32),
        )
        for q in range(queries)
    }


def write_lines(path, *lines: str):
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_float32_scores_come_back_exactly(tmp_path):
    run = random_run(5, 200)
    extremes = np.array([np.finfo(np.float32).max, np.finfo(np.float32).tiny, 1e-45, -0.1], dtype=np.float32)
    run["extremes"] = Ranking(["a", "b", "c", "d"], extremes)
    write_run(tmp_path / "x.run.gz", run, tag="test")
    back = read_run(tmp_path / "x.run.gz")
    assert list(back) == list(run)
    for qid, (pids, scores) in run.items():
        assert back[qid].scores.dtype == np.float32
        assert dict(zip(*back[qid], strict=True)) == dict(zip(pids, scores, strict=True))
        assert (np.diff(back[qid].scores) <= 0).all()


def test_lines_are_trec_run_lines_ranked_from_one(tmp_path):
    write_run(tmp_path / "x.run.gz", {"7": Ranking(["a", "b", "c"], np.array([0.5, 2.0, -1.0]))}, tag="de")
    text = gzip.decompress((tmp_path / "x.run.gz").read_bytes()).decode()
    assert text == "7 Q0 b 1 2 de\n7 Q0 a 2 0.5 de\n7 Q0 c 3 -1 de\n"


def test_bytes_depend_on_the_run_only(tmp_path, monkeypatch):
    run = random_run(3, 50)
    write_run(tmp_path / "first.run.gz", run, tag="test")
    monkeypatch.setattr("time.time", lambda: 2e9)
    shuffled = {qid: Ranking(pids[::-1], scores[::-1]) for qid, (pids, scores) in run.items()}
    write_run(tmp_path / "elsewhere" / "second.run.gz", shuffled, tag="test")
    first, second = tmp_path / "first.run.gz", tmp_path / "elsewhere" / "second.run.gz"
    assert first.read_bytes() == second.read_bytes()


def test_order_of_ties_does_not_depend_on_the_order_given():
    pids = [f"p{i}" for i in range(100)]
    scores = np.repeat([1.0, 3.0, 2.0, 0.0], 25)
    reference = ranked("q", pids, scores)
    assert (np.diff(reference.scores) <= 0).all()
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(100)
        assert ranked("q", [pids[i] for i in order], scores[order]).pids == reference.pids


def test_order_of_ties_follows_neither_pids_nor_another_query():
    pids = [f"{i:03d}" for i in range(1000)]
    first, second = (np.array(ranked(qid, pids, np.ones(1000)).pids, dtype=int) for qid in ("q1", "q2"))
    places = np.arange(1000)
    # A correlation of independent orders of n has the standard deviation 1 / sqrt(n - 1) = .03.
    for a, b in ((first, places), (second, places), (first, second)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.13


def test_ties_do_not_move_untied_passages():
    assert ranked("q", ["low", "a", "b", "high"], [0.0, 1.0, 1.0, 2.0]).pids[::3] == ["high", "low"]


def test_scores_that_differ_beyond_float32_are_ties():
    tied = ranked("q", ["a", "b", "c", "d"], np.zeros(4))
    beyond = ranked("q", ["a", "b", "c", "d"], 1.0 + np.array([4, 3, 2, 1]) * 1e-12)
    reversed_ = ranked("q", ["a", "b", "c", "d"], 1.0 + np.array([1, 2, 3, 4]) * 1e-12)
    assert beyond.pids == reversed_.pids == tied.pids


def test_reading_sorts_by_score_whatever_the_file_says(tmp_path):
    path = write_lines(tmp_path / "x.run.gz", "1 Q0 a 1 0.5 x", "2 Q0 z 1 3 x", "1 Q0 b 2 0.75 x")
    run = read_run(path)
    assert run["1"].pids == ["b", "a"]
    assert run["2"].pids == ["z"]


@pytest.mark.parametrize("line", ["1 Q0 b 2 0.5", "1 Q0 b 2 high x", "1 Q0 b c 2 0.5 x", ""])
def test_malformed_line_is_named(tmp_path, line):
    path = write_lines(tmp_path / "x.run.gz", "1 Q0 a 1 0.5 x", line, "1 Q0 c 3 0.1 x")
    with pytest.raises(UserError, match=rf"{path}, line 2: .*"):
        read_run(path)


@pytest.mark.parametrize("score", ["nan", "inf", "-inf", "1e39"])
def test_score_that_is_not_finite_is_named(tmp_path, score):
    with pytest.raises(UserError, match=r"query q3: .* passage p9"):
        write_run(tmp_path / "x.run.gz", {"q3": Ranking(["p1", "p9"], np.array([1.0, float(score)]))}, tag="x")
    assert list(tmp_path.iterdir()) == []
    path = write_lines(tmp_path / "y.run.gz", "q3 Q0 p1 1 5 x", f"q3 Q0 p9 2 {score} x")
    with pytest.raises(UserError, match=rf"{path}, query q3: .* passage p9"):
        read_run(path)


def test_passage_listed_twice_is_named(tmp_path):
    with pytest.raises(UserError, match=r"query q3: passage p1 "):
        write_run(tmp_path / "x.run.gz", {"q3": Ranking(["p1", "p2", "p1"], np.arange(3))}, tag="x")
    path = write_lines(tmp_path / "y.run.gz", "q3 Q0 p1 1 5 x", "q4 Q0 p1 1 5 x", "q3 Q0 p1 2 4 x")
    with pytest.raises(UserError, match=rf"{path}, query q3: passage p1 "):
        read_run(path)


@pytest.mark.parametrize(("qid", "pid", "tag"), [("a b", "p", "x"), ("q", "a b", "x"), ("q", "p", "a b")])
def test_ids_and_tag_must_be_one_word(tmp_path, qid, pid, tag):
    with pytest.raises(UserError, match="'a b' must be a single word"):
        write_run(tmp_path / "x.run.gz", {qid: Ranking([pid], np.ones(1))}, tag=tag)


def test_a_score_for_each_passage():
    with pytest.raises(ValueError, match="2 passages but 1 scores"):
        ranked("q", ["a", "b"], np.ones(1))


def test_missing_or_broken_file(tmp_path):
    with pytest.raises(UserError, match=r"absent.run.gz does not exist: put the file there"):
        read_run(tmp_path / "absent.run.gz")
    plain = tmp_path / "plain.run.gz"
    plain.write_text("1 Q0 a 1 0.5 x\n", encoding="utf-8")
    with pytest.raises(UserError, match="not a complete gzip file"):
        read_run(plain)
    write_run(tmp_path / "x.run.gz", random_run(3, 50), tag="x")
    cut = tmp_path / "cut.run.gz"
    cut.write_bytes((tmp_path / "x.run.gz").read_bytes()[:-100])
    with pytest.raises(UserError, match="not a complete gzip file"):
        read_run(cut)
    damaged = bytearray((tmp_path / "x.run.gz").read_bytes())
    damaged[10] = 0xFF  # the first byte after the header: a block type that does not exist
    cut.write_bytes(damaged)
    with pytest.raises(UserError, match="not a complete gzip file"):
        read_run(cut)
