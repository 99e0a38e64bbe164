"""Interpolation between drawn slices, linear in the signed distance to the outline (Raya and Udupa 1990)."""

from __future__ import annotations

import cc3d
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from livercascade.data.grid import Triple
from livercascade.labeler.editing.lesion_components import check_inside, tight_box
from livercascade.labeler.editing.lesion_tools import change
from livercascade.labeler.imaging.mask_delta import Delta, VoxelIndex
from livercascade.labeler.label_error import LabelError

# The distance transform needs a voxel outside on every side.
_PAD = 1


_Side = tuple[int, Bool[np.ndarray, "y x"]]


def interpolate(
    mask: UInt8[np.ndarray, "z y x"], spacing: Triple, *, point: VoxelIndex, label: int, max_gap: int = 12
) -> Delta:
    """The change that fills the empty slices between drawn slices of one object.

    Drawn 2D regions belong together where they overlap in plane, in neighbouring slices or across at most
    ``max_gap`` empty ones; the object is all that hangs together with the region under the point.

    Args:
        mask: Working mask.
        spacing: mm along z, y, x.
        point: A drawn voxel of the object.
        label: Its label.
        max_gap: Most empty slices to bridge.

    Raises:
        LabelError: ``NO_COMPONENT`` if the point does not have the label, ``NOTHING_CHANGED`` if there is no gap.
    """
    check_inside(point, mask.shape)
    if int(mask[point]) != label:
        raise LabelError("NO_COMPONENT", "There is no such label under the point.", "Click a drawn slice.")
    box = tight_box(mask == label)
    assert box is not None
    drawn = mask[box] == label
    # One call for the whole volume instead of one for each slice.
    numbers = cc3d.connected_components(_apart(drawn), connectivity=26)[::2]
    z, y, x = (p - s.start for p, s in zip(point, box, strict=True))
    gaps = _gaps(numbers, (z, y, x), max_gap)
    if not gaps:
        message = "No gap between drawn slices of this object was found."
        raise LabelError("NOTHING_CHANGED", message, "Draw it in two slices that overlap in plane.")
    target = np.zeros(drawn.shape, dtype=bool)
    for (lower, below), (upper, above) in gaps:
        rows, columns = _window(below | above)
        distances = [_signed_distance(side[rows, columns], spacing) for side in (below, above)]
        for plane in range(lower + 1, upper):
            share = (plane - lower) / (upper - lower)
            # Shape-based interpolation (Raya and Udupa 1990): the outline is where the blended distance is 0.
            target[plane, rows, columns] |= (1 - share) * distances[0] + share * distances[1] > 0
    return change(mask, box, target, label, spare_lesions=True)


def _apart(region: Bool[np.ndarray, "z y x"]) -> UInt8[np.ndarray, "w y x"]:
    """The region with an empty slice between any two, so that components stay in their slice."""
    spread = np.zeros((2 * len(region) - 1, *region.shape[1:]), dtype=np.uint8)
    spread[::2] = region
    return spread


def _gaps(numbers: np.ndarray, point: VoxelIndex, max_gap: int) -> list[tuple[_Side, _Side]]:
    """Pairs of slices to bridge, with the object's part in each: found by walking from the point up and down."""
    drawn = {point[0]: {int(numbers[point])}}
    pairs: set[tuple[int, int]] = set()
    waiting = [point[0]]
    while waiting:
        z = waiting.pop()
        here = np.isin(numbers[z], list(drawn[z]))
        for step in (-1, 1):
            other, found = _next_drawn(numbers, z, step, here, max_gap)
            if other is None:
                continue
            pairs.add((min(z, other), max(z, other)))
            # A slice is gone through again when the object gets a further part there: branches join below a slice.
            if not found <= drawn.setdefault(other, set()):
                drawn[other] |= found
                waiting.append(other)
    parts = {z: np.isin(numbers[z], list(members)) for z, members in drawn.items()}
    return [((a, parts[a]), (b, parts[b])) for a, b in sorted(pairs) if b - a > 1]


def _next_drawn(
    numbers: np.ndarray, z: int, step: int, here: Bool[np.ndarray, "y x"], max_gap: int
) -> tuple[int | None, set[int]]:
    for other in range(z + step, z + step * (max_gap + 2), step):
        if not 0 <= other < len(numbers):
            break
        found = np.unique(numbers[other][here])
        found = found[found > 0]
        if found.size:
            return other, {int(n) for n in found}
    return None, set()


def _window(region: Bool[np.ndarray, "y x"]) -> tuple[slice, slice]:
    y, x = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    return slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1)


def _signed_distance(plane: Bool[np.ndarray, "y x"], spacing: Triple) -> Float[np.ndarray, "y x"]:
    """Distance in mm to the outline, positive inside; voxels touching the outline are one pixel off it."""
    padded = np.pad(plane, _PAD)
    pixel = spacing[1:]
    inside = ndimage.distance_transform_edt(padded, sampling=pixel)
    outside = ndimage.distance_transform_edt(~padded, sampling=pixel)
    signed = np.asarray(inside) - np.asarray(outside)
    return signed[_PAD:-_PAD, _PAD:-_PAD]
