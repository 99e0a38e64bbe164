"""Lesion metrics from a confusion table, by the formulas that reproduce the paper's tables (Tables II, III, V)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from livercascade.data.labels import LESION_TYPES

ALL, MALIGN = "All", "Malign"
ROWS: tuple[str, ...] = (*(t.title for t in LESION_TYPES), ALL, MALIGN)
"""Rows of every lesion table: the six types, all lesions, malignant lesions."""
_MALIGNANT = np.array([t.malignant for t in LESION_TYPES])


class Proportion(StrEnum):
    """A share of lesions; the value is its name in ``tables.json``."""

    PRECISION = "precision"
    """TP / (TP + FP + FL_pred); Malign: TP / (TP + FP), as the paper has it."""
    RECALL = "recall"
    """TP / (TP + FN + FL)."""
    RECALL_ROUGH = "recall_rough"
    """(TP + FL) / (TP + FN + FL): found, whatever the type."""
    PRECISION_ROUGH = "precision_rough"
    """(TP + FL_pred) / (TP + FP + FL_pred): found where there is a lesion, whatever the type."""
    TYPE_ACCURACY = "type_accuracy"
    """TP / (TP + FL): the right type among those found."""
    PRECISION_CORRECTED = "precision_corrected"
    """TP / (TP + FP + FL_pred) in every row: benign lesions called malignant count against Malign."""


Counts = Int[np.ndarray, "*batch 8"]
Shares = Float[np.ndarray, "*batch 8"]


@dataclass(frozen=True, slots=True, eq=False)
class LesionMetrics:
    """Counts and proportions for every entry of `ROWS`; undefined proportions are NaN.

    The types and All follow one rule. In the row Malign a malignant lesion called by another malignant type is TP, FL
    is a malignant lesion called benign, and FL_pred a benign one called malignant. The paper's precision of that row
    leaves FL_pred out; `Proportion.PRECISION_CORRECTED` counts it.

    Attributes:
        tp: Right place, right type.
        fl: Right place, wrong type, by true type: the paper's FL.
        fl_pred: The same, by predicted type; the paper never prints it.
        fn: Missed, by true type.
        fp: Predicted where there is none, by predicted type.
    """

    tp: Counts
    fl: Counts
    fl_pred: Counts
    fn: Counts
    fp: Counts

    @classmethod
    def of(cls, confusion: Int[np.ndarray, "*batch 7 7"]) -> LesionMetrics:
        """Metrics of tables with reference types in rows (6 spurious) and predicted types in columns (6 missed)."""
        typed = confusion[..., :6, :6]
        right = np.diagonal(typed, axis1=-2, axis2=-1)
        fl, fl_pred = typed.sum(axis=-1) - right, typed.sum(axis=-2) - right
        fn, fp = confusion[..., :6, 6], confusion[..., 6, :6]
        m = _MALIGNANT
        # From the table of single types: another malignant type is FL for the type but right for Malign.
        malign = typed[..., m, :]
        return cls(
            _rows(right, malign[..., m].sum(axis=(-2, -1))),
            _rows(fl, malign[..., ~m].sum(axis=(-2, -1))),
            _rows(fl_pred, typed[..., ~m, :][..., m].sum(axis=(-2, -1))),
            _rows(fn, fn[..., m].sum(axis=-1)),
            _rows(fp, fp[..., m].sum(axis=-1)),
        )

    def parts(self, proportion: Proportion) -> tuple[Counts, Counts]:
        """Numerator and denominator of a proportion."""
        reference, predicted = self.tp + self.fn + self.fl, self.tp + self.fp + self.fl_pred
        if proportion is Proportion.PRECISION:
            # The paper's row Malign leaves benign lesions called malignant out; only so its numbers come out.
            predicted[..., -1] -= self.fl_pred[..., -1]
        return {
            Proportion.RECALL: (self.tp, reference),
            Proportion.RECALL_ROUGH: (self.tp + self.fl, reference),
            Proportion.PRECISION: (self.tp, predicted),
            Proportion.PRECISION_CORRECTED: (self.tp, predicted),
            Proportion.PRECISION_ROUGH: (self.tp + self.fl_pred, predicted),
            Proportion.TYPE_ACCURACY: (self.tp, self.tp + self.fl),
        }[proportion]

    def share(self, proportion: Proportion) -> Shares:
        """A proportion in every row, NaN where there is nothing to divide by."""
        return ratio(*self.parts(proportion))

    @property
    def f1(self) -> Shares:
        """2 TP / (2 TP + FN + FL + FP + FL_pred): harmonic mean of recall and precision (Malign: corrected)."""
        return ratio(2 * self.tp, 2 * self.tp + self.fn + self.fl + self.fp + self.fl_pred)


def ratio(part: ArrayLike | float, whole: ArrayLike | float) -> np.ndarray:
    """Quotient, NaN where the divisor is 0.

    >>> ratio(np.array([1, 0]), np.array([4, 0])).tolist()
    [0.25, nan]
    """
    divisor = np.asarray(whole, dtype=np.float64)
    empty = np.full(np.broadcast_shapes(np.shape(part), divisor.shape), np.nan)
    return np.divide(np.asarray(part, dtype=np.float64), divisor, out=empty, where=divisor != 0)


def _rows(by_type: Int[np.ndarray, "*batch 6"], malign: Int[np.ndarray, "*batch"] | np.integer) -> Counts:
    total = by_type.sum(axis=-1)[..., None]
    return np.concatenate([by_type, total, np.asarray(malign)[..., None]], axis=-1)
