"""The grid on which two phases are registered: isotropic, along the patient's axes, round the fixed body."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from livercascade.alignment.compiled_loops import AlignmentThreads
from livercascade.alignment.sampling import averaged, extended, image_on_grid
from livercascade.alignment.similarity import TISSUE_HU
from livercascade.data.grid import Grid
from livercascade.data.scan import PhaseVolume

_MARGIN_MM = 6.0
# The body's outline is needed to a few millimetres only.
_COARSE = 3


def on_registration_grid(
    fixed: PhaseVolume, moving: PhaseVolume, spacing_mm: float, smooth_mm: float, workers: AlignmentThreads
) -> tuple[Grid, Float32[np.ndarray, "z y x"], Float32[np.ndarray, "z y x"]]:
    """Both phases resampled to ``spacing_mm`` over the fixed phase's box, cut in plane to its body.

    Args:
        fixed: Phase that gives the box; its grid may be oblique to the patient's axes.
        moving: Phase placed by its header.
        spacing_mm: Voxel size of the registration grid, whose planes lie at multiples of it.
        smooth_mm: Sigma of the Gaussian that evens out sharp and blurred slices.
        workers: Threads, which share the slices.

    Returns:
        The grid, axial and isotropic; smoothed HU of the fixed phase; smoothed HU of the moving phase, its border
        repeated outside its coverage.
    """
    box = box_grid(fixed.grid, spacing_mm)
    # Both are smoothed before they are cut, so that equal phases stay equal up to the border.
    images = [on_coarse_grid(volume, box, smooth_mm, workers) for volume in (fixed, moving)]
    window = body_window(images[0], spacing_mm)
    still, other = (np.ascontiguousarray(image[:, *window]) for image in images)
    return _cut(box, window), still, other


def on_coarse_grid(
    volume: PhaseVolume, grid: Grid, smooth_mm: float, workers: AlignmentThreads
) -> Float32[np.ndarray, "z y x"]:
    """HU on an axial isotropic grid, smoothed; the border is repeated outside the phase.

    Air outside instead would attract matches.
    """
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
