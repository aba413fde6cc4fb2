"""Intervals that cover, tests that are exact, and a correction that orders."""

import itertools
import random

import numpy as np
import pytest

from dualenc.evaluation.statistics import bootstrap_interval, difference_interval, holm, paired_test, unpaired_interval
from dualenc.runtime.errors import UserError

INTERVAL = {"confidence": 0.95, "resamples": 400, "seed": 0}


def test_interval_covers_the_true_mean_as_often_as_it_says():
    # Reciprocal ranks of a random first hit: skewed and discrete, like the measure we report.
    rng = np.random.default_rng(0)
    ranks = rng.integers(1, 21, size=(300, 200))
    truth = np.mean([1 / r if r <= 10 else 0.0 for r in range(1, 21)])
    intervals = [bootstrap_interval(np.where(r <= 10, 1 / r, 0.0), **INTERVAL) for r in ranks]
    covered = np.mean([low <= truth <= high for low, high in intervals])
    # The standard error of the coverage is .013.
    assert 0.90 < covered < 0.99


def test_interval_agrees_with_the_normal_one_for_many_queries():
    values = np.random.default_rng(1).exponential(size=5000)
    low, high = bootstrap_interval(values, confidence=0.9, resamples=2000, seed=3)
    half = 1.6449 * values.std(ddof=1) / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_agrees_with_a_plain_loop():
    values = [0.0, 0.0, 0.1, 0.5, 1.0, 1.0, 0.25, 0.0]
    draw = random.Random(0)
    means = sorted(sum(draw.choices(values, k=len(values))) / len(values) for _ in range(20_000))
    low, high = bootstrap_interval(values, confidence=0.8, resamples=20_000, seed=0)
    assert low == pytest.approx(means[2_000], abs=0.02)
    assert high == pytest.approx(means[18_000], abs=0.02)


def test_interval_of_a_constant_is_the_constant():
    assert bootstrap_interval(np.full(10, 0.25), **INTERVAL) == (0.25, 0.25)


def test_interval_is_repeatable_and_grows_with_confidence():
    values = np.random.default_rng(2).random(50)
    narrow = bootstrap_interval(values, confidence=0.5, resamples=1000, seed=7)
    wide = bootstrap_interval(values, confidence=0.99, resamples=1000, seed=7)
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]
    assert bootstrap_interval(values, confidence=0.5, resamples=1000, seed=7) == narrow


def test_blocks_do_not_change_the_results(monkeypatch):
    a, b = np.random.default_rng(3).random((2, 30))
    interval, p = bootstrap_interval(a, **INTERVAL), paired_test(a, b, permutations=500, seed=0)
    monkeypatch.setattr("dualenc.evaluation.statistics.BLOCK", 70)
    assert bootstrap_interval(a, **INTERVAL) == pytest.approx(interval, rel=1e-12)
    assert paired_test(a, b, permutations=500, seed=0) == p


def test_difference_interval_uses_the_pairing():
    rng = np.random.default_rng(4)
    hardness = rng.random(400) * 10
    b = hardness + rng.normal(size=400) * 0.01
    low, high = difference_interval(hardness + 0.1, b, **INTERVAL)
    assert 0.098 < low < 0.1 < high < 0.102
    mirrored = difference_interval(b, hardness + 0.1, **INTERVAL)
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)


def test_identical_systems_have_p_one():
    a = np.random.default_rng(5).random(100)
    assert paired_test(a, a.copy(), permutations=999, seed=0) == 1.0


@pytest.mark.parametrize("difference", [[0.3, 0.1, 0.2, -0.15, 0.4, 0.1, 0.05, -0.1], [0.1] * 7, [1, -1, 1, 1]])
def test_p_agrees_with_the_enumeration_of_all_signs(difference):
    difference = np.array(difference, dtype=float)
    signs = np.array(list(itertools.product((-1, 1), repeat=len(difference))))
    exact = np.mean(np.abs(signs @ difference) > abs(difference.sum()) - 1e-9)
    b = np.linspace(0, 1, len(difference))
    p = paired_test(b + difference, b, permutations=20_000, seed=0)
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-4)
    assert paired_test(b, b + difference, permutations=20_000, seed=0) == p


