"""seg2det: from a label map to single lesions (paper, eq. 4 and 5)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from scipy import ndimage

from livercascade.data.grid import Grid, Triple
from livercascade.data.labels import FIRST_LESION, LAST_LESION, LESION_TYPES, LesionType
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
    lesions = [
        _lesion(mask, box, part, grid)
        for box, part in (_of_each_type if per_label else _of_any_type)(mask)
        if np.count_nonzero(part) >= min_voxels
    ]
    lesions.sort(key=lambda lesion: -lesion.volume_ml)
    return LesionSet(tuple(lesions), grid.shape, grid.spacing)


def _of_any_type(mask: UInt8[np.ndarray, "z y x"]) -> Iterator[tuple[Box, Bool[np.ndarray, "a b c"]]]:
    return components((mask >= FIRST_LESION) & (mask <= LAST_LESION))


def _of_each_type(mask: UInt8[np.ndarray, "z y x"]) -> Iterator[tuple[Box, Bool[np.ndarray, "a b c"]]]:
    for lesion_type in LESION_TYPES:
        yield from components(mask == lesion_type)


def components(region: Bool[np.ndarray, "z y x"]) -> Iterator[tuple[Box, Bool[np.ndarray, "a b c"]]]:
    """Box and mask inside the box of every connected part of ``region``, in the order of their first voxel."""
    box = bounding_box(region)
    if box is None:
        return
    numbered: Int32[np.ndarray, "a b c"] = np.empty(region[box].shape, dtype=np.int32)
    ndimage.label(region[box], structure=NEIGHBOURS, output=numbered)
    for number, part in enumerate(ndimage.find_objects(numbered), start=1):
        inner = (part[0], part[1], part[2])
        z, y, x = (slice(p.start + b.start, p.stop + b.start) for p, b in zip(inner, box, strict=True))
        yield (z, y, x), numbered[inner] == number


def bounding_box(region: Bool[np.ndarray, "z y x"]) -> Box | None:
    """Smallest box that holds every true voxel; None if there is none."""
    slices: list[slice] = []
    for axes in ((1, 2), (0, 2), (0, 1)):
        hit = np.flatnonzero(region.any(axis=axes))
        if not hit.size:
            return None
        slices.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return slices[0], slices[1], slices[2]


def _lesion(mask: UInt8[np.ndarray, "z y x"], box: Box, part: Bool[np.ndarray, "a b c"], grid: Grid) -> Lesion:
    votes = np.bincount(mask[box][part], minlength=LAST_LESION + 1)
    first = np.array([s.start for s in box], dtype=np.float64)
    x, y, z = (float(v) for v in grid.world(np.argwhere(part).mean(axis=0) + first))
    return Lesion(
        label=LesionType(FIRST_LESION + int(votes[FIRST_LESION : LAST_LESION + 1].argmax())),
        volume_ml=int(votes.sum()) * grid.voxel_ml,
        centroid=(x, y, z),
        bbox=box,
        mask=part,
        type_volumes={t: int(votes[t]) * grid.voxel_ml for t in LESION_TYPES if votes[t]},
    )


def _shape(mask: UInt8[np.ndarray, "z y x"]) -> tuple[int, int, int]:
    z, y, x = mask.shape
    return z, y, x
