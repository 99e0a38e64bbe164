"""Acts on whole lesions: update (relabel), delete, copy from another mask, split, fill holes (paper, Sec. III-C)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from livercascade.data.lesion import Box, grown
from livercascade.labeler.editing.lesion_components import (
    component_at,
    flat_indices,
    lesion_voxels,
    lesions_at,
)
from livercascade.labeler.imaging.mask_delta import Delta, LabelMask, VoxelIndex, empty_delta
from livercascade.labeler.label_error import bad_request

# Room for the nearest voxel that is no lesion: without it the label of a lesion as wide as its box has no source.
_MARGIN = 3
_IN_SLICE = np.ones((1, 3, 3), dtype=bool)


def relabel(mask: LabelMask, points: Sequence[VoxelIndex], label: int) -> Delta:
    """Give every whole lesion under a point one label."""
    return joined([change(mask, lesion.bbox, lesion.mask, label) for lesion in lesions_at(mask, points)])


def delete(mask: LabelMask, points: Sequence[VoxelIndex]) -> Delta:
    """Take whole lesions away: each voxel gets the label of the nearest voxel, in index space, that is no lesion."""
    return joined([_erased(mask, lesion.bbox, lesion.mask) for lesion in lesions_at(mask, points)])


def copy(
    mask: LabelMask, other: LabelMask, point: VoxelIndex, *, label: int | None, planes: tuple[int, int] | None = None
) -> Delta:
    """Write the lesion under a point of another mask here.

    Args:
        mask: Mask to write to.
        other: Mask to copy from; same shape.
        point: Voxel of the lesion in ``other``.
        label: Label of the copy; None keeps the label of every voxel.
        planes: Slice of the lesion and slice to write it to; None copies all of it.
    """
    (lesion,) = lesions_at(other, [point])
    box, part = lesion.bbox, lesion.mask
    values: UInt8[np.ndarray, "a b c"] = other[box] if label is None else np.full(part.shape, label, np.uint8)
    if planes is None:
        return change(mask, box, part, values, spare_lesions=True)
    source, target = planes
    if not box[0].start <= source < box[0].stop or not 0 <= target < len(mask):
        raise bad_request("The lesion has no such slice, or there is no such slice to write to.")
    plane = slice(source - box[0].start, source - box[0].start + 1)
    return change(mask, (slice(target, target + 1), box[1], box[2]), part[plane], values[plane], spare_lesions=True)


def split(mask: LabelMask, point: VoxelIndex, line: Sequence[Sequence[float]], label: int) -> Delta:
    """Cut the lesion under a point along a line, through all slices, into lesions of their own.

    The point's side gets the label. Parts that touch are one lesion whatever their types, so the voxels of the other
    side that touch it are given back to what surrounds the lesion.

    Args:
        mask: Working mask.
        point: Voxel of the lesion, off the line.
        line: Two ends (y, x) of the line, which goes on beyond them.
        label: Label of the point's side.
    """
    (y0, x0), (y1, x1) = line
    if (y0, x0) == (y1, x1):
        raise bad_request("The two ends of the line are one point.")
    (lesion,) = lesions_at(mask, [point])
    box, part = lesion.bbox, lesion.mask
    y, x = np.ogrid[box[1], box[2]]
    side = np.sign((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0))
    own = np.sign((x1 - x0) * (point[1] - y0) - (y1 - y0) * (point[2] - x0))
    if own == 0:
        raise bad_request("The point lies on the line.")
    mine = part & (side == own)[None]
    # Within the slice alone: voxels straight above each other lie on one side of the line.
    gap = part & ~mine & np.asarray(ndimage.binary_dilation(mine, _IN_SLICE))
    return joined([change(mask, box, mine, label), _erased(mask, box, gap)])


def fill_holes(mask: LabelMask, point: VoxelIndex) -> Delta:
    """Fill what each slice of the component under a point encloses, but for other lesions."""
    label, box, part = component_at(mask, point)
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in part])
    return change(mask, box, filled, label, spare_lesions=True)


def change(
    mask: LabelMask,
    box: Box,
    part: Bool[np.ndarray, "a b c"],
    label: int | UInt8[np.ndarray, "a b c"],
    *,
    spare_lesions: bool = False,
) -> Delta:
    """The change that writes a label into a part of a box.

    Args:
        mask: Working mask.
        box: Place of ``part``.
        part: Voxels to write.
        label: Label to write, or one for every voxel of the box.
        spare_lesions: True leaves voxels of lesions as they are.
    """
    inside = mask[box]
    hit = part & (inside != label)
    if spare_lesions:
        # What a reader has drawn already stands; a tool never takes a voxel of one lesion for another.
        hit &= ~lesion_voxels(inside)
    new = label[hit] if isinstance(label, np.ndarray) else np.full(np.count_nonzero(hit), label, np.uint8)
    return Delta(flat_indices(hit, box, mask.shape), inside[hit], new)


def joined(parts: Sequence[Delta]) -> Delta:
    """One change of several that write the same to what they share."""
    if not parts:
        return empty_delta()
    index, first = np.unique(np.concatenate([part.index for part in parts]), return_index=True)
    old, new = (np.concatenate([getattr(part, side) for part in parts])[first] for side in ("old", "new"))
    return Delta(index, old, new)


def _erased(mask: LabelMask, box: Box, part: Bool[np.ndarray, "a b c"]) -> Delta:
    """The change that gives voxels of lesions the label of the nearest voxel that is no lesion."""
    z, y, x = mask.shape
    wide = grown(box, (_MARGIN, _MARGIN, _MARGIN), (z, y, x))
    around = mask[wide]
    lesion = lesion_voxels(around)
    if lesion.all():
        label: UInt8[np.ndarray, "a b c"] = np.zeros(part.shape, np.uint8)
    else:
        nearest = ndimage.distance_transform_edt(lesion, return_distances=False, return_indices=True)
        inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))
        label = around[tuple(axis[inner] for axis in np.asarray(nearest))]
    return Delta(flat_indices(part, box, mask.shape), mask[box][part], label[part])
