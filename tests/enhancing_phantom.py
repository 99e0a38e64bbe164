"""A ball in a liver with given HU per phase and zone, vessels beside it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, Organ, Phase
from livercascade.data.lesion import Lesion
from livercascade.data.scan import Scan
from livercascade.detect.seg2det import seg2det

SHAPE, SPACING = (16, 80, 80), (5.0, 1.5, 1.5)
GRID = Grid.axial(SHAPE, SPACING)
LIVER = (55.0, 70.0, 106.0, 87.0)
VESSELS = (40.0, 60.0, 165.0, 113.0)
Curve = tuple[float, float, float, float]


def ball(centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    at = np.indices(SHAPE).transpose(1, 2, 3, 0) * np.asarray(SPACING)
    return np.linalg.norm(at - np.asarray(centre), axis=-1) < radius_mm


def phantom(
    core: Curve,
    rim: Curve | None = None,
    *,
    radius_mm: float = 15.0,
    rim_mm: float = 4.0,
    noise: float = 0.0,
    phases: tuple[Phase, ...] = PHASES,
    shift: float = 0.0,
) -> tuple[Scan, np.ndarray, Lesion]:
    """Scan, label map and the lesion; ``shift`` is added to every voxel."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[ball((40, 50, 60), 38.0)] = Organ.LIVER
    labels[ball((40, 50, 90), 6.0)] = Organ.HEPATIC_VESSELS
    whole, inner = ball((40, 50, 55), radius_mm), ball((40, 50, 55), radius_mm - (rim_mm if rim else 0.0))
    labels[whole] = 1
    rng = np.random.default_rng(0)
    hu: Mapping[Phase, np.ndarray] = {}
    for phase in phases:
        i = phase.index
        image = np.full(SHAPE, -80.0)
        for organ, curve in ((Organ.LIVER, LIVER), (Organ.HEPATIC_VESSELS, VESSELS)):
            image[labels == organ] = curve[i]
        image[whole] = (rim or core)[i]
        image[inner] = core[i]
        image += rng.normal(0, noise, SHAPE) if noise else 0.0
        hu = {**hu, phase: np.round(image + shift).astype(np.int16)}
    (lesion,) = seg2det(labels, GRID)
    return Scan(GRID, hu, phases[-1]), labels, lesion
