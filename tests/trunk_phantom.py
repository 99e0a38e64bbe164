"""A trunk of simple shapes that obeys what every trunk does, for tests of plausibility."""

from __future__ import annotations

from functools import cache

import numpy as np

from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import Scan

SHAPE, SPACING = (60, 80, 96), (5.0, 4.0, 4.0)
GRID = Grid.axial(SHAPE, SPACING)
LIVER_HU = 105


@cache
def trunk_phantom(phase: Phase = Phase.VP, liver_hu: float = LIVER_HU) -> tuple[Scan, np.ndarray]:
    """Scan of a trunk from the pelvis to the chest, and its liver of about 1.3 l."""
    z, y, x = np.meshgrid(*[(np.arange(n) - n / 2) * s for n, s in zip(SHAPE, SPACING, strict=True)], indexing="ij")
    hu = np.full(SHAPE, -1000.0)

    def paint(where: np.ndarray, value: float) -> np.ndarray:
        hu[where] = value
        return where

    paint((y / 115) ** 2 + (x / 165) ** 2 <= 1, -100)
    paint((y / 95) ** 2 + (x / 145) ** 2 <= 1, 50)
    # Domes of the lungs, from 20 mm above the middle of the scan.
    for side in (-1, 1):
        inside = ((y / 80) ** 2 + ((x - side * 70) / 58) ** 2 <= 1) & (z > 20)
        paint(inside, -850)
    liver = ((z + 5) / 70) ** 2 + ((y + 10) / 70) ** 2 + ((x + 65) / 65) ** 2 <= 1
    paint(liver, liver_hu)
    paint(((y - 70) / 20) ** 2 + (x / 24) ** 2 <= 1, 300)
    noise = np.random.default_rng(0).normal(0, 8, SHAPE)
    return Scan(GRID, {phase: (hu + noise).astype(np.int16)}, phase), liver
