"""Where a phase has data, and how it is read at the resolution of another grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int16
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.data.scan import OUTSIDE_HU, PhaseVolume

_SAME = 1 + 1e-3


def empty_columns(hu: Int16[np.ndarray, "z y x"]) -> Bool[np.ndarray, "y x"]:
    """Columns (y, x) that are -1024 or less in every slice and touch the border of the image: padding round a circle.

    Air carries noise and is not -1024 in every slice.
    """
    low = np.all(hu <= OUTSIDE_HU, axis=0)
    if not low.any() or low.all():
        return np.zeros(low.shape, dtype=np.bool_)
    return np.asarray(ndimage.binary_propagation(_border(low.shape) & low, mask=low))


def extended(volume: PhaseVolume) -> PhaseVolume:
    """The phase with its padding filled by the nearest column that has data, so that no edge is made up."""
    empty = empty_columns(volume.hu)
    if not empty.any():
        return volume
    rows, columns = np.asarray(ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True))
    return replace(volume, hu=np.ascontiguousarray(volume.hu[:, rows, columns]))


def averaged(volume: PhaseVolume, grid: Grid) -> Int16[np.ndarray, "z y x"]:
    """HU from -1024 up, averaged over boxes of another grid's voxels along each axis on which the phase is the finer.

    The array stays on the phase's own grid.
    """
    hu = np.ascontiguousarray(np.maximum(volume.hu, OUTSIDE_HU))
    turns = np.abs(np.asarray(volume.grid.direction) @ np.asarray(grid.direction).T)
    ratios = (turns * np.asarray(grid.spacing)).max(axis=1) / np.asarray(volume.grid.spacing)
    if float(ratios.max()) <= _SAME:
        return hu
    mixed = hu.astype(np.float32)
    for axis, ratio in enumerate(ratios):
        if ratio > _SAME:
            ndimage.correlate1d(mixed, _box(float(ratio)), axis=axis, output=mixed, mode="nearest")
    return np.rint(mixed).astype(np.int16)


def _border(shape: tuple[int, ...]) -> Bool[np.ndarray, "y x"]:
    border = np.ones(shape, dtype=np.bool_)
    border[1:-1, 1:-1] = False
    return border


def _box(width: float) -> Float64[np.ndarray, " k"]:
    """Weights of a centred box of fractional width in voxels; odd length, sum 1."""
    reach = int(np.ceil((width - 1) / 2))
    weights = np.ones(2 * reach + 1)
    weights[[0, -1]] -= (2 * reach + 1 - width) / 2
    return weights / weights.sum()
