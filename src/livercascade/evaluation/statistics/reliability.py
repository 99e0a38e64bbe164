"""How well a score of malignancy says how many patients are malignant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from livercascade.evaluation.statistics.intervals import Interval, wilson

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Patients of like score.

    Attributes:
        patients: How many.
        score: Their mean score.
        malignant: How many of them are malignant.
        interval: 95 % interval (Wilson) of that share.
    """

    patients: int
    score: float
    malignant: int
    interval: Interval


@dataclass(frozen=True, slots=True)
class ReliabilityCurve:
    """Agreement of scores with shares.

    Attributes:
        bins: Patients in bins of equal mass, lowest score first; patients of one score share a bin.
        ece: Expected calibration error: mean distance of score and share, weighted by patients.
        brier: Mean squared distance of score and truth.
    """

    bins: tuple[ReliabilityBin, ...]
    ece: float
    brier: float


def reliability(
    score: Float[np.ndarray, " patients"], malignant: Bool[np.ndarray, " patients"]
) -> ReliabilityCurve | None:
    """Reliability of a score between 0 and 1; None without patients."""
    if not len(score):
        return None
    edges = np.unique(np.quantile(score, np.linspace(0, 1, BINS + 1), method="higher"))
    number = np.searchsorted(edges, score, side="left")
    groups = [number == k for k in np.unique(number)]
    bins = tuple(_bin(score[g], malignant[g]) for g in groups)
    ece = sum(b.patients * abs(b.score - b.malignant / b.patients) for b in bins) / len(score)
    return ReliabilityCurve(bins, float(ece), float(np.mean((score - malignant) ** 2)))


def _bin(score: Float[np.ndarray, " n"], malignant: Bool[np.ndarray, " n"]) -> ReliabilityBin:
    hits = int(malignant.sum())
    return ReliabilityBin(len(score), float(score.mean()), hits, wilson(hits, len(score)) or (0.0, 1.0))
