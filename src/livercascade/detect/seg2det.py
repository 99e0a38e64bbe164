"""seg2det: from a label map to single lesions (paper, eq. 4 and 5)."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from jaxtyping import Bool, UInt8

from livercascade.data.grid import Grid, Triple
from livercascade.data.labels import FIRST_LESION, LAST_LESION, LESION_TYPES
from livercascade.data.lesion import Box, Lesion, LesionSet
from livercascade.detect.components import components


class LesionRule(StrEnum):
    """Definition of one lesion of a label map."""

    UNION = "union"
    """Touching lesions of different types are one, with the type of most voxels."""
    PER_LABEL = "per-label"
    """Touching lesions of different types are different lesions, as in the paper."""


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
    # A lesion of exactly the limit stays, whatever the division rounds to.
    min_voxels = min_volume_ml / grid.voxel_ml * (1 - 1e-9)
    parts = list(components(_lesion_types(mask) if per_label else is_lesion(mask), least=min_voxels))
    centroids = grid.world(np.array([_centre(box, part) for box, part in parts]).reshape(-1, 3)).tolist()
    lesions = [
        _lesion(mask, box, part, grid.voxel_ml, (x, y, z))
        for (box, part), (x, y, z) in zip(parts, centroids, strict=True)
    ]
    lesions.sort(key=lambda lesion: -lesion.volume_ml)
    return LesionSet(tuple(lesions), grid.shape, grid.spacing)


def _lesion_types(mask: UInt8[np.ndarray, "z y x"]) -> UInt8[np.ndarray, "z y x"]:
    return np.where(is_lesion(mask), mask, np.uint8(0))


def is_lesion(mask: UInt8[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Voxels of a label map that are a lesion of whatever type (labels 1-6)."""
    out = np.empty(mask.shape, dtype=np.bool_)
    # Slice by slice the difference stays in the processor's cache; what is below the first lesion wraps to the top.
    for labels, lesion in zip(mask, out, strict=True):
        np.less_equal(labels - np.uint8(FIRST_LESION), LAST_LESION - FIRST_LESION, out=lesion)
    return out


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
