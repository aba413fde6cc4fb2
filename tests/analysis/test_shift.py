"""Constants in scores: taken out for drawing, and measured query by query."""

import numpy as np
import pytest

import scored_tree
from dualenc.analysis import pairs, shift
from dualenc.runtime.errors import UserError


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    scored_tree.write(root, ["ca", "de"])
    return {name: pairs.of_run(root, name, scored_tree.SEED, "test") for name in ("ca", "de")}


def test_centring_takes_one_constant_from_all_scores(scored):
    moved = shift.centred(scored["de"])
    assert moved.score.mean() == pytest.approx(0)
    assert np.ptp(moved.score - scored["de"].score) == pytest.approx(0)
    assert scored["de"].score.mean() > 600


def test_the_shift_of_a_query_is_what_was_added_to_its_scores(scored):
    added = {qid: float(number) for number, qid in enumerate(scored["ca"].qid.unique())}
    student = scored["ca"].assign(score=scored["ca"].score + scored["ca"].qid.map(added))
    shuffled = student.sample(frac=1, random_state=0)
    assert shift.between(shuffled, scored["ca"]).to_dict() == pytest.approx(added)


def test_a_dual_encoder_with_a_baseline_is_shifted(scored):
    by_query = shift.between(scored["de"], scored["ca"])
    means = {name: frame.groupby("qid").score.mean() for name, frame in scored.items()}
    assert by_query.to_dict() == pytest.approx((means["de"] - means["ca"]).to_dict())
    expected = scored_tree.SCORERS["de"].baseline - scored_tree.SCORERS["ca"].baseline
    assert by_query.mean() == pytest.approx(expected, abs=20)


def test_runs_of_other_candidates_are_refused(scored):
    with pytest.raises(UserError, match="have 599 and 600 pairs, but share only 599"):
        shift.between(scored["de"].iloc[1:], scored["ca"])
