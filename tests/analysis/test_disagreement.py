"""Pairs on which two scorers disagree, and the words that a query and a passage share."""

import pytest

import scored_tree
from dualenc.analysis import disagreement, margins, pairs


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    scored_tree.write(root, ["ca", "de"])
    return [pairs.of_run(root, name, scored_tree.SEED, "test") for name in ("de", "ca")]


def test_differences_are_of_scores_that_are_comparable(scored):
    de, ca = scored
    line = disagreement.pairs(de, ca).iloc[7]
    sides = []
    for frame in scored:
        query = frame[frame.qid == line.qid]
        score = query.score[query.pid == line.pid].item()
        sides.append((score - query.score.mean()) / margins.score_range(frame))
    assert [line.score_first, line.score_second] == pytest.approx(sides)
    assert line.disagreement == pytest.approx(sides[0] - sides[1])
    assert line.rank_first == de["rank"][(de.qid == line.qid) & (de.pid == line.pid)].item()


def test_the_largest_come_first_and_every_pair_comes_once(scored):
    found = disagreement.pairs(*scored)
    assert found.disagreement.is_monotonic_decreasing
    assert len(found) == len(scored[0]) and not found.duplicated(["qid", "pid"]).any()
    assert found.disagreement.iloc[0] > 0 > found.disagreement.iloc[-1]


def test_a_baseline_and_a_factor_are_no_disagreement(scored):
    de, _ = scored
    shift = de.qid.map({qid: 5.0 * number for number, qid in enumerate(de.qid.unique())})
    found = disagreement.pairs(de.assign(score=2 * de.score + shift), de)
    assert found.disagreement.to_numpy() == pytest.approx(0, abs=1e-12)


def test_a_pair_that_only_the_first_scores_high_is_found(scored):
    ca = scored[1]
    planted = ca.assign(score=ca.score.where(ca.index != 100, ca.score.max() + 50))
    assert disagreement.pairs(planted, ca).pid.iloc[0] == ca.pid[100]


@pytest.mark.parametrize(
    ("query", "passage", "overlap"),
    [
        ("effects of yeast on body", "The side effects of chemotherapy on the BODY.", 4 / 5),
        ("the the cat", "the dog", 1 / 2),
        ("Cat?", "cat.", 1),
        ("cats", "cat", 0),
        ("???", "anything", 0),
        ("किताबें पानी", "नानी का पानी", 1 / 2),
        ("cafe\u0301", "Café!", 1),
    ],
)
def test_token_overlap_is_the_share_of_the_querys_words(query, passage, overlap):
    assert disagreement.token_overlap(query, passage) == overlap
