"""How sure the cascade is, before calibration: of one candidate, and that a patient has a malignant lesion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float

from livercascade.data.labels import LesionType

_LARGEST_MARGIN = 50.0
"""Margins are cut to this before exp: evidence holds infinite ones, and the odds are 0 or 1 long before."""


def malignant_share(label: LesionType, votes: Mapping[LesionType, float]) -> float:
    """Share of the votes for malignant types, 0 to 1; without votes 1 or 0 by the label.

    >>> malignant_share(LesionType.CYST, {LesionType.HCC: 30.0, LesionType.CYST: 10.0})
    0.75
    """
    total = sum(votes.values())
    if total <= 0:
        return float(label.malignant)
    return sum(n for t, n in votes.items() if t.malignant) / total


def lesion_confidence(margin: Float[np.ndarray, " n"]) -> float:
    """Confidence of UNet^whole in a lesion, 0 to 1, from the margins of its voxels in the `SensitivityMap`.

    The mean of P(best lesion) / (P(best lesion) + P(best other)) over the voxels.
    """
    clipped = np.clip(margin.astype(np.float64), -_LARGEST_MARGIN, _LARGEST_MARGIN)
    return float((1 / (1 + np.exp(clipped))).mean())


def blend(probability: float, share: float | None) -> float:
    """Geometric mean of UNet^whole's probability and the share that UNet^patch confirms (1 if it was not judged).

    >>> blend(0.25, 1.0), blend(0.25, None)
    (0.5, 0.5)
    """
    return math.sqrt(probability * (1.0 if share is None else min(max(share, 0.0), 1.0)))


def malignancy_score(candidates: Iterable[tuple[float, float]]) -> float:
    """Largest product of confidence and malignant share, 0 to 1; 0 without any candidate.

    Given all candidates, removed ones too, it still separates the patients who nearly had a malignant lesion: the
    verdict looks only at lesions that stay. Probabilities and abstention need that.

    Args:
        candidates: Confidence of each candidate that it is a lesion, and its `malignant_share`; both 0 to 1.

    >>> malignancy_score([(0.9, malignant_share(LesionType.CYST, {})), (0.5, 0.8)])
    0.4
    """
    return max((confidence * share for confidence, share in candidates), default=0.0)
