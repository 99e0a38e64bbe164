"""A trunk of several tissues that can be scanned on any grid, at rest or displaced by a known field."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume

DisplacementFunction = Callable[[np.ndarray], np.ndarray]
"""Displacement (x, y, z) in LPS mm of points (n, 3) in LPS mm."""

TISSUE_HU = {
    Phase.VP: (-1000.0, -100.0, 30.0, 60.0, 110.0, 180.0),
    Phase.AP: (-1000.0, -105.0, 35.0, 45.0, 70.0, 300.0),
}
"""HU of air, fat, three soft tissues and vessels."""
TRUNK_CENTRE = (4.0, -6.0, 40.0)
TRUNK_GRID = Grid.axial((28, 52, 56), (4.0, 2.5, 2.5), (-65.0, -70.0, -14.0))
"""Grid that holds the whole trunk, with some air round it."""
_TISSUE_GRID = Grid.axial((120, 90, 90), (2.0, 2.0, 2.0), (-89.0 + 4.0, -89.0 - 6.0, -80.0))


@cache
def _tissues() -> UInt8[np.ndarray, "z y x"]:
    """Tissue of each voxel of 2 mm, air outside an ellipse; always the same."""
    rng = np.random.default_rng(5)
    shape = _TISSUE_GRID.shape
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 5.5)
    vessels = ndimage.gaussian_filter(rng.standard_normal(shape), 3.0)
    inside = np.digitize(noise, np.quantile(noise, [0.25, 0.5, 0.75])) + 1
    inside[np.abs(vessels) < np.quantile(np.abs(vessels), 0.06)] = 5
    y, x = np.meshgrid(*[np.linspace(-90, 90, n) for n in shape[1:]], indexing="ij")
    body = (x / 58) ** 2 + (y / 52) ** 2 < 1
    return np.where(body, inside, 0).astype(np.uint8)


def no_displacement(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """No displacement at any point."""
    return np.zeros_like(points)


def breathing_displacement(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Displacement of up to 12 mm along z and 4 mm forwards, fading from the centre to the skin."""
    away = (points - np.array(TRUNK_CENTRE)) / np.array([45.0, 42.0, 60.0])
    strength = np.exp(-0.5 * (away**2).sum(axis=1))
    return strength[:, None] * np.array([2.0, -4.0, 12.0])


def trunk_scan(
    phase: Phase,
    grid: Grid = TRUNK_GRID,
    *,
    contrast: Phase = Phase.VP,
    moved_by: DisplacementFunction = no_displacement,
    noise: float = 8.0,
    seed: int = 1,
) -> PhaseVolume:
    """Volume of the trunk after every point p of it has gone to p + ``moved_by``(p).

    Args:
        phase: Phase that the volume says it is.
        grid: Grid to scan on.
        contrast: Phase whose HU the tissues have, VP or AP.
        moved_by: Displacement of the tissue.
        noise: Standard deviation of Gaussian noise, HU.
        seed: Seed of the noise.
    """
    index = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in grid.shape], indexing="ij"), axis=-1)
    points = grid.world(index.reshape(-1, 3))
    rest = points.copy()
    # Fixed-point iteration of p = rest + moved_by(rest); 20 steps leave less than 1e-6 mm.
    for _ in range(20):
        rest = points - moved_by(rest)
    table = np.array(TISSUE_HU[contrast])
    hu = ndimage.map_coordinates(table[_tissues()], _TISSUE_GRID.voxel(rest).T, order=1, mode="nearest")
    hu = hu + np.random.default_rng(seed).normal(0, noise, len(hu))
    return PhaseVolume(phase, np.rint(hu).astype(np.int16).reshape(grid.shape), grid)


def trunk_points(count: int = 1500) -> Float[np.ndarray, "n 3"]:
    """LPS points (x, y, z) in mm well inside the trunk and `TRUNK_GRID`, always the same."""
    rng = np.random.default_rng(3)
    return np.array(TRUNK_CENTRE) + rng.uniform(-1, 1, (count, 3)) * np.array([34.0, 30.0, 34.0])


def trunk_pair(moved_by: DisplacementFunction = breathing_displacement) -> tuple[PhaseVolume, PhaseVolume]:
    """Venous phase at rest and arterial phase displaced."""
    return trunk_scan(Phase.VP), trunk_scan(Phase.AP, contrast=Phase.AP, moved_by=moved_by, seed=2)
