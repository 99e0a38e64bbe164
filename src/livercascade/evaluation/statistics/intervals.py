"""Intervals: Wilson for proportions, cluster bootstrap over patients for everything that lesions share a patient in."""

from __future__ import annotations

import warnings
from typing import cast

import numpy as np
from jaxtyping import Float
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95
Interval = tuple[float, float]
Resamples = Float[np.ndarray, "resamples cases"]
"""Number of times that each patient was drawn in each resample; integers as float, for fast products."""


def wilson(part: int, whole: int) -> Interval | None:
    """95 % interval of a proportion (Wilson 1927); None if ``whole`` is 0.

    >>> [round(100 * end, 1) for end in wilson(68, 70)]
    [90.2, 99.2]
    """
    if whole == 0:
        return None
    # Wilson and not Wald: near 0 and 1, and with few patients, Wald's interval is too short or has no width.
    low, high = cast(tuple[float, float], proportion_confint(part, whole, alpha=1 - LEVEL, method="wilson"))
    # Rounding leaves ends such as 4e-19 where they are exactly 0 and 1.
    return float(low) if part else 0.0, float(high) if part < whole else 1.0


def draw_resamples(cases: int, resamples: int, rng: np.random.Generator) -> Resamples:
    """As many patients as there are, drawn with replacement ``resamples`` times.

    The same draws serve every model, so that models can be compared in pairs.
    """
    # Patients are drawn, not lesions: lesions of one patient are alike, and intervals over them would be too narrow.
    even = np.full(cases, 1 / cases)
    return rng.multinomial(cases, even, size=resamples).astype(np.float64)


def resampled_sums(resamples: Resamples, per_case: np.ndarray) -> np.ndarray:
    """Sums over the patients of each resample: ``[cases, ...]`` to ``[resamples, ...]``, as integers."""
    # One product of matrices: thousands of resamples of every table in a loop are slow.
    flat = per_case.reshape(len(per_case), -1).astype(np.float64)
    return np.rint(resamples @ flat).astype(np.int64).reshape(len(resamples), *per_case.shape[1:])


def percentile_interval(values: Float[np.ndarray, " resamples *rest"]) -> Float[np.ndarray, " *rest 2"]:
    """Central 95 % of the resamples in which the metric is defined; NaN if there is none."""
    # Percentile and not BCa: its acceleration has no value where all patients are alike, as in small strata.
    tail = (1 - LEVEL) / 2
    if not len(values):
        return np.full((*values.shape[1:], 2), np.nan)
    with warnings.catch_warnings():
        # A metric that is defined in no resample has no interval: NaN says so.
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.moveaxis(np.nanquantile(values, [tail, 1 - tail], axis=0), 0, -1)


def proportion_interval(ends: Float[np.ndarray, " 2"], part: int, whole: int) -> Interval | None:
    """Interval of a proportion of lesions: the bootstrap's, or Wilson's where all resamples agree and it has no width.

    A type with three lesions, all found, gives 100 % in every resample; that is not certainty.
    """
    if whole == 0:
        return None
    drawn = as_interval(ends)
    return wilson(part, whole) if drawn is None or drawn[0] == drawn[1] else drawn


def as_interval(ends: Float[np.ndarray, " 2"]) -> Interval | None:
    """Interval from its two ends; None if it is undefined."""
    low, high = (float(end) for end in ends)
    return None if np.isnan(low) or np.isnan(high) else (low, high)
