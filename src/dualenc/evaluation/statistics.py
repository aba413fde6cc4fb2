"""How sure a mean over queries is: confidence intervals, paired tests, and the correction for many tests.

Queries are the unit that is resampled everywhere. When a system was trained with several seeds, average its
(seeds, queries) values over the seeds first: the interval then covers other queries, not other seeds, and the spread
over seeds is reported next to it.
"""

import numpy as np
from numpy.typing import ArrayLike

from dualenc.runtime.errors import UserError

# Resampled values held in memory at once; it does not affect the results.
BLOCK = 1 << 20


def bootstrap_interval(values: ArrayLike, *, confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of the mean of ``values`` (queries,).

    ``confidence`` is a fraction such as 0.95. Raises `UserError` for fewer than two queries and for values
    that are not finite. Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    from scipy.stats import bootstrap  # takes a second to import, which most commands do not need

    values = _checked(values)
    interval = bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, BLOCK // len(values)),
        confidence_level=confidence,
        method="percentile",
        rng=seed,
    ).confidence_interval
    return float(interval.low), float(interval.high)


def difference_interval(
    a: ArrayLike, b: ArrayLike, *, confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Paired percentile bootstrap interval (low, high) of mean(a) - mean(b).

    ``a`` and ``b`` (queries,) hold two systems' values for the same queries in the same order. Raises
    `UserError` as `bootstrap_interval` does, and for unequal lengths.
    """
    return bootstrap_interval(_paired(a, b), confidence=confidence, resamples=resamples, seed=seed)


def unpaired_interval(
    a: ArrayLike, b: ArrayLike, *, confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of mean(a) - mean(b), values of different queries.

    The queries of ``a`` (N,) and of ``b`` (M,) are resampled independently. Raises `UserError` as
    `bootstrap_interval` does.
    """
    from scipy.stats import bootstrap  # takes a second to import, which most commands do not need

    a, b = _checked(a), _checked(b)
    interval = bootstrap(
        (a, b),
        lambda one, other, axis: one.mean(axis=axis) - other.mean(axis=axis),
        n_resamples=resamples,
        batch=max(1, BLOCK // max(len(a), len(b))),
        confidence_level=confidence,
        method="percentile",
        rng=seed,
    ).confidence_interval
    return float(interval.low), float(interval.high)


def paired_test(a: ArrayLike, b: ArrayLike, *, permutations: int, seed: int) -> float:
    """Two-sided p-value of the randomisation test of mean(a) = mean(b), for ``a`` and ``b`` (queries,).

    If the systems were exchangeable, each query's difference could as well have had the other sign. p is
    (1 + c) / (1 + permutations), where c random sign flips give a mean difference at least as large as the
    observed one. Raises `UserError` as `difference_interval` does. Source: Smucker, Allan and Carterette,
    A comparison of statistical significance tests for information retrieval evaluation (CIKM 2007).
    """
    difference = _paired(a, b)
    # Equal sums may differ in their last bits, as they are added up in a different order.
    observed = abs(difference.sum()) - 1e-12 * np.abs(difference).sum()
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // len(difference))
    as_large = 0
    for start in range(0, permutations, block):
        signs = generator.choice((-1.0, 1.0), size=(min(block, permutations - start), len(difference)))
        as_large += np.count_nonzero(np.abs(signs @ difference) >= observed)
    return float((1 + as_large) / (1 + permutations))


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Adjusted p-values of a family of tests, keyed and ordered as ``p_values``.

    Rejecting where the adjusted value is at most alpha keeps the chance of any false rejection in the family
    at most alpha. Source: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    adjusted = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.get)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _checked(values: ArrayLike) -> np.ndarray:
    """``values`` as a float64 vector, if it has two or more finite entries."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise UserError(
            f"Statistics need one value for each of 2 or more queries, but got values of shape {values.shape}; "
            "evaluate on more queries, and average over seeds first."
        )
    if not np.isfinite(values).all():
        at = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UserError(f"Query number {at} of {len(values)} has the value {values[at]}; evaluate it again.")
    return values


def _paired(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """The differences a - b (queries,), if both have the same number of queries."""
    a, b = _checked(a), _checked(b)
    if len(a) != len(b):
        raise UserError(f"Cannot pair {len(a)} queries with {len(b)}; compare systems on the same queries.")
    return a - b
