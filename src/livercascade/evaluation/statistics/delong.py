"""Area under the ROC curve with the variance of DeLong (1988), for one score or for two on the same patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import norm, rankdata

from livercascade.evaluation.statistics.intervals import LEVEL, Interval


@dataclass(frozen=True, slots=True, eq=False)
class Auroc:
    """Areas of one or more scores of the same patients.

    Attributes:
        areas: Area for each score.
        covariance: Covariance of the areas (DeLong).
    """

    areas: Float[np.ndarray, " scores"]
    covariance: Float[np.ndarray, "scores scores"]

    def interval(self, score: int = 0) -> Interval | None:
        """95 % interval of one area; None where the variance is 0, as with perfect separation."""
        variance = float(self.covariance[score, score])
        if not variance > 0:
            return None
        # Normal on the scale of the area; cut, since it may pass 1 there.
        half = float(norm.ppf((1 + LEVEL) / 2)) * variance**0.5
        area = float(self.areas[score])
        return max(area - half, 0.0), min(area + half, 1.0)

    def p_equal(self) -> float | None:
        """Two-sided p-value of equal areas of the first two scores; None where the difference has no variance."""
        # The covariance counts: scores of the same patients rise and fall together.
        contrast = np.array([1.0, -1.0])
        variance = float(contrast @ self.covariance[:2, :2] @ contrast)
        if not variance > 0:
            return None
        return float(2 * norm.sf(abs(self.areas[0] - self.areas[1]) / variance**0.5))


def delong(scores: Float[np.ndarray, "scores patients"], positive: Bool[np.ndarray, " patients"]) -> Auroc | None:
    """Areas under the ROC curve and their covariance, by midranks (Sun and Xu 2014).

    Args:
        scores: Higher means more likely positive.
        positive: True for the patients who are.

    Returns:
        None if there are no positive or no negative patients.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return None
    hits, others = scores[:, positive], scores[:, ~positive]
    # Midranks: ties count half, as in the Mann-Whitney statistic, and time is n log n instead of m times n.
    whole = rankdata(np.concatenate([hits, others], axis=1), axis=1)
    above = (whole[:, :m] - rankdata(hits, axis=1)) / n
    below = 1 - (whole[:, m:] - rankdata(others, axis=1)) / m
    return Auroc(above.mean(axis=1), _covariance(above) / m + _covariance(below) / n)


def _covariance(parts: Float[np.ndarray, "scores patients"]) -> Float[np.ndarray, "scores scores"]:
    # One patient of a kind shows no spread; the variance then is that of the other kind alone.
    if parts.shape[1] < 2:
        return np.zeros((len(parts), len(parts)))
    return np.atleast_2d(np.cov(parts))
