"""seg2det: from a label map to single lesions (paper, eq. 4 and 5)."""

from __future__ import annotations

from collections.abc import Iterator

import cc3d
import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer, UInt8
from scipy import ndimage

from livercascade.data.grid import Grid, Triple
from livercascade.data.labels import FIRST_LESION, LAST_LESION, LESION_TYPES
from livercascade.data.lesion import Box, Lesion, LesionSet

NEIGHBOURS: Bool[np.ndarray, "3 3 3"] = np.array(
    [[[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1], [1, 1, 1]], [[0, 0, 0], [0, 1, 0], [0, 0, 0]]],
    dtype=bool,
)
"""Eight neighbours inside the slice, and the pixel straight above and below.

Components of this structure are exactly the paper's: 2D components of each slice, joined where two of
neighbouring slices share a pixel.
"""
NEIGHBOURS.setflags(write=False)


def seg2det(
    mask: UInt8[np.ndarray, "z y x"],
    spacing: Triple | Grid,
    *,
    min_volume_ml: float = 0.5,
    per_label: bool = False,
) -> LesionSet:
    """Lesions of a label map, largest first (paper, eq. 4 and 5).

    Pixels of a slice that touch by edge or corner belong together; lesions of neighbouring slices are one
    where they share a pixel. Lesions of equal volume come in the order of their first voxel.

    Args:
        mask: Label values 0-13; all but the lesions 1-6 are ignored.
        spacing: Voxel spacing (z, y, x) in mm, or the grid of ``mask``. With a spacing the centroids are
            those of an axial grid whose first voxel lies at 0.
        min_volume_ml: Smaller lesions are dropped; 0 keeps all.
        per_label: False joins touching lesions of different types to one, with the type of most voxels
            (ties: the higher priority); True separates them by type, as the paper does.

    Raises:
        ValueError: The grid and ``mask`` differ in shape, a spacing is not above 0, or ``min_volume_ml``
            is negative.

    >>> mask = np.zeros((2, 4, 4), dtype=np.uint8)
    >>> mask[0, 0, 0] = mask[0, 1, 1] = 3
    >>> mask[1, 1, 1] = 1
    >>> [(lesion.label.title, lesion.volume_ml) for lesion in seg2det(mask, (10.0, 10.0, 10.0))]
    [('Meta', 3.0)]
    """
    grid = spacing if isinstance(spacing, Grid) else Grid.axial(_shape(mask), spacing)
    if grid.shape != mask.shape:
        raise ValueError(f"grid has shape {grid.shape}, mask {mask.shape}")
    if min(grid.spacing) <= 0 or min_volume_ml < 0:
        raise ValueError(f"spacing {grid.spacing} must be above 0 and min_volume_ml {min_volume_ml} at least 0")
    min_voxels = min_volume_ml / grid.voxel_ml * (1 - 1e-9)
    found = components(_lesion_types(mask) if per_label else _is_lesion(mask))
    parts = [(box, part) for box, part in found if np.count_nonzero(part) >= min_voxels]
    centroids = grid.world(np.array([_centre(box, part) for box, part in parts]).reshape(-1, 3)).tolist()
    lesions = [
        _lesion(mask, box, part, grid.voxel_ml, (x, y, z))
        for (box, part), (x, y, z) in zip(parts, centroids, strict=True)
    ]
    lesions.sort(key=lambda lesion: -lesion.volume_ml)
    return LesionSet(tuple(lesions), grid.shape, grid.spacing)


def _lesion_types(mask: UInt8[np.ndarray, "z y x"]) -> UInt8[np.ndarray, "z y x"]:
    return np.where(_is_lesion(mask), mask, np.uint8(0))


