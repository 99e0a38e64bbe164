"""The joint model: a verdict only where both sensitivities agree (paper, Sec. IV-C3 and Table IV)."""

from __future__ import annotations

from enum import Enum

from livercascade.data.labels import PatientClass


class AgreementLevel(Enum):
    """How fine the two classes must agree."""

    CLASS = "class"
    """The seven patient classes: the paper's rule."""
    GROUP = "group"
    """Malignant, benign or normal."""
    MALIGNANCY = "malignancy"
    """Malignant or not."""


class JointClass(Enum):
    """Verdict of the joint model: a patient class, or ``UNCERTAIN`` for a human to decide."""

    HCC = "HCC"
    ICC = "ICC"
    META = "Meta"
    HEM = "Hem"
    OTHER = "Other"
    CYST = "Cyst"
    NORMAL = "normal"
    UNCERTAIN = "UNCERTAIN"

    @property
    def patient_class(self) -> PatientClass | None:
        """The class; None if uncertain."""
        return None if self is JointClass.UNCERTAIN else PatientClass[self.name]


def joint_class(base: PatientClass, high: PatientClass, level: AgreementLevel = AgreementLevel.CLASS) -> JointClass:
    """The class of ``high`` if both agree, else ``UNCERTAIN``.

    Args:
        base: Class by Base+ReCls (low sensitivity).
        high: Class by High+ReCls (high sensitivity); the joint model takes its lesions.
        level: Level at which they must agree.

    >>> joint_class(PatientClass.META, PatientClass.HCC).value
    'UNCERTAIN'
    >>> joint_class(PatientClass.META, PatientClass.HCC, AgreementLevel.MALIGNANCY).value
    'HCC'
    """
    agree = _seen(base, level) == _seen(high, level)
    return JointClass[high.name] if agree else JointClass.UNCERTAIN


def _seen(patient_class: PatientClass, level: AgreementLevel) -> str | bool:
    if level is AgreementLevel.CLASS:
        return patient_class.name
    return patient_class.group if level is AgreementLevel.GROUP else patient_class.malignant
