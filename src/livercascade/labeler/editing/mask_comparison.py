"""Intelligent Editing: two masks compared lesion by lesion (paper, Sec. III-C, steps 4, 7, 10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from livercascade.data.labels import LESION_TYPES
from livercascade.data.lesion import Box
from livercascade.labeler.editing.lesion_components import Components, components_in, lesion_box, lesion_voxels, union

ORGANS_ID = "organs"


class DifferenceKind(Enum):
    """What became of a lesion, in the order in which a reader should see it."""

    ADDED = "added"
    REMOVED = "removed"
    RELABELLED = "relabelled"
    SPLIT = "split"
    MERGED = "merged"
    BOUNDARY = "boundary"
    SAME = "same"


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Lesions of both masks that share voxels.

    Attributes:
        id: ``d`` and the smallest flat index of its voxels; ``organs`` for the organs.
        kind: What became of them.
        old: Label and voxels of each old lesion, largest first.
        new: Label and voxels of each new lesion, largest first.
        box: Smallest box round its region.
        region: Voxels, inside the box, of all its lesions in old and new.
        changed: Voxels of the region whose labels differ.
        dice: Overlap of the lesion voxels of both sides, whatever their labels.
    """

    id: str
    kind: DifferenceKind
    old: tuple[tuple[int, int], ...]
    new: tuple[tuple[int, int], ...]
    box: Box
    region: Bool[np.ndarray, "a b c"]
    changed: int
    dice: float

    @property
    def size(self) -> int:
        """Voxels of the larger side."""
        return max(sum(n for _, n in self.old), sum(n for _, n in self.new))


def compare(old: UInt8[np.ndarray, "z y x"], new: UInt8[np.ndarray, "a b c"]) -> list[Difference]:
    """Every lesion of two masks in exactly one item, most important first.

    Lesions are 26-connected components of one label. Those of old and new that share a voxel belong to one item,
    whatever their labels, so regions of two items never share a voxel. One item more tells of the organs, if
    voxels outside all lesions differ.

    Raises:
        ValueError: The masks differ in shape.
    """
    if old.shape != new.shape:
        raise ValueError(f"masks have shapes {old.shape} and {new.shape}")
    box = union(lesion_box(old), lesion_box(new))
    found = [] if box is None else list(_lesion_items(old, new, box))
    order = list(DifferenceKind)
    found.sort(key=lambda d: (order.index(d.kind), -(d.changed if d.kind is DifferenceKind.BOUNDARY else d.size), d.id))
    organs = organ_item(old, new)
    if organs is not None:
        place = next((i for i, d in enumerate(found) if d.kind is DifferenceKind.SAME), len(found))
        found.insert(place, organs)
    return found


def organ_item(old: UInt8[np.ndarray, "z y x"], new: UInt8[np.ndarray, "z y x"]) -> Difference | None:
    """Voxels outside all lesions of both masks whose labels differ; None if there are none."""
    planes = np.flatnonzero([not np.array_equal(a, b) for a, b in zip(old, new, strict=True)])
    if not planes.size:
        return None
    z = slice(int(planes[0]), int(planes[-1]) + 1)
    region = old[z] != new[z]
    region &= ~(lesion_voxels(old[z]) | lesion_voxels(new[z]))
    changed = int(np.count_nonzero(region))
    if not changed:
        return None
    boundary = DifferenceKind.BOUNDARY
    box = (z, slice(0, old.shape[1]), slice(0, old.shape[2]))
    inner = _tight(region)
    box = tuple(slice(b.start + i.start, b.start + i.stop) for b, i in zip(box, inner, strict=True))
    before, after = old[box][region[inner]], new[box][region[inner]]
    return Difference(
        ORGANS_ID, boundary, _counts(before), _counts(after), (box[0], box[1], box[2]), region[inner], changed, 0.0
    )


def _lesion_items(old: UInt8[np.ndarray, "z y x"], new: UInt8[np.ndarray, "z y x"], box: Box) -> Iterator[Difference]:
    before, after = components_in(old, box), components_in(new, box)
    for olds, news in _groups(before, after):
        yield _item((old, new), (before, after), (olds, news))


