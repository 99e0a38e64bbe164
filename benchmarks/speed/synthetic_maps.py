"""Synthetic label maps, for algorithms that need no patient."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from livercascade.data.grid import Grid
from livercascade.data.labels import Organ

GRID = Grid.axial((60, 512, 512), (5.0, 0.8, 0.8))
"""Grid of a study like the paper's."""


def lesion_map(count: int, *, grid: Grid = GRID, seed: int = 0, shift: int = 0) -> UInt8[np.ndarray, "z y x"]:
    """Liver with up to ``count`` round lesions of 4 to 12 mm radius and any type; ``shift`` moves each along x.

    The places lie on a lattice that fills the grid, so that lesions do not touch.
    """
    rng = np.random.default_rng(seed)
    out = np.full(grid.shape, int(Organ.LIVER), dtype=np.uint8)
    per_side = int(np.ceil(count ** (1 / 3)))
    places = rng.permutation(per_side**3)[:count]
    steps = np.asarray(grid.shape) / per_side
    for place in places:
        centre = (np.array(np.unravel_index(place, (per_side,) * 3)) + 0.5) * steps
        reach = np.minimum(rng.uniform(4.0, 12.0) / np.asarray(grid.spacing), 0.4 * steps)
        centre[2] += shift
        low = np.maximum(np.floor(centre - reach).astype(int), 0)
        high = np.minimum(np.ceil(centre + reach).astype(int) + 1, grid.shape)
        axes = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        inside = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, reach, strict=True)) <= 1.0
        out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))][inside] = rng.integers(1, 7)
    return out
