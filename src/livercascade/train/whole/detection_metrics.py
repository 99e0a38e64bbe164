"""How good a network in training is on held-out patients: lesions found, false findings, types, and one score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import UInt8

from livercascade.data.grid import Triple
from livercascade.data.labels import FIRST_LESION, LAST_LESION
from livercascade.detect.liver import liver_with_content
from livercascade.detect.match import Counting, Match, Outcome, match
from livercascade.detect.seg2det import seg2det

MIN_VOLUME_ML = 0.5
"""Smaller lesions are neither asked for nor counted (paper, Sec. IV)."""
SCORE = "score"


@dataclass(slots=True)
class Counts:
    """Lesions of some patients: found with or without the right type, missed, and false findings."""

    found: int = 0
    typed: int = 0
    missed: int = 0
    false: int = 0

    @property
    def recall(self) -> float:
        """Share of the lesions that were found; 1 if there is none."""
        return _ratio(self.found, self.found + self.missed)

    @property
    def f_found(self) -> float:
        """F1 of finding a lesion, whatever its type; 1 with nothing to find and nothing found."""
        return _ratio(2 * self.found, 2 * self.found + self.missed + self.false)

    @property
    def f_typed(self) -> float:
        """F1 of finding a lesion with its type: one of another type is missed and false at once."""
        wrong = self.found - self.typed
        return _ratio(2 * self.typed, 2 * self.typed + self.missed + self.false + 2 * wrong)


@dataclass(slots=True)
class Tally:
    """What UNet^whole made of some held-out patients.

    Attributes:
        patients: How many.
        low, high: Counts at f = 1 and f = 4.
        overlaps: Common, predicted and true voxels of lesions and of the liver with its content, at f = 1.
    """

    patients: int = 0
    low: Counts = field(default_factory=Counts)
    high: Counts = field(default_factory=Counts)
    overlaps: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])

    def add(
        self,
        truth: UInt8[np.ndarray, "z y x"],
        low: UInt8[np.ndarray, "z y x"],
        high: UInt8[np.ndarray, "z y x"],
        spacing: Triple,
    ) -> None:
        """Counts one patient: labels of the truth, and of the network at f = 1 and f = 4."""
        self.patients += 1
        for counts, labels in ((self.low, low), (self.high, high)):
            _count(counts, truth, labels, spacing)
        for name, member in (("lesion", _lesion), ("liver", liver_with_content)):
            a, b = member(low), member(truth)
            new = np.array([np.count_nonzero(a & b), np.count_nonzero(a), np.count_nonzero(b)], dtype=np.float64)
            self.overlaps[name] = self.overlaps.get(name, np.zeros(3)) + new

    def scores(self) -> dict[str, float]:
        """Figures of all patients together; `SCORE` is the mean of F1 found, F1 typed and the Dice of all lesions.

        The first says which lesions are found and what else is, the second adds the type, the third is smooth where a
        few patients let the first two jump.
        """
        dice = {f"dice_{name}": _ratio(2 * c, p + t) for name, (c, p, t) in self.overlaps.items()}
        patients = max(self.patients, 1)
        typed = {"type_accuracy": self.low.typed / self.low.found} if self.low.found else {}
        return {
            SCORE: (self.low.f_found + self.low.f_typed + dice.get("dice_lesion", 0.0)) / 3,
            "recall": self.low.recall,
            "false_per_patient": self.low.false / patients,
            "recall_f4": self.high.recall,
            "false_per_patient_f4": self.high.false / patients,
            **typed,
            **dice,
        }


def _count(
    counts: Counts, truth: UInt8[np.ndarray, "z y x"], labels: UInt8[np.ndarray, "z y x"], spacing: Triple
) -> None:
    everything = seg2det(truth, spacing, min_volume_ml=0.0)
    found = seg2det(labels, spacing, min_volume_ml=MIN_VOLUME_ML)
    result: Match = match(everything, found, counting=Counting.GT)
    for lesion, outcome in zip(everything, result.truth_outcomes, strict=True):
        if lesion.volume_ml >= MIN_VOLUME_ML * (1 - 1e-9):
            counts.found += outcome is not Outcome.FN
            counts.typed += outcome is Outcome.TP
            counts.missed += outcome is Outcome.FN
    counts.false += sum(outcome is Outcome.FP for outcome in result.found_outcomes)


def _lesion(labels: UInt8[np.ndarray, "z y x"]) -> Any:
    return (labels >= FIRST_LESION) & (labels <= LAST_LESION)


def _ratio(part: float | int, whole: float | int) -> float:
    return float(part / whole) if whole > 0 else 1.0
