"""Lesions of a mask as `livercascade.detect.seg2det` finds them: those of the report and of the evaluation.

A lesion is a connected part of all lesion voxels together, whatever their types: pixels of a slice that touch by edge
or corner, and pixels straight above each other. Its type is the one of most voxels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int32, UInt8, UInt32

from livercascade.data.grid import Grid
from livercascade.data.labels import BACKGROUND, FIRST_LESION, LAST_LESION, ORGANS
from livercascade.data.lesion import Box, Lesion, LesionSet
from livercascade.detect.components import components
from livercascade.detect.diameter import boundary, farthest
from livercascade.detect.seg2det import seg2det
from livercascade.labeler.imaging.mask_delta import VoxelIndex
from livercascade.labeler.label_error import LabelError, not_found

NEIGHBOURS = 10
"""Voxels that a voxel is connected to: eight in its slice, one above, one below."""
_ANY_SPACING = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class ReportNumbers:
    """Numbers that a report gives its lesions, as far as its ``lesions.nii.gz`` holds any.

    Attributes:
        box: Place of ``numbers`` in the whole array.
        numbers: 0 outside, else the number of the lesion: 3 for L3.
    """

    box: Box
    numbers: Int32[np.ndarray, "a b c"]

    @classmethod
    def of_map(cls, numbers: Int32[np.ndarray, "z y x"]) -> ReportNumbers | None:
        """The part of a map that holds lesions; None if there are none."""
        box = tight_box(numbers != 0)
        return None if box is None else cls(box, numbers[box].copy())

    def of_lesions(self, lesions: LesionSet) -> list[int]:
        """Number of each lesion of a mask, all different.

        Lesions and numbers find each other by the voxels they share, most first. What the report does not know is
        numbered on from its last number, largest first; a lesion keeps its number through edits and retyping.
        """
        shares = sorted(
            (-voxels, place, number)
            for place, lesion in enumerate(lesions)
            for number, voxels in self._shared(lesion).items()
        )
        given: dict[int, int] = {}
        for _, place, number in shares:
            if place not in given and number not in given.values():
                given[place] = number
        following = int(self.numbers.max()) + 1
        for place in range(len(lesions)):
            if place not in given:
                given[place] = following
                following += 1
        return [given[place] for place in range(len(lesions))]

    def _shared(self, lesion: Lesion) -> dict[int, int]:
        both = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(self.box, lesion.bbox, strict=True)]
        if any(low >= high for low, high in both):
            return {}
        here, there = (
            tuple(slice(low - s.start, high - s.start) for (low, high), s in zip(both, sides, strict=True))
            for sides in (self.box, lesion.bbox)
        )
        numbers, voxels = np.unique(self.numbers[here][lesion.mask[there]], return_counts=True)
        return {int(n): int(v) for n, v in zip(numbers, voxels, strict=True) if n}


def lesions_of(mask: UInt8[np.ndarray, "z y x"], grid: Grid | None = None) -> LesionSet:
    """Every lesion of a mask, however small, largest first; without a grid their places and volumes mean nothing."""
    return seg2det(mask, grid or _ANY_SPACING, min_volume_ml=0.0)


def lesions_at(mask: UInt8[np.ndarray, "z y x"], points: Sequence[VoxelIndex]) -> list[Lesion]:
    """The lesion under each point, once each, in the order of the points.

    Raises:
        LabelError: ``NO_COMPONENT`` where there is none; 404 outside the mask.
    """
    for point in points:
        check_inside(point, mask.shape)
    lesions = lesions_of(mask)
    places = dict.fromkeys(index_of(lesions, point) for point in points)
    if None in places:
        raise LabelError("NO_COMPONENT", "There is no lesion under the point.", "Click a lesion.")
    return [lesions[place] for place in places if place is not None]


def index_of(lesions: Sequence[Lesion], point: Sequence[int]) -> int | None:
    """Place of the lesion that holds a voxel, None if none does."""
    return next((place for place, lesion in enumerate(lesions) if _holds(lesion.bbox, lesion.mask, point)), None)


def component_at(mask: UInt8[np.ndarray, "z y x"], point: VoxelIndex) -> tuple[int, Box, Bool[np.ndarray, "a b c"]]:
    """Label, box and voxels of what is connected to a point: the lesion with its type, else the part of an organ.

    Raises:
        LabelError: ``NO_COMPONENT`` on background; 404 outside the mask.
    """
    check_inside(point, mask.shape)
    label = int(mask[point])
    if label == BACKGROUND:
        raise LabelError("NO_COMPONENT", "There is only background under the point.", "Click a labelled voxel.")
    if FIRST_LESION <= label <= LAST_LESION:
        (lesion,) = lesions_at(mask, [point])
        return int(lesion.label), lesion.bbox, lesion.mask
    box, part = next(one for one in _parts(mask == label) if _holds(*one, point))
    return label, box, part


def lesion_voxels(mask: UInt8[np.ndarray, "*n"]) -> Bool[np.ndarray, "*n"]:
    """Voxels whose label is a lesion, 1-6."""
    # Background wraps round to 255: one comparison instead of two.
    return (mask - np.uint8(FIRST_LESION)) <= np.uint8(LAST_LESION - FIRST_LESION)


def tight_box(region: Bool[np.ndarray, "z y x"]) -> Box | None:
    """Smallest box that holds every true voxel; None if there is none."""
    z = np.flatnonzero(region.reshape(len(region), -1).any(axis=1))
    if not z.size:
        return None
    plane: Bool[np.ndarray, "y x"] = np.asarray(region[z[0] : z[-1] + 1].any(axis=0))
    return _range(z), _range(np.flatnonzero(plane.any(axis=1))), _range(np.flatnonzero(plane.any(axis=0)))


def union(one: Box | None, other: Box | None) -> Box | None:
    """Smallest box round both."""
    if one is None or other is None:
        return one or other
    z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return z, y, x


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


def first_index(part: Bool[np.ndarray, "a b c"], box: Box, shape: tuple[int, ...]) -> int:
    """Smallest flat index of a part in the whole array."""
    z, y, x = (int(f) + s.start for f, s in zip(np.unravel_index(int(part.argmax()), part.shape), box, strict=True))
    return (z * shape[1] + y) * shape[2] + x


def place_to_look(part: Bool[np.ndarray, "a b c"], box: Box) -> VoxelIndex:
    """Voxel of a part in its largest cross-section, nearest to the middle there."""
    best = int(part.sum(axis=(1, 2)).argmax())
    # A voxel of the part itself: the middle of a crescent lies outside it.
    inside = np.argwhere(part[best])
    y, x = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
    return box[0].start + best, box[1].start + int(y), box[2].start + int(x)


def diameter_mm(part: Bool[np.ndarray, "a b c"], grid: Grid) -> float:
    """Longest axial diameter of a component, in any slice, measured as in the reports (`report.measure`)."""
    pixel = np.asarray(grid.spacing[1:])
    return max((farthest(boundary(plane) * pixel)[0] for plane in part if plane.any()), default=0.0)


def organ_volumes(mask: UInt8[np.ndarray, "z y x"], grid: Grid) -> dict[str, float]:
    """Volume in ml of each organ label that is present."""
    counts = np.zeros(256, dtype=np.int64)
    # Slice by slice: `bincount` makes 64-bit integers of all it gets, eight times the memory of the mask.
    for plane in mask:
        counts += np.bincount(plane.reshape(-1), minlength=256)
    return {str(int(organ)): round(int(counts[organ]) * grid.voxel_ml, 2) for organ in ORGANS if counts[organ]}


def _holds(box: Box, part: Bool[np.ndarray, "a b c"], point: Sequence[int]) -> bool:
    inner = tuple(p - s.start for p, s in zip(point, box, strict=True))
    return all(0 <= p < n for p, n in zip(inner, part.shape, strict=True)) and bool(part[inner])


def _parts(region: Bool[np.ndarray, "z y x"]) -> Iterator[tuple[Box, Bool[np.ndarray, "a b c"]]]:
    """Box and voxels of every connected part of a region."""
    outer = tight_box(region)
    if outer is None:
        return
    for inner, part in components(np.ascontiguousarray(region[outer])):
        z, y, x = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
        yield (z, y, x), part


def _range(hit: Int[np.ndarray, " n"]) -> slice:
    return slice(int(hit[0]), int(hit[-1]) + 1)
