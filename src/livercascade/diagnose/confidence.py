"""How sure the cascade is, before calibration: of one candidate, and that a patient has a malignant lesion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from livercascade.data.labels import LESION_TYPES, LesionType

_LARGEST_MARGIN = 50.0


@dataclass(frozen=True, slots=True)
class Suspect:
    """One candidate as probabilities see it.

    Attributes:
        label: Its type.
        confidence: See `blend`.
        votes: Voxels that UNet^patch gave each type, in label order; none if it was not judged.
    """

    label: LesionType
    confidence: float
    votes: Sequence[float] = ()

    @property
    def p_malignant(self) -> float:
        """Share of the votes for malignant types; without votes 1 or 0 by the label."""
        total = sum(self.votes)
        if total <= 0:
            return float(self.label.malignant)
        return sum(n for t, n in zip(LESION_TYPES, self.votes, strict=True) if t.malignant) / total


def whole_probability(margin: Float[np.ndarray, " n"]) -> float:
    """Mean over voxels of P(best lesion) / (P(best lesion) + P(best other)), from the `SensitivityMap`'s margin."""
    clipped = np.clip(margin.astype(np.float64), -_LARGEST_MARGIN, _LARGEST_MARGIN)
    return float((1 / (1 + np.exp(clipped))).mean())


def blend(probability: float, share: float | None) -> float:
    """Geometric mean of UNet^whole's probability and the share that UNet^patch confirms (1 if it was not judged).

    >>> blend(0.25, 1.0), blend(0.25, None)
    (0.5, 0.5)
    """
    return math.sqrt(probability * (1.0 if share is None else min(max(share, 0.0), 1.0)))


def suspicion(candidates: Iterable[Suspect]) -> float:
    """Largest product of confidence and malignant share over all candidates, removed ones too; 0 without any.

    The verdict looks at lesions that stay and are called malignant; among patients without one, this score still tells
    those apart who nearly had one, which probabilities and abstention need.

    >>> suspicion([Suspect(LesionType.CYST, 0.9)])
    0.0
    """
    return max((s.confidence * s.p_malignant for s in candidates), default=0.0)
