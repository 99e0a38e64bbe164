"""Lesions as the reader means them: 26-connected components of one label, found inside the box that holds them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt16, UInt32

from livercascade.data.grid import Grid
from livercascade.data.labels import BACKGROUND, FIRST_LESION, LAST_LESION, ORGANS
from livercascade.data.lesion import Box
from livercascade.detect.diameter import boundary, farthest
from livercascade.labeler.label_error import LabelError, not_found

CONNECTIVITY = 26
VoxelIndex = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """Numbered components inside a box of a mask.

    Attributes:
        box: Where ``numbers`` lies in the whole array.
        numbers: 0 outside, else 1 to ``count``.
        labels: Label of component i at place i; place 0 is background.
        voxels: Voxels of component i.
        boxes: Box of component i in the whole array; place 0 is not used.
    """

    box: Box
    numbers: UInt16[np.ndarray, "a b c"] | UInt32[np.ndarray, "a b c"]
    labels: UInt8[np.ndarray, " m"]
    voxels: Int[np.ndarray, " m"]
    boxes: Sequence[Box]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.labels) - 1

    def part(self, number: int) -> Bool[np.ndarray, "a b c"]:
        """Voxels of a component inside its own box."""
        inner = tuple(
            slice(s.start - b.start, s.stop - b.start) for s, b in zip(self.boxes[number], self.box, strict=True)
        )
        return self.numbers[inner] == number


def lesion_voxels(mask: UInt8[np.ndarray, "*n"]) -> Bool[np.ndarray, "*n"]:
    """Where the label is a lesion, 1-6; background wraps round to 255."""
    return (mask - np.uint8(FIRST_LESION)) <= np.uint8(LAST_LESION - FIRST_LESION)


def lesion_box(mask: UInt8[np.ndarray, "z y x"]) -> Box | None:
    """Smallest box that holds every lesion voxel; None if there is none."""
    lesion = lesion_voxels(mask)
    z = np.flatnonzero(lesion.reshape(len(mask), -1).any(axis=1))
    if not z.size:
        return None
    part = lesion[z[0] : z[-1] + 1]
    plane: Bool[np.ndarray, "y x"] = np.asarray(part.any(axis=0))
    y, x = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return _range(z), _range(y), _range(x)


def union(one: Box | None, other: Box | None) -> Box | None:
    """Smallest box round both."""
    if one is None or other is None:
        return one or other
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return z, y, x


def components_in(mask: UInt8[np.ndarray, "z y x"], box: Box) -> Components:
    """Lesions of the part of a mask inside ``box``."""
    part = mask[box]
    return _numbered(np.where(lesion_voxels(part), part, np.uint8(0)), box)


def lesions_of(mask: UInt8[np.ndarray, "z y x"]) -> Components | None:
    """All lesions of a mask; None if there are none."""
    box = lesion_box(mask)
    return None if box is None else components_in(mask, box)


def component_at(mask: UInt8[np.ndarray, "z y x"], point: VoxelIndex) -> tuple[Box, Bool[np.ndarray, "a b c"]]:
    """Box and voxels of the whole 3D component under a point, of whatever label.

    Raises:
        LabelError: ``NO_COMPONENT`` on background; 404 outside the mask.
    """
    check_inside(point, mask.shape)
    label = int(mask[point])
    if label == BACKGROUND:
        raise LabelError("NO_COMPONENT", "There is only background under the point.", "Click a labelled voxel.")
    box = label_box(mask, label)
    found = _numbered((mask[box] == label).astype(np.uint8), box)
    number = int(found.numbers[tuple(p - s.start for p, s in zip(point, box, strict=True))])
    return found.boxes[number], found.part(number)


def check_inside(point: Sequence[int], shape: Sequence[int]) -> None:
    """Refuse a point outside the mask.

    Raises:
        LabelError: ``NOT_FOUND``.
    """
    if len(point) != 3 or any(not 0 <= p < n for p, n in zip(point, shape, strict=True)):
        raise not_found("voxel")


def flat_indices(part: Bool[np.ndarray, "a b c"], box: Box, shape: tuple[int, ...]) -> UInt32[np.ndarray, " n"]:
    """Flat indices in the whole array of the voxels of a part, increasing."""
    z, y, x = np.nonzero(part)
    flat = ((z + box[0].start) * shape[1] + (y + box[1].start)) * shape[2] + (x + box[2].start)
    return flat.astype(np.uint32)


def describe(part: Bool[np.ndarray, "a b c"], box: Box, grid: Grid) -> dict[str, Any]:
    """Size and place of one component, as the interface tells them."""
    areas = part.sum(axis=(1, 2))
    best = int(areas.argmax())
    middle = np.argwhere(part).mean(axis=0) + [s.start for s in box]
    inside = np.argwhere(part[best])
    at = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
    first = np.unravel_index(int(part.argmax()), part.shape)
    corner = [s.start for s in box]
    z, y, x = (int(f) + c for f, c in zip(first, corner, strict=True))
    voxels = int(areas.sum())
    return {
        "voxels": voxels,
        "volume_ml": round(voxels * grid.voxel_ml, 4),
        "slices": [box[0].start, box[0].stop - 1],
        "slice": corner[0] + best,
        "at": [corner[0] + best, corner[1] + int(at[0]), corner[2] + int(at[1])],
        "centroid": [round(float(v), 2) for v in grid.world(middle)],
        "box": [[s.start, s.stop] for s in box],
        "first": (z * grid.shape[1] + y) * grid.shape[2] + x,
    }


def diameter_mm(part: Bool[np.ndarray, "a b c"], grid: Grid) -> float:
    """Longest axial diameter of a component, in any slice, measured as in the reports (`report.measure`)."""
    pixel = np.asarray(grid.spacing[1:])
    return max((farthest(boundary(plane) * pixel)[0] for plane in part if plane.any()), default=0.0)


def organ_volumes(mask: UInt8[np.ndarray, "z y x"], grid: Grid) -> dict[str, float]:
    """Volume in ml of each organ label that is present."""
    counts = np.zeros(256, dtype=np.int64)
    for plane in mask:
        counts += np.bincount(plane.reshape(-1), minlength=256)
    return {str(int(organ)): round(int(counts[organ]) * grid.voxel_ml, 2) for organ in ORGANS if counts[organ]}


def _numbered(part: UInt8[np.ndarray, "a b c"], box: Box) -> Components:
    numbers = cc3d.connected_components(np.ascontiguousarray(part), connectivity=CONNECTIVITY)
    stats = cc3d.statistics(numbers, no_slice_conversion=False)
    voxels = np.asarray(stats["voxel_counts"]).astype(np.int64)
    boxes: list[Box] = []
    labels = np.zeros(len(voxels), dtype=np.uint8)
    for number, inner in enumerate(stats["bounding_boxes"]):
        if number == 0:
            boxes.append((slice(0, 0), slice(0, 0), slice(0, 0)))
            continue
        z, y, x = (slice(int(s.start) + b.start, int(s.stop) + b.start) for s, b in zip(inner, box, strict=True))
        boxes.append((z, y, x))
        row = numbers[inner][0]
        labels[number] = part[inner][0][row == number][0]
    return Components(box, numbers, labels, voxels, boxes)


def label_box(mask: UInt8[np.ndarray, "z y x"], label: int) -> Box:
    """Smallest box that holds every voxel of a label, which must be present."""
    same = mask == label
    z = np.flatnonzero(same.reshape(len(mask), -1).any(axis=1))
    plane = same[z[0] : z[-1] + 1].any(axis=0)
    return _range(z), _range(np.flatnonzero(plane.any(axis=1))), _range(np.flatnonzero(plane.any(axis=0)))


def _range(hit: Int[np.ndarray, " n"]) -> slice:
    return slice(int(hit[0]), int(hit[-1]) + 1)
