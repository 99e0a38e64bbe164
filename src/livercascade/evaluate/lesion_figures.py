"""Lesion figures from a confusion table, by the formulas that reproduce the paper's tables (Tables II, III, V)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from livercascade.data.labels import LESION_TYPES

ALL, MALIGN = "All", "Malign"
ROWS: tuple[str, ...] = (*(t.title for t in LESION_TYPES), ALL, MALIGN)
"""Rows of every lesion table: the six types, all lesions, malignant lesions."""
_MALIGNANT = np.array([t.malignant for t in LESION_TYPES])

Counts = Int[np.ndarray, "*batch 8"]
Shares = Float[np.ndarray, "*batch 8"]


@dataclass(frozen=True, slots=True, eq=False)
class LesionFigures:
    """Counts and proportions for every entry of `ROWS`; undefined proportions are NaN.

    The types and All follow one rule. In the row Malign a malignant lesion called by another malignant type is TP, FL
    is a malignant lesion called benign, and FL_pred a benign one called malignant. The paper's precision of that row
    leaves FL_pred out; `precision_corrected` counts it.

    Attributes:
        tp: Right place, right type.
        fl: Right place, wrong type, by true type: the paper's FL.
        fl_pred: The same, by found type; the paper never prints it.
        fn: Missed, by true type.
        fp: Found where there is none, by found type.
    """

    tp: Counts
    fl: Counts
    fl_pred: Counts
    fn: Counts
    fp: Counts

    @classmethod
    def of(cls, confusion: Int[np.ndarray, "*batch 7 7"]) -> LesionFigures:
        """Figures of tables with true types in rows (6 spurious) and found types in columns (6 missed)."""
        typed = confusion[..., :6, :6]
        right = np.diagonal(typed, axis1=-2, axis2=-1)
        fl, fl_pred = typed.sum(axis=-1) - right, typed.sum(axis=-2) - right
        fn, fp = confusion[..., :6, 6], confusion[..., 6, :6]
        m = _MALIGNANT
        malign = typed[..., m, :]
        return cls(
            _rows(right, malign[..., m].sum(axis=(-2, -1))),
            _rows(fl, malign[..., ~m].sum(axis=(-2, -1))),
            _rows(fl_pred, typed[..., ~m, :][..., m].sum(axis=(-2, -1))),
            _rows(fn, fn[..., m].sum(axis=-1)),
            _rows(fp, fp[..., m].sum(axis=-1)),
        )

    @property
    def recall(self) -> Shares:
        """TP / (TP + FN + FL)."""
        return ratio(self.tp, self.tp + self.fn + self.fl)

    @property
    def recall_rough(self) -> Shares:
        """(TP + FL) / (TP + FN + FL): found, whatever the type."""
        return ratio(self.tp + self.fl, self.tp + self.fn + self.fl)

    @property
    def precision_denominator(self) -> Counts:
        """What the paper's precision divides by: FL_pred is left out in the row Malign."""
        total = self.tp + self.fp + self.fl_pred
        total[..., -1] -= self.fl_pred[..., -1]
        return total

    @property
    def precision(self) -> Shares:
        """TP / (TP + FP + FL_pred); Malign: TP / (TP + FP), as the paper has it."""
        return ratio(self.tp, self.precision_denominator)

    @property
    def precision_corrected(self) -> Shares:
        """TP / (TP + FP + FL_pred) in every row: benign lesions called malignant count against Malign."""
        return ratio(self.tp, self.tp + self.fp + self.fl_pred)

    @property
    def precision_rough(self) -> Shares:
        """(TP + FL_pred) / (TP + FP + FL_pred): found where there is a lesion, whatever the type."""
        return ratio(self.tp + self.fl_pred, self.tp + self.fp + self.fl_pred)

    @property
    def f1(self) -> Shares:
        """Harmonic mean of `precision_corrected` and `recall`; undefined if either is or both are 0."""
        one, two = self.precision_corrected, self.recall
        return ratio(2 * one * two, one + two)

    @property
    def type_accuracy(self) -> Shares:
        """TP / (TP + FL): the right type among those found."""
        return ratio(self.tp, self.tp + self.fl)


def ratio(part: ArrayLike, whole: ArrayLike) -> np.ndarray:
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
