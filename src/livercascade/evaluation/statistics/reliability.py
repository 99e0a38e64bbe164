"""How well a score says how many are true: of malignancy for patients, of a true lesion for proposals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from pydantic import NonNegativeInt, PositiveInt

from livercascade.data.record import Fraction, Record
from livercascade.evaluation.statistics.intervals import Interval, wilson

BINS = 10


class ReliabilityBin(Record):
    """Patients, or proposals, of like score: how many, how many of them are malignant, or true."""

    patients: PositiveInt
    mean_score: Fraction
    malignant: NonNegativeInt
    share: Fraction
    interval: Interval


class Reliability(Record):
    """Agreement of a score with the share that is true; bins of equal mass, lowest score first.

    Cases of one score share a bin. ``ece``, the expected calibration error, is the mean distance of score and share,
    weighted by cases; ``brier`` the mean squared distance of score and truth.
    """

    ece: Fraction
    brier: Fraction
    bins: tuple[ReliabilityBin, ...]

    @classmethod
    def of(cls, score: Float[np.ndarray, " n"], true: Bool[np.ndarray, " n"]) -> Reliability | None:
        """Reliability of a score between 0 and 1; None without cases."""
        if not len(score):
            return None
        # Equal mass: scores crowd near 0 and 1, and bins of equal width would be empty in between. ``higher`` takes
        # edges from the scores themselves, so that equal scores never fall into two bins.
        edges = np.unique(np.quantile(score, np.linspace(0, 1, BINS + 1), method="higher"))
        number = np.searchsorted(edges, score, side="left")
        bins = tuple(_bin(score[number == k], true[number == k]) for k in np.unique(number))
        ece = sum(b.patients * abs(b.mean_score - b.malignant / b.patients) for b in bins) / len(score)
        return cls(ece=float(ece), brier=float(np.mean((score - true) ** 2)), bins=bins)

    def curve_json(self) -> dict[str, object]:
        """Values of the entry in the curves of ``tables.json``, whose bins have names of their own."""
        bins = [
            {"patients": b.patients, "score": b.mean_score, "malignant": b.malignant, "interval": list(b.interval)}
            for b in self.bins
        ]
        return {"bins": bins, "ece": self.ece, "brier": self.brier}


def _bin(score: Float[np.ndarray, " n"], true: Bool[np.ndarray, " n"]) -> ReliabilityBin:
    hits = int(true.sum())
    return ReliabilityBin(
        patients=len(score),
        mean_score=float(score.mean()),
        malignant=hits,
        share=hits / len(score),
        interval=wilson(hits, len(score)) or (0.0, 1.0),
    )
