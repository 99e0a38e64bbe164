"""Acts on whole lesions: update (relabel), delete, copy from another mask, split, fill holes (paper, Sec. III-C)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from livercascade.data.lesion import Box
from livercascade.labeler.editing.lesion_components import VoxelIndex, component_at, flat_indices, lesion_voxels
from livercascade.labeler.imaging.mask_delta import Delta, LabelMask, empty_delta
from livercascade.labeler.label_error import LabelError, bad_request

_MARGIN = 3


def relabel(mask: LabelMask, points: Sequence[VoxelIndex], label: int) -> Delta:
    """Give every whole lesion under a point another label."""
    return joined([change(mask, *_lesion(mask, point), label) for point in points])


def delete(mask: LabelMask, points: Sequence[VoxelIndex]) -> Delta:
    """Take whole lesions away: each voxel gets the label of the nearest voxel, in index space, that is no lesion."""
    return joined([_deleted(mask, *_lesion(mask, point)) for point in points])


def copy(
    mask: LabelMask, other: LabelMask, point: VoxelIndex, *, label: int | None, planes: tuple[int, int] | None = None
) -> Delta:
    """Write the lesion under a point of another mask here.

    Args:
        mask: Where to.
        other: Where from; same shape.
        point: A voxel of the lesion in ``other``.
        label: Its label here; None keeps it.
        planes: Slice of the lesion and slice to write it to; None copies all of it.
    """
    box, part = _lesion(other, point)
    value = int(other[point]) if label is None else label
    if planes is None:
        return change(mask, box, part, value, spare_lesions=True)
    source, target = planes
    if not box[0].start <= source < box[0].stop or not 0 <= target < len(mask):
        raise bad_request("The lesion has no such slice, or there is no such slice to write to.")
    plane = part[source - box[0].start : source - box[0].start + 1]
    return change(mask, (slice(target, target + 1), box[1], box[2]), plane, value, spare_lesions=True)


def split(mask: LabelMask, point: VoxelIndex, line: Sequence[Sequence[float]], label: int) -> Delta:
    """Cut the lesion under a point along a line, through all slices; the point's side gets the label.

    Args:
        mask: Working mask.
        point: A voxel of the lesion, off the line.
        line: Two ends (y, x) of the line, which goes on beyond them.
        label: Label of the point's side.
    """
    (y0, x0), (y1, x1) = line
    if (y0, x0) == (y1, x1):
        raise bad_request("The two ends of the line are one point.")
    box, part = _lesion(mask, point)
    y, x = np.ogrid[box[1], box[2]]
    side = np.sign((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0))
    own = np.sign((x1 - x0) * (point[1] - y0) - (y1 - y0) * (point[2] - x0))
    if own == 0:
        raise bad_request("The point lies on the line.")
    return change(mask, box, part & (side == own)[None], label)


def fill_holes(mask: LabelMask, point: VoxelIndex) -> Delta:
    """Fill what each slice of the component under a point encloses, but for other lesions."""
    box, part = component_at(mask, point)
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in part])
    return change(mask, box, filled, int(mask[point]), spare_lesions=True)


def change(
    mask: LabelMask, box: Box, part: Bool[np.ndarray, "a b c"], label: int, *, spare_lesions: bool = False
) -> Delta:
    """The change that writes a label into a part of a box.

    Args:
        mask: Working mask.
        box: Where ``part`` lies.
        part: Voxels to write.
        label: What to write.
        spare_lesions: True leaves voxels of lesions as they are.
    """
    inside = mask[box]
    hit = part & (inside != label)
    if spare_lesions:
        hit &= ~lesion_voxels(inside)
    old = inside[hit]
    return Delta(flat_indices(hit, box, mask.shape), old, np.full(len(old), label, np.uint8))


def joined(parts: Sequence[Delta]) -> Delta:
    """One change of several that write the same to what they share."""
    if not parts:
        return empty_delta()
    index, first = np.unique(np.concatenate([part.index for part in parts]), return_index=True)
    old, new = (np.concatenate([getattr(part, side) for part in parts])[first] for side in ("old", "new"))
    return Delta(index, old, new)


def _lesion(mask: LabelMask, point: VoxelIndex) -> tuple[Box, Bool[np.ndarray, "a b c"]]:
    box, part = component_at(mask, point)
    if not lesion_voxels(mask[point][None])[0]:
        raise LabelError("NO_COMPONENT", "There is no lesion under the point.", "Click a lesion.")
    return box, part


def _deleted(mask: LabelMask, box: Box, part: Bool[np.ndarray, "a b c"]) -> Delta:
    wide = tuple(
        slice(max(0, s.start - _MARGIN), min(n, s.stop + _MARGIN)) for s, n in zip(box, mask.shape, strict=True)
    )
    around = mask[wide]
    lesion = lesion_voxels(around)
    if lesion.all():
        label: UInt8[np.ndarray, "a b c"] = np.zeros(part.shape, np.uint8)
    else:
        nearest = ndimage.distance_transform_edt(lesion, return_distances=False, return_indices=True)
        inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))
        label = around[tuple(axis[inner] for axis in np.asarray(nearest))]
    return Delta(flat_indices(part, box, mask.shape), mask[box][part], label[part])
