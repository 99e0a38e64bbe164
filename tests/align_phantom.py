"""A trunk of several tissues that can be scanned on any grid, at rest or displaced by a known field."""

import numpy as np
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume

VENOUS = np.array([-1000.0, -100.0, 30.0, 60.0, 110.0, 180.0])
ARTERIAL = np.array([-1000.0, -105.0, 35.0, 45.0, 70.0, 300.0])
CENTRE = np.array([4.0, -6.0, 40.0])
REST = Grid.axial((28, 52, 56), (4.0, 2.5, 2.5), (-65.0, -70.0, -14.0))
"""Holds the whole trunk, with some air round it."""


def _tissues():
    """Tissue index on a grid of 2 mm, air outside an ellipse."""
    rng = np.random.default_rng(5)
    shape = (120, 90, 90)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 5.5)
    vessels = ndimage.gaussian_filter(rng.standard_normal(shape), 3.0)
    inside = np.digitize(noise, np.quantile(noise, [0.25, 0.5, 0.75])) + 1
    inside[np.abs(vessels) < np.quantile(np.abs(vessels), 0.06)] = 5
    y, x = np.meshgrid(*[np.linspace(-90, 90, n) for n in shape[1:]], indexing="ij")
    body = (x / 58) ** 2 + (y / 52) ** 2 < 1
    return np.where(body, inside, 0), Grid.axial(shape, (2.0, 2.0, 2.0), (-89.0 + 4.0, -89.0 - 6.0, -80.0))


TISSUES, TISSUE_GRID = _tissues()


def still(points):
    """No displacement."""
    return np.zeros_like(points)


def breathing(points):
    """12 mm along z at the top, fading downwards and to the skin, with some of it forwards."""
    away = (points - CENTRE) / np.array([45.0, 42.0, 60.0])
    strength = np.exp(-0.5 * (away**2).sum(axis=1))
    return strength[:, None] * np.array([2.0, -4.0, 12.0])


def scan(phase, grid=REST, contrast=None, moved_by=still, noise=8.0, seed=1):
    """Volume of the trunk after every point p of it has gone to p + ``moved_by``(p)."""
    index = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in grid.shape], indexing="ij"), axis=-1)
    points = grid.world(index.reshape(-1, 3))
    rest = points.copy()
    for _ in range(20):
        rest = points - moved_by(rest)
    table = VENOUS if contrast is None else contrast
    hu = ndimage.map_coordinates(table[TISSUES], TISSUE_GRID.voxel(rest).T, order=1, mode="nearest")
    hu = hu + np.random.default_rng(seed).normal(0, noise, len(hu))
    return PhaseVolume(phase, np.rint(hu).astype(np.int16).reshape(grid.shape), grid)


def trunk_points(count=1500):
    """Points well inside the trunk and the grid ``REST``."""
    rng = np.random.default_rng(3)
    return CENTRE + rng.uniform(-1, 1, (count, 3)) * np.array([34.0, 30.0, 34.0])


def pair(moved_by=breathing):
    """Venous phase at rest and arterial phase displaced."""
    return scan(Phase.VP), scan(Phase.AP, contrast=ARTERIAL, moved_by=moved_by, seed=2)
