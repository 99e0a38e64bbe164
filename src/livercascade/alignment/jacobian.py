"""Does a field fold: its Jacobian determinant, and local smoothing until no voxel folds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from livercascade.alignment.compiled_loops import AlignmentThreads, kernel
from livercascade.data.grid import Grid

LEAST = 0.02
"""Voxels whose volume falls below this share are smoothed as if they folded, so that rounding cannot fold them."""
# A bound so that the loop ends; the field is shrunk after it.
_ROUNDS = 12
# Half a block of the finest level (4 voxels of 2 mm): detail below it is not resolved by the search.
_SIGMA_MM = 4.0
_SHRINK = 0.8


def jacobian(
    vectors_mm: Float32[np.ndarray, "z y x 3"], grid: Grid, workers: AlignmentThreads
) -> Float32[np.ndarray, "z y x"]:
    """Determinant of d(p + u)/dp per voxel by central differences, one-sided at the border: 0 or less folds."""
    out = np.empty(grid.shape, dtype=np.float32)
    frame = np.asarray(grid.direction, dtype=np.float64)
    spacing = np.asarray(grid.spacing, dtype=np.float64)
    vectors = np.ascontiguousarray(vectors_mm)
    workers.ranges(lambda start, stop: _determinants(vectors, frame, spacing, out, start, stop), grid.shape[0])
    return out


def without_folds(
    vectors_mm: Float32[np.ndarray, "z y x 3"], grid: Grid, workers: AlignmentThreads
) -> Float32[np.ndarray, "z y x 3"]:
    """The same vectors where nothing folds; else smoothed round the folds, ever wider, until none is left.

    Should that not do, the whole field is shrunk step by step, which must end: a field near zero does not fold.
    """
    vectors = vectors_mm
    for attempt in range(_ROUNDS):
        bad = jacobian(vectors, grid, workers) < LEAST
        if not bad.any():
            return vectors
        if vectors is vectors_mm:
            vectors = vectors_mm.copy()
        _smooth_round(vectors, bad, grid, _SIGMA_MM * (1 + attempt / 2))
    while bool((jacobian(vectors, grid, workers) < LEAST).any()):
        vectors = vectors * np.float32(_SHRINK)
    return vectors


def _smooth_round(
    vectors: Float32[np.ndarray, "z y x 3"], bad: Bool[np.ndarray, "z y x"], grid: Grid, sigma_mm: float
) -> None:
    """Blend smoothed vectors in round each cluster of bad voxels, in place."""
    sigma = [sigma_mm / s for s in grid.spacing]
    reach = [int(np.ceil(2 * s)) + 1 for s in sigma]
    near = ndimage.binary_dilation(bad, np.ones((3, 3, 3), dtype=np.bool_))
    pieces = np.asarray(ndimage.label(near, np.ones((3, 3, 3), dtype=np.bool_))[0])
    for found in ndimage.find_objects(pieces):
        box = tuple(
            slice(max(part.start - 2 * r, 0), min(part.stop + 2 * r, n))
            for part, r, n in zip(found, reach, grid.shape, strict=True)
        )
        share = ndimage.gaussian_filter(near[box].astype(np.float32), sigma, mode="nearest")
        share = np.minimum(share * (2 / max(float(share.max()), 1e-6)), 1)[..., None]
        smooth = ndimage.gaussian_filter(vectors[box], (*sigma, 0), mode="nearest")
        vectors[box] += share * (smooth - vectors[box])


@kernel
def _determinants(
    vectors: Float32[np.ndarray, "z y x 3"],
    frame: Float64[np.ndarray, "3 3"],
    spacing: Float64[np.ndarray, " 3"],
    out: Float32[np.ndarray, "z y x"],
    start: int,
    stop: int,
) -> None:
    nz, ny, nx = out.shape
    slope = np.zeros((3, 3))
    for z in range(start, stop):
        z0, z1 = max(z - 1, 0), min(z + 1, nz - 1)
        for y in range(ny):
            y0, y1 = max(y - 1, 0), min(y + 1, ny - 1)
            for x in range(nx):
                x0, x1 = max(x - 1, 0), min(x + 1, nx - 1)
                sz = max(z1 - z0, 1) * spacing[0]
                sy = max(y1 - y0, 1) * spacing[1]
                sx = max(x1 - x0, 1) * spacing[2]
                for a in range(3):
                    slope[a, 0] = slope[a, 1] = slope[a, 2] = 0.0
                    for k in range(3):
                        f = frame[a, k]
                        slope[a, 0] += f * (vectors[z1, y, x, k] - vectors[z0, y, x, k]) / sz
                        slope[a, 1] += f * (vectors[z, y1, x, k] - vectors[z, y0, x, k]) / sy
                        slope[a, 2] += f * (vectors[z, y, x1, k] - vectors[z, y, x0, k]) / sx
                    slope[a, a] += 1.0
                out[z, y, x] = np.float32(
                    slope[0, 0] * (slope[1, 1] * slope[2, 2] - slope[1, 2] * slope[2, 1])
                    - slope[0, 1] * (slope[1, 0] * slope[2, 2] - slope[1, 2] * slope[2, 0])
                    + slope[0, 2] * (slope[1, 0] * slope[2, 1] - slope[1, 1] * slope[2, 0])
                )
