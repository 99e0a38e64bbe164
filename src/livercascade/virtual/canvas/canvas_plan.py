"""Which lesions are painted into a scanned liver: all six types, 0.1 to 150 ml, single and many."""

from __future__ import annotations

import numpy as np

from livercascade.data.grid import Triple
from livercascade.data.labels import LesionType
from livercascade.virtual.lesions.lesion_plan import PlannedLesion

LEAST_ML, MOST_ML = 0.1, 150.0
# A type of its own for each patient, as illness has, with others beside it.
_FOLLOWS = 0.55
# Shares of HCC, ICC, Meta, Hem, Other, Cyst that give about as many lesions of each: an ICC brings satellites.
_TYPE_SHARES = (0.19, 0.09, 0.16, 0.19, 0.19, 0.18)
# Of all lesions a tenth is tiny and a tenth large; the others are spread evenly in their logarithm.
_SIZES = ((0.30, 0.1, 1.0), (0.42, 1.0, 8.0), (0.20, 8.0, 40.0), (0.08, 40.0, 150.0))
_LIVER_SHARE = 0.12
"""Share of the liver that one lesion takes at most."""
# Many small ones, and of which type.
_SEEDED = 0.12
_SEEDED_TYPES = ((LesionType.META, 0.6), (LesionType.CYST, 0.25), (LesionType.HCC, 0.15))


def draw_canvas_plan(
    liver_ml: float, spacing: Triple, mean_count: float, rng: np.random.Generator
) -> list[PlannedLesion]:
    """Lesions for one liver, largest first.

    Args:
        liver_ml: Volume of the liver.
        spacing: Voxel spacing (z, y, x) in mm; what is smaller than some voxels is not planned.
        mean_count: Mean number of lesions; none for 0.
        rng: Source of the draw.
    """
    if mean_count <= 0:
        return []
    # A ball somewhat wider than a slice is the smallest that any slice can show.
    least = max(LEAST_ML, np.pi / 6 * (1.3 * max(spacing)) ** 3 / 1000.0)
    most = max(min(MOST_ML, _LIVER_SHARE * liver_ml), least)
    leading = _type(rng)
    if rng.random() < _SEEDED:
        many = _SEEDED_TYPES[int(rng.choice(3, p=[share for _, share in _SEEDED_TYPES]))][0]
        count = int(rng.integers(5, 14))
        return _sorted([PlannedLesion(many, _between(least, min(12.0, most), rng)) for _ in range(count)])
    count = 1 + int(rng.poisson(max(mean_count - 1.0, 0.0)))
    chosen = [leading if k == 0 or rng.random() < _FOLLOWS else _type(rng) for k in range(count)]
    return _sorted([PlannedLesion(label, float(np.clip(_volume(rng), least, most))) for label in chosen])


def _type(rng: np.random.Generator) -> LesionType:
    return list(LesionType)[int(rng.choice(6, p=_TYPE_SHARES))]


def _volume(rng: np.random.Generator) -> float:
    weights = np.array([share for share, _, _ in _SIZES])
    _, low, high = _SIZES[int(rng.choice(len(_SIZES), p=weights / weights.sum()))]
    return _between(low, high, rng)


def _between(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(max(high, low)))))


def _sorted(lesions: list[PlannedLesion]) -> list[PlannedLesion]:
    return sorted(lesions, key=lambda lesion: -lesion.volume_ml)
