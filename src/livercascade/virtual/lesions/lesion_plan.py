"""Which lesions a patient has: class, number, companions and volumes (docs/virtual.md, case mix)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livercascade.data.labels import LesionType, PatientClass
from livercascade.virtual.virtual_settings import CaseMix

VOLUME_BINS_ML = ((0.5, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0), (16.0, 64.0), (64.0, 900.0))
TABLE_I: dict[LesionType, tuple[int, ...]] = {
    LesionType.HCC: (22, 28, 36, 47, 60, 66),
    LesionType.ICC: (0, 0, 1, 2, 7, 3),
    LesionType.META: (69, 27, 32, 18, 24, 22),
    LesionType.HEM: (1, 2, 1, 0, 3, 5),
    LesionType.OTHER: (25, 8, 7, 11, 8, 2),
    LesionType.CYST: (51, 7, 8, 1, 2, 0),
}
"""Counts of the paper's Table I, from which sizes are drawn."""
MIX: dict[CaseMix, tuple[float, ...]] = {
    # HCC, ICC, Meta, Hem, Other, Cyst, normal. Diagnosis: 261 of 331 malignant, classes so that the counts of lesions
    # per patient below give Table I's totals by type.
    CaseMix.DIAGNOSIS: (0.505, 0.036, 0.248, 0.018, 0.090, 0.045, 0.058),
    CaseMix.SCREENING: (0.020, 0.003, 0.012, 0.080, 0.040, 0.105, 0.740),
    CaseMix.TRAINING: (0.25, 0.13, 0.21, 0.12, 0.13, 0.09, 0.07),
}
COUNTS: dict[LesionType, tuple[float, ...]] = {
    LesionType.HCC: (0.68, 0.18, 0.08, 0.04, 0.02),
    LesionType.ICC: (1.0,),
    LesionType.META: (0.40, 0.17, 0.13, 0.08, 0.05, 0.04, 0.03, 0.01, 0.01, 0.03, 0.02, 0.02, 0.01),
    LesionType.HEM: (0.70, 0.20, 0.10),
    LesionType.OTHER: (0.75, 0.18, 0.07),
    LesionType.CYST: (0.5, 0.25, 0.15, 0.10),
}
"""Share of patients of a class with 1, 2, 3 ... lesions of it."""
# Under the 0.5 ml from which lesions count, with room for rounding to voxels.
_TINY_ML = (0.06, 0.45)
# What is found by chance is seldom large: factor on each bin of Table I in the screening population.
_SMALL_PENALTY = np.array([1.0, 0.8, 0.6, 0.4, 0.25, 0.06])
# Type, chance of the companion, share of companions under 0.5 ml: cysts in 25 % and haemangiomas in 8 % of patients
# would exceed Table I's 69 and 12 if all were counted.
_COMPANIONS = ((LesionType.CYST, 0.25, 0.62), (LesionType.HEM, 0.08, 0.76), (LesionType.OTHER, 0.07, 0.1))
# Share of the further metastases of a patient that are tiny.
_TINY_META = 0.42
_CLASSES = tuple(PatientClass)


@dataclass(frozen=True, slots=True)
class PlannedLesion:
    """A lesion to be placed: type and volume."""

    label: LesionType
    volume_ml: float


@dataclass(frozen=True, slots=True)
class LesionPlan:
    """What a patient is to have: intended class, lesions (largest first), cirrhosis."""

    intended: PatientClass
    lesions: tuple[PlannedLesion, ...]
    cirrhotic: bool


def draw_plan(mix: CaseMix, rng: np.random.Generator) -> LesionPlan:
    """Class, lesions and state of the liver of one patient.

    Companions rank below the class, so that they never change it; normal patients have lesions under 0.5 ml at most.
    """
    intended = _CLASSES[int(rng.choice(7, p=MIX[mix]))]
    cirrhotic = bool(rng.random() < (0.75 if intended is PatientClass.HCC else 0.08))
    lesions: list[PlannedLesion] = []
    if intended is not PatientClass.NORMAL:
        lesions += _own(LesionType[intended.name], mix, rng)
    for label, chance, tiny in _COMPANIONS:
        if rng.random() < chance and _below(label, intended):
            small = intended is PatientClass.NORMAL
            lesions += [
                _one(label, mix, rng, tiny=small or rng.random() < tiny) for _ in range(int(rng.integers(1, 3)))
            ]
    if mix is CaseMix.TRAINING and intended is not PatientClass.NORMAL:
        lesions += [_one(LesionType(int(rng.integers(1, 7))), mix, rng) for _ in range(int(rng.integers(0, 4)))]
    if intended is not PatientClass.NORMAL:
        label = LesionType.META if intended is PatientClass.META else LesionType.CYST
        lesions += [_one(label, mix, rng, tiny=True) for _ in range(int(rng.poisson(0.15)))]
    return LesionPlan(intended, tuple(sorted(lesions, key=lambda lesion: -lesion.volume_ml)), cirrhotic)


def draw_volume(label: LesionType, rng: np.random.Generator, *, small: bool = False) -> float:
    """Volume in ml: bin of Table I for the type, then log-uniform inside; ``small`` flattens the bins."""
    counts = np.asarray(TABLE_I[label], dtype=np.float64)
    if small:
        counts = counts / counts.sum() + np.array([0.5, 0.4, 0.35, 0.3, 0.2, 0.05])
    return _within(counts, rng)


def _own(label: LesionType, mix: CaseMix, rng: np.random.Generator) -> list[PlannedLesion]:
    weights = np.asarray(COUNTS[label])
    count = 1 + int(rng.choice(len(weights), p=weights / weights.sum()))
    if mix is CaseMix.TRAINING:
        count += int(rng.integers(0, 3))
    first = _one(label, mix, rng)
    # The paper's Meta patients have fewer lesions of 0.5 ml than lesions: further ones are often tiny.
    tiny = _TINY_META if label is LesionType.META else 0.0
    return [first, *(_one(label, mix, rng, tiny=rng.random() < tiny) for _ in range(count - 1))]


def _one(label: LesionType, mix: CaseMix, rng: np.random.Generator, *, tiny: bool = False) -> PlannedLesion:
    if tiny:
        low, high = np.log(_TINY_ML)
        return PlannedLesion(label, float(np.exp(rng.uniform(low, high))))
    if mix is CaseMix.SCREENING:
        # Found by chance, not by symptoms: smaller than a hospital's.
        counts = (np.asarray(TABLE_I[label]) + 2.0) * _SMALL_PENALTY
        return PlannedLesion(label, _within(counts, rng))
    return PlannedLesion(label, draw_volume(label, rng, small=mix is CaseMix.TRAINING))


def _within(counts: np.ndarray, rng: np.random.Generator) -> float:
    low, high = VOLUME_BINS_ML[int(rng.choice(6, p=counts / counts.sum()))]
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _below(label: LesionType, intended: PatientClass) -> bool:
    """Whether a companion of this type leaves the intended class the most important one."""
    return _CLASSES.index(PatientClass.of(label)) > _CLASSES.index(intended) or intended is PatientClass.NORMAL
