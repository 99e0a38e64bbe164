"""Both phases on one isotropic grid round the fixed body: where the search for the field takes place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from livercascade.alignment.coverage import averaged, extended
from livercascade.alignment.sampling import image_on_grid
from livercascade.alignment.workers import Workers
from livercascade.data.grid import Grid
from livercascade.data.scan import PhaseVolume

TISSUE_HU = -300
"""Above it a voxel is tissue; below lie lung, bowel gas and the air round the body."""
_MARGIN_MM = 6.0
_COARSE = 3


@dataclass(frozen=True, slots=True, eq=False)
class WorkingPair:
    """Two phases on one grid whose axes are those of the patient.

    Attributes:
        grid: Axial, isotropic.
        fixed: HU of the fixed phase, smoothed.
        moving: HU of the moving phase, smoothed; beyond its coverage its border goes on.
    """

    grid: Grid
    fixed: Float32[np.ndarray, "z y x"]
    moving: Float32[np.ndarray, "z y x"]


def working_pair(
    fixed: PhaseVolume, moving: PhaseVolume, spacing_mm: float, smooth_mm: float, workers: Workers
) -> WorkingPair:
    """Both phases resampled to ``spacing_mm`` over the fixed phase's box, cut in plane to its body.

    Args:
        fixed: Gives the box; its grid may be turned against the patient's axes.
        moving: Placed by its header.
        spacing_mm: Of the working grid, whose planes lie at multiples of it.
        smooth_mm: Sigma of the Gaussian that evens out sharp and blurred slices.
        workers: Share the slices.
    """
    box = box_grid(fixed.grid, spacing_mm)
    # Both are smoothed before they are cut, so that equal phases stay equal up to the border.
    images = [on_working_grid(volume, box, smooth_mm, workers) for volume in (fixed, moving)]
    window = body_window(images[0], spacing_mm)
    still, other = (np.ascontiguousarray(image[:, *window]) for image in images)
    return WorkingPair(_cut(box, window), still, other)


def on_working_grid(
    volume: PhaseVolume, grid: Grid, smooth_mm: float, workers: Workers
) -> Float32[np.ndarray, "z y x"]:
    """HU on a working grid; the border goes on outside."""
    source = averaged(extended(volume), grid)
    index = np.linalg.inv(volume.grid.affine) @ grid.affine
    out = np.empty(grid.shape, dtype=np.float32)
    workers.ranges(lambda a, b: image_on_grid(source, index, out, a, b), grid.shape[0])
    sigma = smooth_mm / grid.spacing[0]
    return np.asarray(ndimage.gaussian_filter(out, sigma, mode="nearest", truncate=3.0))


def body_window(image: Float32[np.ndarray, "z y x"], spacing_mm: float) -> tuple[slice, slice]:
    """Rows and columns that hold the body, with a margin; the table is left out. All of them if there is no body."""
    body = _largest(
        ndimage.binary_opening(image[::_COARSE, ::_COARSE, ::_COARSE] > TISSUE_HU, np.ones((1, 5, 5), dtype=np.bool_))
    )
    margin = round(_MARGIN_MM / spacing_mm)
    window: list[slice] = []
    for axis, length in ((1, image.shape[1]), (2, image.shape[2])):
        held = np.flatnonzero(body.any(axis=tuple(a for a in range(3) if a != axis))) * _COARSE
        first, last = (int(held[0]), int(held[-1]) + _COARSE) if held.size else (0, length)
        window.append(slice(max(first - margin, 0), min(last + margin, length)))
    return window[0], window[1]


def _largest(mask: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    pieces = np.asarray(ndimage.label(mask)[0])
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return (pieces == int(sizes.argmax())) & mask


def box_grid(grid: Grid, spacing_mm: float) -> Grid:
    """Smallest grid along the patient's axes that holds the voxel centres of another."""
    corners = grid.world(np.array(np.meshgrid(*[(0.0, n - 1.0) for n in grid.shape])).reshape(3, -1).T)
    low = np.floor(corners.min(axis=0) / spacing_mm + 1e-3)
    high = np.ceil(corners.max(axis=0) / spacing_mm - 1e-3)
    nx, ny, nz = (int(n) + 1 for n in high - low)
    x, y, z = (float(v) * spacing_mm for v in low)
    return Grid.axial((nz, ny, nx), (spacing_mm, spacing_mm, spacing_mm), (x, y, z))


def _cut(grid: Grid, window: tuple[slice, slice]) -> Grid:
    rows, columns = window
    step = grid.spacing[0]
    origin = (grid.origin[0] + columns.start * step, grid.origin[1] + rows.start * step, grid.origin[2])
    return Grid.axial((grid.shape[0], rows.stop - rows.start, columns.stop - columns.start), grid.spacing, origin)
