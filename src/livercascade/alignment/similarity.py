"""How well two phases fit: mutual information of their HU, and overlap of body and organ masks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int16
from scipy import ndimage

TISSUE_HU = -300
"""Lowest HU of tissue; below lie lung, bowel gas and the air round the body."""
# Ten HU a bin: below the noise of a CT.
_BINS = 48
# Soft tissue and contrast medium; bone and gas hold no detail that registration needs.
_RANGE_HU = (-200.0, 280.0)
# More voxels hardly change the histogram.
_SAMPLES = 2_000_000


def mutual_information(
    fixed: Int16[np.ndarray, "z y x"], moved: Int16[np.ndarray, "z y x"], where: Bool[np.ndarray, "z y x"]
) -> float:
    """Mutual information in nats of HU between -200 and 280, from a joint histogram of 48 by 48 bins.

    Args:
        fixed: HU of one phase.
        moved: HU of the other on the same grid.
        where: Voxels that count, usually those where both have data; voxels that are air in both are left out.

    Returns:
        Value from 0 (independent, or no voxel counts) up.
    """
    step = max(1, round((fixed.size / _SAMPLES) ** (1 / 3)))
    a, b, counted = (array[:, ::step, ::step] for array in (fixed, moved, where))
    counted = counted & ((a > _RANGE_HU[0]) | (b > _RANGE_HU[0]))
    if not counted.any():
        return 0.0
    low, high = np.clip(a[counted], *_RANGE_HU), np.clip(b[counted], *_RANGE_HU)
    joint = np.histogram2d(low, high, bins=_BINS, range=(_RANGE_HU, _RANGE_HU))[0]
    joint /= joint.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    return float((joint[filled] * np.log(joint[filled] / independent[filled])).sum())


def body_tissue(hu: Int16[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Mask of the body without gas: the largest connected region above -300 HU, without the table."""
    square = np.ones((1, 3, 3), dtype=np.bool_)
    solid = np.asarray(ndimage.binary_opening(hu > TISSUE_HU, structure=square))
    pieces, count = ndimage.label(solid)
    sizes = np.bincount(pieces.ravel())
    return np.asarray(pieces == 1 + int(sizes[1:].argmax())) if count else solid


def dice(
    a: Bool[np.ndarray, "z y x"], b: Bool[np.ndarray, "z y x"], within: Bool[np.ndarray, "z y x"] | None = None
) -> float:
    """Dice overlap of two masks, 0 to 1, inside a third if given; 1 if both are empty."""
    if within is not None:
        a, b = a & within, b & within
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0
