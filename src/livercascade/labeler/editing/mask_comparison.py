"""Intelligent Editing: two masks compared lesion by lesion (paper, Sec. III-C, steps 4, 7, 10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from livercascade.data.labels import LESION_TYPES
from livercascade.data.lesion import Box, LesionSet
from livercascade.labeler.editing.lesion_components import first_index, lesion_voxels, lesions_of, tight_box, union

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
        old: Type and voxels of each old lesion, largest first; for the organs each label and its voxels.
        new: Type and voxels of each new lesion, likewise.
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

    Lesions are those of `livercascade.detect.seg2det`. Those of old and new that share a voxel belong to one item,
    whatever their types, so regions of two items never share a voxel. One item more tells of the organs, if
    voxels outside all lesions differ.

    Raises:
        ValueError: The masks differ in shape.
    """
    if old.shape != new.shape:
        raise ValueError(f"masks have shapes {old.shape} and {new.shape}")
    found = list(_lesion_items(old, new))
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
    # A voxel in a lesion of either side belongs to that item: verdicts on two items never meet.
    region &= ~(lesion_voxels(old[z]) | lesion_voxels(new[z]))
    inner = tight_box(region)
    if inner is None:
        return None
    part = region[inner]
    box = (slice(z.start + inner[0].start, z.start + inner[0].stop), inner[1], inner[2])
    before, after = _counts(old[box][part]), _counts(new[box][part])
    return Difference(
        ORGANS_ID, DifferenceKind.BOUNDARY, before, after, box, part, changed=int(np.count_nonzero(part)), dice=0.0
    )


@dataclass(frozen=True, slots=True, eq=False)
class _NumberedLesions:
    """Lesions of one side, and an array that tells which voxel belongs to which.

    Attributes:
        mask: Labels of the side.
        lesions: Its lesions.
        box: Place of ``numbers`` in the whole array.
        numbers: 0 outside, else the place of the lesion in ``lesions``, from 1.
    """

    mask: UInt8[np.ndarray, "z y x"]
    lesions: LesionSet
    box: Box
    numbers: Int32[np.ndarray, "a b c"]

    def voxels(self, places: Sequence[int], box: Box) -> Bool[np.ndarray, "a b c"]:
        """Voxels of some lesions inside a box that holds them."""
        z, y, x = (slice(s.start - b.start, s.stop - b.start) for s, b in zip(box, self.box, strict=True))
        part = self.numbers[z, y, x]
        return part == places[0] + 1 if len(places) == 1 else np.isin(part, [place + 1 for place in places])

    def types(self, places: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Type and number of voxels of some lesions, largest first."""
        lesions = [self.lesions[place] for place in places]
        pairs = [(int(lesion.label), int(np.count_nonzero(lesion.mask))) for lesion in lesions]
        return tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def _lesion_items(old: UInt8[np.ndarray, "z y x"], new: UInt8[np.ndarray, "z y x"]) -> Iterator[Difference]:
    found = [(mask, lesions_of(mask)) for mask in (old, new)]
    box: Box | None = None
    for _, lesions in found:
        for lesion in lesions:
            box = union(box, lesion.bbox)
    if box is None:
        return
    before, after = (_NumberedLesions(mask, lesions, box, lesions.instances(box)) for mask, lesions in found)
    for olds, news in _groups(before, after):
        yield _item(before, after, olds, news)


def _groups(before: _NumberedLesions, after: _NumberedLesions) -> Iterator[tuple[list[int], list[int]]]:
    """Places of the old and new lesions of each item: connected parts of the graph of overlaps."""
    both = (before.numbers > 0) & (after.numbers > 0)
    olds, total = len(before.lesions), len(before.lesions) + len(after.lesions)
    columns = len(after.lesions) + 1
    # One number for each pair: `unique` sorts integers fast, and rows of two slowly.
    keys = np.unique(before.numbers[both].astype(np.int64) * columns + after.numbers[both])
    i, j = np.divmod(keys, columns)
    # There are few lesions, so all groups come from one small graph instead of a flood through the voxels.
    graph = coo_array((np.ones(len(keys), np.int8), (i - 1, j - 1 + olds)), shape=(total, total))
    count, group = connected_components(graph.tocsr(), directed=False)
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(count + 1))
    for start, end in pairwise(bounds):
        members = order[start:end].tolist()
        yield [n for n in members if n < olds], [n - olds for n in members if n >= olds]


def _item(before: _NumberedLesions, after: _NumberedLesions, olds: list[int], news: list[int]) -> Difference:
    box: Box | None = None
    for lesion in (*(before.lesions[n] for n in olds), *(after.lesions[n] for n in news)):
        box = union(box, lesion.bbox)
    if box is None:
        raise ValueError("an item has no lesion")
    one = before.voxels(olds, box) if olds else np.zeros([s.stop - s.start for s in box], dtype=np.bool_)
    other = after.voxels(news, box) if news else np.zeros_like(one)
    region = one | other
    changed = int(np.count_nonzero((before.mask[box] != after.mask[box]) & region))
    shared = int(np.count_nonzero(one & other))
    dice = 2 * shared / (int(np.count_nonzero(one)) + int(np.count_nonzero(other)))
    old, new = before.types(olds), after.types(news)
    kind = _kind(old, new, changed, same_outline=np.array_equal(one, other))
    return Difference(f"d{first_index(region, box, before.mask.shape)}", kind, old, new, box, region, changed, dice)


def _kind(
    old: Sequence[tuple[int, int]], new: Sequence[tuple[int, int]], changed: int, *, same_outline: bool
) -> DifferenceKind:
    if not old:
        return DifferenceKind.ADDED
    if not new:
        return DifferenceKind.REMOVED
    if not changed:
        return DifferenceKind.SAME
    if len(new) != len(old):
        return DifferenceKind.SPLIT if len(new) > len(old) else DifferenceKind.MERGED
    types = [sorted(label for label, _ in side) for side in (old, new)]
    # With one outline only labels can differ, though the type of most voxels may be the same.
    return DifferenceKind.BOUNDARY if types[0] == types[1] and not same_outline else DifferenceKind.RELABELLED


def _counts(labels: UInt8[np.ndarray, " n"]) -> tuple[tuple[int, int], ...]:
    votes = np.bincount(labels, minlength=len(LESION_TYPES))
    return tuple((int(label), int(votes[label])) for label in np.argsort(-votes, kind="stable") if votes[label])
