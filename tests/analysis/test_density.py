"""Smoothed histograms, against scipy's kernel density estimate and against what resampling must do."""

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from dualenc.analysis.density import places, smoothed

BOOTSTRAP = {"confidence": 0.95, "resamples": 400, "seed": 3}


def drawn(count):
    return np.random.default_rng(0).normal(size=count) ** 3


def test_it_is_a_kernel_density_estimate_with_the_stated_bandwidth():
    values = drawn(300)
    bandwidth = 0.03 * np.ptp(values)
    x = places(values, bandwidth)
    found = smoothed(values, np.arange(300), x, bandwidth, **BOOTSTRAP)
    expected = gaussian_kde(values, bw_method=bandwidth / values.std(ddof=1))(x)
    assert found.density.to_numpy() == pytest.approx(expected, abs=0.01 * expected.max())
    assert list(found.x) == list(x)


def test_it_integrates_to_1():
    values = drawn(50)
    found = smoothed(values, np.arange(50) // 5, places(values, 0.3), 0.3, **BOOTSTRAP)
    assert np.trapezoid(found.density, found.x) == pytest.approx(1, abs=1e-3)


def test_queries_count_alike_however_many_values_they_have():
    values = np.append(np.zeros(999), 10.0)
    found = smoothed(values, ["many"] * 999 + ["one"], places(values, 0.5), 0.5, **BOOTSTRAP)
    left = found[found.x < 5]
    assert np.trapezoid(left.density, left.x) == pytest.approx(0.5, abs=0.01)


def test_the_band_holds_the_density_and_narrows_with_more_queries():
    widths = []
    for count in (50, 800):
        values = drawn(count)
        found = smoothed(values, np.arange(count), places(drawn(800), 0.5), 0.5, **BOOTSTRAP)
        peak = found.loc[found.density.idxmax()]
        assert peak.low < peak.density < peak.high
        widths.append(peak.high - peak.low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.3)  # the root of 16


def test_values_of_one_query_are_resampled_together():
    """Copies of a query's value are no new evidence: the band stays as wide."""
    values = drawn(60)
    x = places(values, 0.5)
    once = smoothed(values, np.arange(60), x, 0.5, **BOOTSTRAP)
    ten_times = smoothed(values.repeat(10), np.arange(60).repeat(10), x, 0.5, **BOOTSTRAP)
    assert ten_times.to_numpy() == pytest.approx(once.to_numpy())
