"""Analytic phantoms: balls and ellipsoids, a liver with one lesion of given HU per phase, a sensitivity map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8

from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, LesionType, Organ, Phase
from livercascade.data.lesion import Lesion
from livercascade.data.scan import Scan
from livercascade.detect.seg2det import seg2det
from livercascade.detect.sensitivity import SensitivityMap

PointMm = tuple[float | int, float | int, float | int]
"""Distances in mm along z, y, x."""
PhaseHu = tuple[float | int, float | int, float | int, float | int]
"""HU in NC, AP, VP and DP."""

ENHANCING_GRID = Grid.axial((16, 80, 80), (5.0, 1.5, 1.5))
"""Grid of `enhancing_phantom`."""
ENHANCING_LIVER: PhaseHu = (55.0, 70.0, 106.0, 87.0)
ENHANCING_VESSELS: PhaseHu = (40.0, 60.0, 165.0, 113.0)
FAT_HU = -80.0


def ellipsoid(centre: PointMm, radii: PointMm, grid: Grid) -> Bool[np.ndarray, "z y x"]:
    """Voxels whose centre lies in an ellipsoid or on its surface.

    Args:
        centre: Centre in mm along z, y, x from the centre of the first voxel.
        radii: Half axes in mm along z, y, x.
        grid: Shape and spacing; the direction plays no part.

    >>> int(ellipsoid((2.0, 2.0, 2.0), (1.0, 1.0, 1.0), Grid.axial((5, 5, 5), (1.0, 1.0, 1.0))).sum())
    7
    """
    axes = np.meshgrid(*[np.arange(n) * s for n, s in zip(grid.shape, grid.spacing, strict=True)], indexing="ij")
    return np.sum([((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)], axis=0) <= 1


def ball(centre: PointMm, radius_mm: float, grid: Grid = ENHANCING_GRID) -> Bool[np.ndarray, "z y x"]:
    """Voxels of a ball, as `ellipsoid`."""
    return ellipsoid(centre, (radius_mm, radius_mm, radius_mm), grid)


def lesion_of(mask: Bool[np.ndarray, "z y x"], label: LesionType, grid: Grid) -> Lesion:
    """All voxels of a mask that is not empty as one lesion, connected or not."""
    index = np.argwhere(mask)
    low, high = index.min(axis=0), index.max(axis=0) + 1
    bbox = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2])))
    x, y, z = (float(v) for v in grid.world(index.mean(axis=0)))
    return Lesion(label, float(mask.sum()) * grid.voxel_ml, (x, y, z), bbox, mask[bbox])


def enhancing_phantom(
    core: PhaseHu,
    rim: PhaseHu | None = None,
    *,
    radius_mm: float = 15.0,
    rim_mm: float = 4.0,
    noise: float = 0.0,
    phases: tuple[Phase, ...] = PHASES,
    shift: float | int = 0.0,
) -> tuple[Scan, UInt8[np.ndarray, "z y x"], Lesion]:
    """A ball in a liver beside a vessel: scan, label map (the ball is an HCC) and the lesion.

    Args:
        core: HU of the ball per phase.
        rim: HU of its outer ``rim_mm``; None for a ball of one value.
        radius_mm: Radius of the ball.
        rim_mm: Thickness of the rim.
        noise: Standard deviation of Gaussian noise, HU.
        phases: Phases of the scan; the last is the reference.
        shift: HU added to every voxel.
    """
    shape = ENHANCING_GRID.shape
    labels = np.zeros(shape, dtype=np.uint8)
    labels[ball((40, 50, 60), 38.0)] = Organ.LIVER
    labels[ball((40, 50, 90), 6.0)] = Organ.HEPATIC_VESSELS
    whole, inner = ball((40, 50, 55), radius_mm), ball((40, 50, 55), radius_mm - (rim_mm if rim else 0.0))
    labels[whole] = LesionType.HCC
    rng = np.random.default_rng(0)
    hu: dict[Phase, np.ndarray] = {}
    for phase in phases:
        i = phase.index
        image = np.full(shape, FAT_HU)
        for organ, curve in ((Organ.LIVER, ENHANCING_LIVER), (Organ.HEPATIC_VESSELS, ENHANCING_VESSELS)):
            image[labels == organ] = curve[i]
        image[whole] = (rim or core)[i]
        image[inner] = core[i]
        image += rng.normal(0, noise, shape) if noise else 0.0
        hu[phase] = np.round(image + shift).astype(np.int16)
    (lesion,) = seg2det(labels, ENHANCING_GRID)
    return Scan(ENHANCING_GRID, hu, phases[-1]), labels, lesion


def cone(centre: PointMm, radius_mm: float, grid: Grid) -> Float[np.ndarray, "z y x"]:
    """Field that is 1 at the centre, 0 on a sphere round it and less outside, falling evenly with distance."""
    axes = np.meshgrid(*[np.arange(n) * s for n, s in zip(grid.shape, grid.spacing, strict=True)], indexing="ij")
    squares = np.sum([(a - c) ** 2 for a, c in zip(axes, centre, strict=True)], axis=0)
    return 1 - np.sqrt(squares) / radius_mm


def sensitivity_phantom(bumps: Sequence[tuple[np.ndarray, int, float]], grid: Grid) -> SensitivityMap:
    """Sensitivity map of a liver that fills all but the edge of the slices, with lesions in it.

    Args:
        bumps: For each lesion a field of at most 1, as of `cone`, its type, and the margin where the field is 1: the
            lesion is found from ``f`` = exp(margin) on.
        grid: Shape of the map; slices of more than 8 x 8 pixels.
    """
    other = np.full(grid.shape, Organ.LIVER, dtype=np.uint8)
    other[:, :4], other[:, -4:], other[:, :, :4], other[:, :, -4:] = 0, 0, 0, 0
    # Margin of plain liver: no factor that is used anywhere makes a lesion of it.
    margin = np.full(grid.shape, 9.0, dtype=np.float32)
    best = np.ones(grid.shape, dtype=np.uint8)
    for field, label, peak in bumps:
        pulled = (9.0 - (9.0 - peak) * np.clip(field, 0, 1)).astype(np.float32)
        best[pulled < margin] = label
        margin = np.minimum(margin, pulled)
    return SensitivityMap(best, other, margin)
