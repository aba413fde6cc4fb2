"""Proposition 3, against the closed forms of its proof (Appendix A)."""

import math

import pytest

from dualenc.analysis.gradients import LIMIT, ratio
from dualenc.runtime.errors import UserError

MARGINS = [(1.0, 0.0), (4.0, -2.0), (-3.0, 5.0), (10.0, 9.5)]


def closed_form(teacher, student, temperature):
    """temperature^2 (sigma(s / tau) - sigma(t / tau)) / tau, over 2 (s - t)."""
    sigma = [1 / (1 + math.exp(-margin / temperature)) for margin in (student, teacher)]
    return temperature * (sigma[0] - sigma[1]) / (2 * (student - teacher))


@pytest.mark.parametrize("margins", MARGINS)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0, 50.0])
def test_the_ratio_is_that_of_the_proof(margins, temperature):
    assert ratio(*margins, temperature) == pytest.approx(closed_form(*margins, temperature), rel=1e-9)


@pytest.mark.parametrize("margins", MARGINS)
def test_it_tends_to_an_eighth_with_the_square_of_the_temperature(margins):
    """The sigmoid is odd around 1/2, so that the next term of its series is the third."""
    distances = [LIMIT - ratio(*margins, temperature) for temperature in (100.0, 1000.0)]
    assert 0 < distances[1] < 1e-4
    assert distances[0] / distances[1] == pytest.approx(100, rel=0.02)


def test_it_never_exceeds_its_limit():
    assert all(0 <= ratio(*margins, 2.0**power) < LIMIT for margins in MARGINS for power in range(-3, 6))


def test_equal_margins_have_no_ratio():
    with pytest.raises(UserError, match=r"same margin 2\.0, where both gradients are 0"):
        ratio(2.0, 2.0, 1.0)
