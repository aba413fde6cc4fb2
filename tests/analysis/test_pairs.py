"""Scored pairs are those of the run file, with what the judgements say."""

import numpy as np
import pytest

import scored_tree
from dualenc.analysis import pairs
from dualenc.data.runs import Ranking, write_run
from dualenc.runtime.errors import UserError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    scored_tree.write(root, ["ca"])
    return root


@pytest.mark.parametrize("evalset", ["train", "test"])
def test_every_line_of_the_run_is_a_pair(root, evalset):
    frame = pairs.of_run(root, "ca", scored_tree.SEED, evalset)
    lines = scored_tree.by_hand(root / f"runs/ca/seed-{scored_tree.SEED}/{evalset}.run.gz")
    assert dict(zip(zip(frame.qid, frame.pid, strict=True), frame.score, strict=True)) == pytest.approx(lines)
    judged = scored_tree.qrels(root, evalset)
    assert [judged[qid].get(pid, 0) == 1 for qid, pid in zip(frame.qid, frame.pid, strict=True)] == list(frame.relevant)
    assert 0 < frame.relevant.sum() < scored_tree.QUERIES[evalset]  # some relevant passages are no candidates


def test_ranks_follow_the_scores_from_1(root):
    frame = pairs.of_run(root, "ca", scored_tree.SEED, "test")
    for _, query in frame.groupby("qid"):
        assert list(query["rank"]) == list(range(1, scored_tree.DEPTH + 1))
        assert (np.diff(query.score) <= 0).all()


def test_a_checkpoint_has_its_own_pairs(root):
    early = [pairs.of_checkpoint(root, "ca", scored_tree.SEED, step, "test") for step in scored_tree.CHECKPOINTS]
    assert early[0].score.std() < early[1].score.std()
    lines = scored_tree.by_hand(root / f"checkpoints/ca/seed-{scored_tree.SEED}/step-0/test.run.gz")
    assert sorted(early[0].score) == pytest.approx(sorted(lines.values()))


def test_queries_that_nobody_judged_are_left_out(tmp_path):
    ranking = Ranking(["a", "b"], np.array([1.0, 0.0]))
    write_run(tmp_path / "x.run.gz", {"judged": ranking, "other": ranking}, tag="x")
    (tmp_path / "x.qrels.tsv").write_text("judged 0 b 2\n", encoding="utf-8")
    frame = pairs.read(tmp_path / "x.run.gz", tmp_path / "x.qrels.tsv")
    assert frame[["qid", "pid", "relevant"]].values.tolist() == [["judged", "a", False], ["judged", "b", True]]


@pytest.mark.parametrize("judged", ["q 0 elsewhere 1", "q 0 a 1\nq 0 b 1", "nobody 0 a 1"])
def test_a_run_without_positives_or_negatives_is_refused(tmp_path, judged):
    write_run(tmp_path / "x.run.gz", {"q": Ranking(["a", "b"], np.array([1.0, 0.0]))}, tag="x")
    (tmp_path / "x.qrels.tsv").write_text(judged + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"x\.run\.gz has \d pairs of judged queries, but not both"):
        pairs.read(tmp_path / "x.run.gz", tmp_path / "x.qrels.tsv")