def _is_lesion(mask: UInt8[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    out = np.empty(mask.shape, dtype=np.bool_)
    # Slice by slice the difference stays in the processor's cache; what is below the first lesion wraps to the top.
    for labels, lesion in zip(mask, out, strict=True):
        np.less_equal(labels - np.uint8(FIRST_LESION), LAST_LESION - FIRST_LESION, out=lesion)
    return out


def components(
    region: Bool[np.ndarray, "z y x"] | UInt8[np.ndarray, "z y x"],
) -> Iterator[tuple[Box, Bool[np.ndarray, "a b c"]]]:
    """Box and mask inside the box of every connected part of one value but 0, in the order of their first voxel.

    All 26 neighbours are joined first, by a library that is quick in large volumes but does not know `NEIGHBOURS`;
    every part then falls into its components inside its own box.
    """
    low, high = _runs(region)
    if not low.size:
        return
    first, last = low.min(axis=1), high.max(axis=1) + 1
    # With an empty voxel on every side: in flat arrays cc3d counts on fewer parts than there can be, and fails.
    padded = np.zeros(last - first + 2, dtype=region.dtype)
    padded[1:-1, 1:-1, 1:-1] = region[tuple(map(slice, first.tolist(), last.tolist()))]
    joined, corner = cc3d.connected_components(padded, connectivity=26), first - 1
    numbers = joined[tuple(low - corner[:, None])]
    parts: list[tuple[tuple[int, int, int], Box, Bool[np.ndarray, "a b c"]]] = []
    for number, box in _boxes(numbers, low, high):
        here = tuple(slice(s.start - int(c), s.stop - int(c)) for s, c in zip(box, corner, strict=True))
        for inner, part in _split(joined[here] == number):
            z, y, x = (slice(i.start + s.start, i.stop + s.start) for i, s in zip(inner, box, strict=True))
            # The first voxel lies in the first slice of the box, in its first row that holds any.
            row = int(part[0].any(axis=1).argmax())
            parts.append(((z.start, y.start + row, x.start + int(part[0, row].argmax())), (z, y, x), part))
    parts.sort(key=lambda entry: entry[0])
    yield from ((box, part) for _, box, part in parts)


def _runs(
    region: Bool[np.ndarray, "z y x"] | UInt8[np.ndarray, "z y x"],
) -> tuple[Int64[np.ndarray, "3 n"], Int64[np.ndarray, "3 n"]]:
    """First and last voxel of every run of one value but 0 along x: far fewer than voxels."""
    found = np.flatnonzero(region)
    values = region.reshape(-1)[found]
    ends = (np.diff(found) != 1) | (np.diff(values) != 0) | (found[1:] % region.shape[2] == 0)
    edge = np.ones(min(len(found), 1), dtype=np.bool_)
    first, last = found[np.concatenate((edge, ends))], found[np.concatenate((ends, edge))]
    low, high = (np.stack(np.unravel_index(at, region.shape)) for at in (first, last))
    return low, high


def _boxes(
    numbers: Integer[np.ndarray, " n"], low: Int64[np.ndarray, "3 n"], high: Int64[np.ndarray, "3 n"]
) -> Iterator[tuple[int, Box]]:
    """Number and box of every part, from the numbers of all runs."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=0))
    first = np.minimum.reduceat(low[:, order], starts, axis=1).T.tolist()
    last = np.maximum.reduceat(high[:, order], starts, axis=1).T.tolist()
    for number, lows, highs in zip(numbers[order][starts].tolist(), first, last, strict=True):
        z, y, x = (slice(a, b + 1) for a, b in zip(lows, highs, strict=True))
        yield number, (z, y, x)


def _split(part: Bool[np.ndarray, "a b c"]) -> Iterator[tuple[Box, Bool[np.ndarray, "d e f"]]]:
    """Components of a part whose voxels all hang together by faces, edges or corners."""
    # Within a slice edges and corners join; and what hangs together by faces alone does so by `NEIGHBOURS`.
    if len(part) == 1 or cc3d.connected_components(part, connectivity=6, return_N=True)[1] == 1:
        z, y, x = (slice(0, n) for n in part.shape)
        yield (z, y, x), part
        return
    numbered: Int32[np.ndarray, "a b c"] = np.empty(part.shape, dtype=np.int32)
    ndimage.label(part, structure=NEIGHBOURS, output=numbered)
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        yield (box[0], box[1], box[2]), numbered[box] == number


def bounding_box(region: Bool[np.ndarray, "z y x"]) -> Box | None:
    """Smallest box that holds every true voxel; None if there is none."""
    slices: list[slice] = []
    for axes in ((1, 2), (0, 2), (0, 1)):
        hit = np.flatnonzero(region.any(axis=axes))
        if not hit.size:
            return None
        slices.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return slices[0], slices[1], slices[2]


def _centre(box: Box, part: Bool[np.ndarray, "a b c"]) -> list[float]:
    return [side.start + float(at.mean()) for side, at in zip(box, np.nonzero(part), strict=True)]


def _lesion(
    mask: UInt8[np.ndarray, "z y x"], box: Box, part: Bool[np.ndarray, "a b c"], voxel_ml: float, centroid: Triple
) -> Lesion:
    votes = np.bincount(mask[box][part], minlength=LAST_LESION + 1).tolist()
    by_type = {t: votes[t] for t in LESION_TYPES if votes[t]}
    return Lesion(
        # Of equal numbers of voxels the first, which has the higher priority.
        label=max(by_type, key=lambda t: by_type[t]),
        volume_ml=sum(votes) * voxel_ml,
        centroid=centroid,
        bbox=box,
        mask=part,
        type_volumes={t: count * voxel_ml for t, count in by_type.items()},
    )


def _shape(mask: UInt8[np.ndarray, "z y x"]) -> tuple[int, int, int]:
    z, y, x = mask.shape
    return z, y, x
