"""How sure the cascade is, before calibration: of one candidate, and that a patient has a malignant lesion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from livercascade.data.labels import LesionType

_LARGEST_MARGIN = 50.0


@runtime_checkable
class Scored(Protocol):
    """A candidate as scores of the patient see it."""

    @property
    def label(self) -> LesionType:
        """Its type."""
        ...

    @property
    def confidence(self) -> float:
        """Confidence that it is a lesion, 0 to 1."""
        ...

    @property
    def votes(self) -> Mapping[LesionType, float]:
        """Votes of UNet^patch for each type, in any unit; empty if it was not judged."""
        ...


@dataclass(frozen=True, slots=True)
class ScoredCandidate:
    """One candidate with its confidence; see `Scored`.

    Attributes:
        label: Type.
        confidence: Confidence by both networks, see `blend`.
        votes: Number of voxels that UNet^patch gave each type; empty if it was not judged.
    """

    label: LesionType
    confidence: float
    votes: Mapping[LesionType, float] = field(default_factory=dict[LesionType, float])


def malignant_share(label: LesionType, votes: Mapping[LesionType, float]) -> float:
    """Share of the votes for malignant types, 0 to 1; without votes 1 or 0 by the label.

    >>> malignant_share(LesionType.CYST, {LesionType.HCC: 30, LesionType.CYST: 10})
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


def malignancy_score(candidates: Iterable[Scored]) -> float:
    """Largest product of confidence and malignant share, 0 to 1; 0 without any candidate.

    Given all candidates, removed ones too, it still tells those patients apart who nearly had a malignant lesion: the
    verdict looks only at lesions that stay. Probabilities and abstention need that.

    >>> malignancy_score([ScoredCandidate(LesionType.CYST, 0.9)])
    0.0
    """
    return max((c.confidence * malignant_share(c.label, c.votes) for c in candidates), default=0.0)
