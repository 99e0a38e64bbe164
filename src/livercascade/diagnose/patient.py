"""classifyPatient: the class of a patient from the lesions found (paper, eq. 12)."""

from __future__ import annotations

from collections.abc import Iterable

from livercascade.data.labels import PatientClass
from livercascade.detect.match import Typed


def classify_patient(lesions: Iterable[Typed]) -> PatientClass:
    """Highest-priority lesion type present, HCC > ICC > Meta > Hem > Other > Cyst, else normal (paper, eq. 12).

    Args:
        lesions: Lesions that count: those left after reclassification and the volume limit.

    >>> classify_patient([]).value
    'normal'
    """
    types = [lesion.label for lesion in lesions]
    if not types:
        return PatientClass.NORMAL
    return PatientClass.of(min(types, key=lambda lesion_type: lesion_type.priority))
