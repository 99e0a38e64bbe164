"""Abstention with a guarantee: split conformal prediction of malignancy, each class of patients on its own.

A probability alone promises nothing. Split conformal prediction (Vovk et al. 2005; label-conditional: Vovk 2012) takes
patients whose truth is known and were used for nothing else, and sets for each class the largest nonconformity score
at which it is still held possible. A patient gets the verdict only if exactly one class is possible.

The guarantee: among malignant patients drawn like the ``n`` malignant ones it was set on, at most ``alpha`` are
expected to lose "malignant" from what is possible, so at most ``alpha`` are called not malignant; and the same with
the classes exchanged. It needs no assumption on the model. It holds on average over such patients and such sets, not
for one patient, and not where patients come from elsewhere.
"""

from __future__ import annotations

import math
from enum import Enum

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeInt
from scipy.special import betaincinv

from livercascade.data.record import Record

_CONFIDENT = 0.95


class Decision(Enum):
    """What abstention leaves of the question whether a patient has a malignant lesion."""

    MALIGNANT = "malignant"
    NOT_MALIGNANT = "not malignant"
    UNCERTAIN = "UNCERTAIN"


class Abstention(Record):
    """Thresholds for one set of phases.

    Attributes:
        alpha: Error allowed in each class, above 0 and below 1.
        malignant: Largest ``1 - score`` at which a malignant patient is still possible; None if there were too few
            malignant patients to exclude any.
        other: Largest score at which a patient without malignant lesion is still possible; None likewise.
        n_malignant, n_other: Patients the thresholds rest on.
    """

    alpha: float = Field(gt=0, lt=1)
    malignant: float | None
    other: float | None
    n_malignant: NonNegativeInt
    n_other: NonNegativeInt

    @classmethod
    def fit(
        cls, score: Float[np.ndarray, " patients"], malignant: Bool[np.ndarray, " patients"], alpha: float
    ) -> Abstention:
        """Thresholds from patients that the score itself was not fitted to.

        Args:
            score: Malignancy score, 0 to 1, before calibration: so all patients that calibration is fitted to can
                be used here too. A calibrated probability rises with it and would decide the same.
            malignant: The truth.
            alpha: Error allowed in each class.

        Raises:
            ValueError: ``alpha`` is not between 0 and 1.
        """
        return cls(
            alpha=alpha,
            malignant=conformal_threshold(1 - score[malignant], alpha),
            other=conformal_threshold(score[~malignant], alpha),
            n_malignant=int(malignant.sum()),
            n_other=int((~malignant).sum()),
        )

    def possible(self, score: float) -> tuple[bool, bool]:
        """Whether a malignant patient, and one without malignant lesion, are possible."""
        return (
            self.malignant is None or 1 - score <= self.malignant,
            self.other is None or score <= self.other,
        )

    def decide(self, score: float) -> Decision:
        """The verdict if exactly one class is possible, else ``UNCERTAIN``.

        >>> made = Abstention(alpha=0.1, malignant=0.4, other=0.7, n_malignant=20, n_other=20)
        >>> [made.decide(p).value for p in (0.1, 0.65, 0.9)]
        ['not malignant', 'UNCERTAIN', 'malignant']
        """
        malignant, other = self.possible(score)
        # Both possible: too little is known. Neither: the patient is unlike all that were seen.
        if malignant is other:
            return Decision.UNCERTAIN
        return Decision.MALIGNANT if malignant else Decision.NOT_MALIGNANT

    @property
    def worst(self) -> tuple[float, float]:
        """Error that 95 of 100 such sets of patients keep below, for malignant and other patients: `error_bound`."""
        return error_bound(self.n_malignant, self.alpha), error_bound(self.n_other, self.alpha)


def conformal_threshold(scores: Float[np.ndarray, " n"], alpha: float) -> float | None:
    """The k-th smallest nonconformity score, k = ceil((n + 1)(1 - alpha)); None if there are fewer than k.

    One more patient like these n is stranger than that with a chance of at most ``alpha``: its rank among all n + 1 is
    uniform.

    Raises:
        ValueError: ``alpha`` is not between 0 and 1.

    >>> conformal_threshold(np.arange(1, 20) / 20, 0.1), conformal_threshold(np.zeros(8), 0.1)
    (0.9, None)
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a share between 0 and 1, not {alpha}")
    n, k = len(scores), rank(len(scores), alpha)
    return None if k > n else float(np.sort(scores)[k - 1])


def rank(n: int, alpha: float) -> int:
    """Which of n sorted values is the threshold, counted from 1; n + 1 if none is."""
    # 20 x 0.95 is 19, not 19.000000000000004.
    return math.ceil((n + 1) * (1 - alpha) - 1e-9)


def error_bound(n: int, alpha: float, *, confident: float = _CONFIDENT) -> float:
    """Error that ``confident`` of all sets of n patients keep below (Vovk 2012): a quantile of Beta(n + 1 - k, k).

    The guarantee's ``alpha`` is the mean over such sets; the error of one set scatters round it.

    >>> round(error_bound(100, 0.05), 3), error_bound(5, 0.05)
    (0.089, 0.0)
    """
    k = rank(n, alpha)
    return 0.0 if k > n else float(betaincinv(n + 1 - k, k, confident))
