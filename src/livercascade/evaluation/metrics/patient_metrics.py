"""Patient metrics from reference and predicted classes (paper, Table IV, Fig. 10), with UNCERTAIN restated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from livercascade.evaluation.metrics.lesion_metrics import ratio
from livercascade.evaluation.metrics.model_counts import CLASSES, UNCERTAIN

Count = Int[np.ndarray, "*batch"] | np.integer
Share = Float[np.ndarray, "*batch"] | np.floating
PREVALENCES = (0.01, 0.03, 0.10, 0.30)
"""Shares of malignant patients at which predictive values are told: screening to referral."""
GROUPS = ("malignant", "benign", "normal")
_MALIGNANT = np.array([c.malignant for c in CLASSES])
_OF_GROUP = {g: np.array([c.group == g for c in CLASSES]) for g in GROUPS}


@dataclass(frozen=True, slots=True, eq=False)
class PatientMetrics:
    """Metrics of tables ``[..., 7, 8]``: reference class in rows, predicted in columns, the last column UNCERTAIN.

    Unless said otherwise they hold for the decided patients alone, as the paper's do. Undefined metrics are NaN.

    Attributes:
        table: The table.
    """

    table: Int[np.ndarray, "*batch 7 8"]

    @property
    def _decided(self) -> Int[np.ndarray, "*batch 7 7"]:
        return self.table[..., :UNCERTAIN]

    @property
    def right(self) -> Count:
        """Decided patients with the right class of seven."""
        return np.trace(self._decided, axis1=-2, axis2=-1)

    @property
    def decided(self) -> Count:
        """Decided patients."""
        return self._decided.sum(axis=(-2, -1))

    @property
    def true_positive(self) -> Count:
        """Malignant patients called malignant."""
        return self._decided[..., _MALIGNANT, :][..., _MALIGNANT].sum(axis=(-2, -1))

    @property
    def true_negative(self) -> Count:
        """Other patients not called malignant."""
        return self._decided[..., ~_MALIGNANT, :][..., ~_MALIGNANT].sum(axis=(-2, -1))

    @property
    def malignant(self) -> Count:
        """Decided malignant patients."""
        return self._decided[..., _MALIGNANT, :].sum(axis=(-2, -1))

    @property
    def other(self) -> Count:
        """Decided patients that are not malignant."""
        return self._decided[..., ~_MALIGNANT, :].sum(axis=(-2, -1))

    @property
    def uncertain_malignant(self) -> Count:
        """Malignant patients left UNCERTAIN."""
        return self.table[..., _MALIGNANT, UNCERTAIN].sum(axis=-1)

    @property
    def uncertain_other(self) -> Count:
        """Other patients left UNCERTAIN."""
        return self.table[..., ~_MALIGNANT, UNCERTAIN].sum(axis=-1)

    @property
    def accuracy(self) -> Share:
        """Share with the right class of seven (paper, Sec. III-C)."""
        return ratio(self.right, self.decided)

    @property
    def balanced_accuracy(self) -> Share:
        """Mean recall over the classes that occur in the reference."""
        # A class without patients has no recall; counted as 0 it would punish every model alike.
        recall = ratio(np.diagonal(self._decided, axis1=-2, axis2=-1), self._decided.sum(axis=-1))
        return ratio(np.nansum(recall, axis=-1), (~np.isnan(recall)).sum(axis=-1))

    @property
    def macro_f1(self) -> Share:
        """Mean F1 over the classes that occur in the reference or the prediction."""
        right = np.diagonal(self._decided, axis1=-2, axis2=-1)
        f1 = ratio(2 * right, self._decided.sum(axis=-1) + self._decided.sum(axis=-2))
        return ratio(np.nansum(f1, axis=-1), (~np.isnan(f1)).sum(axis=-1))

    @property
    def sensitivity(self) -> Share:
        """Share of malignant patients called malignant (paper, Table IV)."""
        return ratio(self.true_positive, self.malignant)

    @property
    def specificity(self) -> Share:
        """Share of other patients not called malignant (paper, Table IV)."""
        return ratio(self.true_negative, self.other)

    def predictive_values(self, prevalence: float) -> tuple[Share, Share]:
        """Positive and negative predictive value where this share of the patients is malignant (Bayes)."""
        return predictive_values(self.sensitivity, self.specificity, prevalence)

    @property
    def distribution(self) -> Int[np.ndarray, "*batch 3 4"]:
        """Patients by true group (rows) and malignant, benign, normal, UNCERTAIN (columns) (paper, Fig. 10)."""
        by_true = np.stack([self.table[..., _OF_GROUP[g], :].sum(axis=-2) for g in GROUPS], axis=-2)
        columns = [by_true[..., :UNCERTAIN][..., _OF_GROUP[g]].sum(axis=-1) for g in GROUPS]
        return np.stack([*columns, by_true[..., UNCERTAIN]], axis=-1)


def predictive_values(
    sensitivity: Share | float, specificity: Share | float, prevalence: float
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """Positive and negative predictive value by Bayes; NaN where nobody would be called so."""
    # By Bayes, not by counting: a study has more malignant patients than a clinic, and counts would hold for it alone.
    hit, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    missed, right = (1 - sensitivity) * prevalence, specificity * (1 - prevalence)
    return ratio(hit, hit + false), ratio(right, right + missed)
