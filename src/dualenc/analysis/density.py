"""Smoothed histograms over queries, with bands that show how they would differ for other queries."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

BINS = 512  # of a histogram before it is smoothed; fine against any sensible bandwidth


def places(values: ArrayLike, bandwidth: float) -> np.ndarray:
    """Evenly spaced places (G,) around all ``values``, with three times ``bandwidth`` to spare on either side."""
    values = np.asarray(values)
    return np.linspace(values.min() - 3 * bandwidth, values.max() + 3 * bandwidth, BINS)


def smoothed(
    values: ArrayLike,
    qids: ArrayLike,
    x: np.ndarray,
    bandwidth: float,
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """The density of ``values`` (N,) at the `places` ``x``, a line for each: x, density, and its interval low to high.

    It is the mean over queries of each query's histogram, convolved with a Gaussian whose standard deviation is
    ``bandwidth``: queries count alike, as they do in measures. The interval at each place is a percentile bootstrap
    over queries, as the values of one query are not independent. ``qids`` (N,) says whose each value is.
    """
    queries, row = np.unique(np.asarray(qids), return_inverse=True)
    step = x[1] - x[0]
    column = np.clip(np.rint((np.asarray(values) - x[0]) / step).astype(int), 0, len(x) - 1)
    counts = np.bincount(row * len(x) + column, minlength=len(queries) * len(x)).reshape(len(queries), len(x))
    kernel = np.exp(-0.5 * ((x[:, None] - x) / bandwidth) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True) * step
    densities = counts / counts.sum(axis=1, keepdims=True) @ kernel
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(queries), np.full(len(queries), 1 / len(queries)), size=resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn @ densities / len(queries), [tail, 1 - tail], axis=0)
    return pd.DataFrame({"x": x, "density": densities.mean(axis=0), "low": low, "high": high})