def _groups(before: Components, after: Components) -> Iterator[tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]]]:
    """Numbers of the old and new lesions of each item: connected parts of the graph of overlaps."""
    both = (before.numbers > 0) & (after.numbers > 0)
    columns = after.count + 1
    keys = np.unique(before.numbers[both].astype(np.int64) * columns + after.numbers[both])
    i, j = np.divmod(keys, columns)
    total = before.count + after.count
    graph = coo_array((np.ones(len(keys), np.int8), (i - 1, j - 1 + before.count)), shape=(total, total))
    count, group = connected_components(graph.tocsr(), directed=False)
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(count + 1))
    for start, end in pairwise(bounds):
        members = order[start:end]
        old = members[members < before.count] + 1
        yield old, members[members >= before.count] - before.count + 1


def _item(
    masks: tuple[np.ndarray, np.ndarray],
    sides: tuple[Components, Components],
    members: tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]],
) -> Difference:
    box: Box | None = None
    for side, numbers in zip(sides, members, strict=True):
        for number in numbers:
            box = union(box, side.boxes[int(number)])
    if box is None:
        raise ValueError("an item has no lesion")
    one, other = (_voxels_of(side, numbers, box) for side, numbers in zip(sides, members, strict=True))
    region = one | other
    changed = int(np.count_nonzero((masks[0][box] != masks[1][box]) & region))
    shared = int(np.count_nonzero(one & other))
    old, new = (_told(side, numbers) for side, numbers in zip(sides, members, strict=True))
    first = np.unravel_index(int(region.argmax()), region.shape)
    z, y, x = (int(f) + s.start for f, s in zip(first, box, strict=True))
    _, ny, nx = masks[0].shape
    dice = 2 * shared / (int(np.count_nonzero(one)) + int(np.count_nonzero(other)))
    return Difference(f"d{(z * ny + y) * nx + x}", _kind(old, new, changed), old, new, box, region, changed, dice)


def _kind(old: Sequence[tuple[int, int]], new: Sequence[tuple[int, int]], changed: int) -> DifferenceKind:
    if not old:
        return DifferenceKind.ADDED
    if not new:
        return DifferenceKind.REMOVED
    if not changed:
        return DifferenceKind.SAME
    if len(new) != len(old):
        return DifferenceKind.SPLIT if len(new) > len(old) else DifferenceKind.MERGED
    types = [sorted(label for label, _ in side) for side in (old, new)]
    return DifferenceKind.BOUNDARY if types[0] == types[1] else DifferenceKind.RELABELLED


def _voxels_of(side: Components, numbers: Int[np.ndarray, " n"], box: Box) -> Bool[np.ndarray, "a b c"]:
    z, y, x = (slice(s.start - b.start, s.stop - b.start) for s, b in zip(box, side.box, strict=True))
    part = side.numbers[z, y, x]
    if len(numbers) == 1:
        return part == numbers[0]
    return np.isin(part, numbers)


def _told(side: Components, numbers: Int[np.ndarray, " n"]) -> tuple[tuple[int, int], ...]:
    pairs = [(int(side.labels[n]), int(side.voxels[n])) for n in numbers]
    return tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def _counts(labels: UInt8[np.ndarray, " n"]) -> tuple[tuple[int, int], ...]:
    votes = np.bincount(labels, minlength=len(LESION_TYPES))
    return tuple((int(label), int(votes[label])) for label in np.argsort(-votes, kind="stable") if votes[label])


def _tight(region: Bool[np.ndarray, "z y x"]) -> Box:
    z = np.flatnonzero(region.any(axis=(1, 2)))
    plane: Bool[np.ndarray, "y x"] = np.asarray(region.any(axis=0))
    y, x = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    z0, y0, x0 = (slice(int(hit[0]), int(hit[-1]) + 1) for hit in (z, y, x))
    return z0, y0, x0
