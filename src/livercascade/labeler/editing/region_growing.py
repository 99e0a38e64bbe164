"""Region growing: what is connected to a point and has HU in a range."""

from __future__ import annotations

from collections.abc import Sequence

import cc3d
import numpy as np
from jaxtyping import Bool, Int16, UInt8

from livercascade.data.grid import Triple
from livercascade.data.lesion import Box
from livercascade.labeler.contract.request_schemas import GrowRequest
from livercascade.labeler.editing.lesion_components import check_inside, lesion_voxels
from livercascade.labeler.editing.lesion_tools import change
from livercascade.labeler.imaging.mask_delta import Delta, VoxelIndex
from livercascade.labeler.label_error import LabelError


def grow(
    mask: UInt8[np.ndarray, "z y x"], hu: Int16[np.ndarray, "z y x"], spacing: Triple, request: GrowRequest
) -> Delta:
    """The change that labels the region round a point.

    Args:
        mask: Working mask.
        hu: Phase to grow in, on the same grid.
        spacing: mm along z, y, x.
        request: Point, label, range of HU and limits.

    Raises:
        LabelError: ``OUTSIDE_RANGE`` if the HU of the point itself is not in the range.
    """
    point = request.at
    check_inside(point, mask.shape)
    if not request.low <= int(hu[point]) <= request.high:
        message = f"The point has {int(hu[point])} HU, the range is {request.low:g} to {request.high:g}."
        raise LabelError("OUTSIDE_RANGE", message, "Widen the range, or click elsewhere.")
    # Cut to the ball first: a reader waits for each click, and the whole volume takes long.
    box = ball_box(point, request.radius_mm, spacing, mask.shape)
    if not request.volume:
        box = (slice(point[0], point[0] + 1), box[1], box[2])
    near = in_ball(box, point, request.radius_mm, spacing)
    free = _free(mask[box], request.label, request.inside)
    allowed = near & free & (hu[box] >= request.low) & (hu[box] <= request.high)
    start = (point[0] - box[0].start, point[1] - box[1].start, point[2] - box[2].start)
    # The point itself may have a label that may not be written over; the region grows from it all the same.
    allowed[start] = True
    numbers = cc3d.connected_components(np.ascontiguousarray(allowed).astype(np.uint8), connectivity=26)
    return change(mask, box, (numbers == numbers[start]) & free, request.label)


def ball_box(point: VoxelIndex, radius_mm: float, spacing: Triple, shape: Sequence[int]) -> Box:
    """Box round a ball, cut at the edges of the array."""
    z, y, x = (
        slice(max(0, p - int(radius_mm / s)), min(n, p + int(radius_mm / s) + 1))
        for p, s, n in zip(point, spacing, shape, strict=True)
    )
    return z, y, x


def in_ball(box: Box, point: VoxelIndex, radius_mm: float, spacing: Triple) -> Bool[np.ndarray, "a b c"]:
    """Voxels of a box within a distance of a point."""
    z, y, x = (((np.arange(s.start, s.stop) - p) * mm) ** 2 for s, p, mm in zip(box, point, spacing, strict=True))
    return z[:, None, None] + y[:, None] + x <= radius_mm**2


def _free(part: UInt8[np.ndarray, "a b c"], label: int, inside: Sequence[int] | None) -> Bool[np.ndarray, "a b c"]:
    if inside is None:
        return ~lesion_voxels(part) | (part == label)
    return np.isin(part, [*inside, label])
