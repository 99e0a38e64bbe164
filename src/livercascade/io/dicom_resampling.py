"""Slices of a tilted gantry, at varying distances or with a gap, interpolated onto a straight and even stack."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int16
from scipy import ndimage

from livercascade.data.scan import OUTSIDE_HU
from livercascade.io.dicom_geometry import UnevenSlices

Straight = tuple[Int16[np.ndarray, "even_slice wide_row wide_column"], Float[np.ndarray, "4 4"]]
"""HU of a straight stack, and its matrix from (column, row, slice, 1) to LPS mm."""


def even_stack(uneven: UnevenSlices, hu: Int16[np.ndarray, "slice row column"]) -> Straight:
    """HU at even distances, each slice straight above the one before; linear between slices and pixels.

    The matrix grows as far as the slices are shifted; what no slice covers is -1024.

    Args:
        uneven: Places of the slices.
        hu: HU of the slices, in their order.
    """
    start = np.floor(uneven.sideways.min(axis=0) + 1e-6).astype(int)
    grown = np.ceil(uneven.sideways.max(axis=0) - 1e-6).astype(int) - start
    shape = (hu.shape[1] + int(grown[1]), hu.shape[2] + int(grown[0]))
    count = int(np.floor(uneven.heights_mm[-1] / uneven.step_mm + 1e-3)) + 1
    out = np.empty((count, *shape), dtype=np.int16)
    for index in range(count):
        height = min(index * uneven.step_mm, float(uneven.heights_mm[-1]))
        above = int(np.clip(np.searchsorted(uneven.heights_mm, height), 1, len(hu) - 1))
        low, high = uneven.heights_mm[above - 1 : above + 1]
        share = (height - low) / (high - low)
        below, over = (_shifted(hu[k], uneven.sideways[k] - start, shape) for k in (above - 1, above))
        out[index] = np.rint((1 - share) * below + share * over)
    affine = uneven.slices.affine_lps.copy()
    affine[:3, 3] += affine[:3, :2] @ start
    return out, affine


def _shifted(
    plane: Int16[np.ndarray, "row column"], by: Float[np.ndarray, " 2"], shape: tuple[int, int]
) -> Float32[np.ndarray, "rows columns"]:
    """Plane on a larger matrix, moved by pixels along a row and along a column."""
    rows, columns = plane.shape
    canvas = np.full(shape, OUTSIDE_HU, dtype=np.float32)
    canvas[:rows, :columns] = plane
    return ndimage.shift(canvas, (by[1], by[0]), order=1, mode="constant", cval=OUTSIDE_HU)
