"""How far a step on one pair carries over, in numbers that can be checked in the head."""

import pandas as pd
import pytest

from dualenc.analysis.influence import excess, relative
from dualenc.runtime.errors import UserError

UPDATES = pd.DataFrame(
    [
        ("q1", "query", 2.0, 1.0),
        ("q1", "query", 2.0, -2.0),
        ("q1", "passage", 2.0, 0.0),
        ("q1", "neither", 2.0, 0.5),
        ("q2", "query", 0.1, 0.1),
        ("q2", "passage", 0.1, 0.3),
        ("q2", "neither", 0.1, 0.1),
        ("q3", "query", 0.1, 0.1),
    ],
    columns=["qid", "shared", "own_change", "change"],
).assign(pid="p")


def test_changes_are_relative_to_the_own_one_whatever_their_sign():
    assert relative(UPDATES).tolist() == pytest.approx([0.5, 1, 0, 0.25, 1, 3, 1, 1])


def test_the_excess_is_what_pairs_that_share_nothing_do_not_do():
    assert excess(UPDATES, "query").to_dict() == pytest.approx({"q1": 0.75 - 0.25, "q2": 0})
    assert excess(UPDATES, "passage").to_dict() == pytest.approx({"q1": -0.25, "q2": 2})


def test_a_step_that_did_nothing_is_refused():
    with pytest.raises(
        UserError, match=r"query 'q1' and passage 'p' did not change its own score: raise score_updates.step"
    ):
        relative(UPDATES.assign(own_change=0.0))
