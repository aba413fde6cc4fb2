"""Normalised margins and the spread of negatives, against loops over the run files."""

import itertools

import numpy as np
import pandas as pd
import pytest

import scored_tree
from dualenc.analysis import margins, negatives, pairs


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    scored_tree.write(root, ["ca", "de"])
    return root


@pytest.mark.parametrize("name", ["ca", "de"])
def test_margins_are_those_of_the_paper(root, name):
    scores = scored_tree.of_queries(root, name)
    rho = max(max(up + down) - min(up + down) for up, down in scores.values())
    expected = {
        qid: sorted((high - low) / rho for high, low in itertools.product(up, down))
        for qid, (up, down) in scores.items()
    }
    scored = pairs.of_run(root, name, scored_tree.SEED, "test")
    assert margins.score_range(scored) == pytest.approx(rho)
    found = margins.normalised(scored).groupby("qid").margin.apply(sorted)
    assert set(found.index) == {qid for qid, values in expected.items() if values}
    for qid, values in found.items():
        assert values == pytest.approx(expected[qid], abs=1e-6)


@pytest.mark.parametrize("name", ["ca", "de"])
def test_the_spread_is_the_interquartile_range_of_negatives(root, name):
    scores = scored_tree.of_queries(root, name)
    scored = pairs.of_run(root, name, scored_tree.SEED, "test")
    spread = negatives.spread(scored)
    assert len(spread) == len(scores)
    for qid, (_, down) in scores.items():
        low, high = np.percentile(down, [25, 75])
        assert spread[qid] == pytest.approx((high - low) / margins.score_range(scored), abs=1e-6)


def frame(*queries):
    """Pairs of (relevant, score) for each query."""
    rows = [(f"q{number}", *pair) for number, query in enumerate(queries) for pair in query]
    return pd.DataFrame(rows, columns=["qid", "relevant", "score"])


def test_the_largest_range_of_a_query_is_1():
    scored = frame([(True, 5.0), (False, 1.0)], [(True, 100.0), (False, 101.0)], [(False, 7.0), (False, 8.0)])
    assert margins.score_range(scored) == 4
    assert margins.normalised(scored).values.tolist() == [["q0", 1.0], ["q1", -0.25]]


def test_what_moves_no_ranking_moves_no_margin(root):
    scored = pairs.of_run(root, "de", scored_tree.SEED, "test")
    shift = scored.qid.map({qid: 10.0 * number for number, qid in enumerate(scored.qid.unique())})
    other = scored.assign(score=3 * scored.score + shift)
    assert margins.normalised(other).margin.to_numpy() == pytest.approx(margins.normalised(scored).margin.to_numpy())
    assert negatives.spread(other).to_numpy() == pytest.approx(negatives.spread(scored).to_numpy())


def test_a_scorer_that_says_nothing_has_no_margins():
    scored = frame([(True, 2.0), (False, 2.0), (False, 2.0)])
    assert margins.normalised(scored).margin.tolist() == [0, 0]
    assert negatives.spread(scored).tolist() == [0]