def test_smallest_p_is_one_over_permutations_plus_one():
    a = np.arange(1.0, 41.0)
    assert paired_test(a, -a, permutations=999, seed=0) == 1 / 1000


def test_p_is_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(6)
    p = np.array([paired_test(*rng.random((2, 40)), permutations=199, seed=s) for s in range(400)])
    for alpha in (0.05, 0.25, 0.5):
        assert np.mean(p <= alpha) == pytest.approx(alpha, abs=4 * np.sqrt(alpha * (1 - alpha) / 400))


def test_holm_by_hand():
    # m = 4: .005 * 4 = .02, .01 * 3 = .03, .03 * 2 = .06, .04 * 1 = .04 raised to .06.
    adjusted = holm({"d": 0.04, "a": 0.005, "c": 0.03, "b": 0.01})
    assert adjusted == pytest.approx({"a": 0.02, "b": 0.03, "c": 0.06, "d": 0.06})
    assert list(adjusted) == ["d", "a", "c", "b"]


def test_holm_lies_between_raw_and_bonferroni_and_keeps_the_order():
    rng = np.random.default_rng(7)
    for m in range(1, 12):
        p = {str(i): float(x) for i, x in enumerate(rng.random(m) ** 3)}
        adjusted = holm(p)
        assert all(p[i] <= adjusted[i] <= min(1.0, m * p[i]) for i in p)
        assert all(adjusted[i] <= adjusted[j] for i in p for j in p if p[i] <= p[j])


def test_holm_rejects_what_the_step_down_procedure_rejects():
    rng = np.random.default_rng(8)
    for _ in range(50):
        p = {str(i): float(x) for i, x in enumerate(rng.random(8) ** 4)}
        rejected = set()
        for step, name in enumerate(sorted(p, key=p.get)):
            if p[name] > 0.05 / (8 - step):
                break
            rejected.add(name)
        assert {name for name, value in holm(p).items() if value <= 0.05} == rejected


def test_holm_of_no_tests_is_empty():
    assert holm({}) == {}


@pytest.mark.parametrize("values", [[0.5], [], [[0.1, 0.2], [0.3, 0.4]]])
def test_values_must_be_a_vector_over_queries(values):
    with pytest.raises(UserError, match="2 or more queries"):
        bootstrap_interval(np.array(values), **INTERVAL)


def test_values_must_be_finite_and_paired():
    good = np.array([0.1, 0.2, 0.3])
    with pytest.raises(UserError, match="Query number 1 of 3 has the value nan"):
        paired_test(good, np.array([0.1, np.nan, 0.3]), permutations=10, seed=0)
    with pytest.raises(UserError, match="Cannot pair 3 queries with 2"):
        difference_interval(good, good[:2], **INTERVAL)


def test_the_interval_of_unpaired_values_adds_both_variances():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 2, size=3000), rng.normal(0, 1, size=500)
    low, high = unpaired_interval(a, b, confidence=0.95, resamples=2000, seed=0)
    half = 1.96 * np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    difference = a.mean() - b.mean()
    assert [low, high] == pytest.approx([difference - half, difference + half], abs=0.1 * half)


def test_unpaired_values_that_are_alike_do_not_narrow_the_interval():
    values = np.random.default_rng(0).random(40)
    low, high = unpaired_interval(values, values, **INTERVAL)
    assert low < -0.05 < 0.05 < high
    assert difference_interval(values, values, **INTERVAL) == (0, 0)


def test_unpaired_values_have_to_be_finite():
    with pytest.raises(UserError, match="Query number 1 of 2 has the value nan"):
        unpaired_interval([0.1, 0.2], [0.1, np.nan], **INTERVAL)
