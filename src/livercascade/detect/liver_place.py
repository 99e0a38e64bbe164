"""What a found liver looks like and how it lies in its trunk: physical measures, each by a small function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import Scan
from livercascade.detect.trunk import Trunk

Mask = Bool[np.ndarray, "z y x"]
FACES = ("lower", "upper", "front", "back", "right", "left")
"""Faces of an array in canonical orientation, in the order of `cut_shares`."""
EVEN_HU = 40.0
"""Half of the range about its median that holds most of a liver, once the noise is averaged out."""
LUNGS_ML = 150.0
"""Gas and stool in bowel together reach less at the HU of lung; lungs reach it within 2 cm above a dome."""
BARE_MM = 8.0
"""Thinner than the wall between any part of a liver and the air outside."""


@dataclass(frozen=True, slots=True)
class LiverPlace:
    """Measures of a found liver; shares are fractions, None where the scan does not show what is needed.

    Attributes:
        volume_ml: Volume of the liver with its content.
        main_share: Share of everything found as liver in the body that belongs to the main liver.
        radius_mm: Radius of the largest ball inside it.
        even_share: Share of it within 40 HU of its median in the reference phase, after averaging over 12 mm.
        right_share: Share on the patient's right of the spine.
        front_share: Share in front of the middle of the vertebrae.
        lung_above_mm: Height of the middle of the lungs above its own.
        dome_above_mm: Height of its top above the lowest slice that shows lung.
        lung_share: Share of lung in the section of the trunk where the liver's is largest.
        bare_share: Share of its surroundings, 8 mm wide, that is not body.
        cut_shares: Section at each of `FACES` of the scan, against the largest section parallel to it.
        end_mm2: Section in the first and in the last slice of the scan.
        scan_above_mm: Height of the scan above its top.
        lung_below_cm2: Section of the lungs in the lowest slice of the scan.
        hu: Median HU of its parenchyma in each phase.
    """

    volume_ml: float
    main_share: float
    radius_mm: float
    even_share: float
    right_share: float | None
    front_share: float | None
    lung_above_mm: float | None
    dome_above_mm: float | None
    lung_share: float
    bare_share: float
    cut_shares: tuple[float, ...]
    end_mm2: tuple[float, float]
    scan_above_mm: float
    lung_below_cm2: float
    hu: Mapping[Phase, float]

    @classmethod
    def of(cls, liver: Mask, everything: Mask, parenchyma: Mask, scan: Scan, trunk: Trunk) -> LiverPlace:
        """Measures of a liver that is not empty.

        Args:
            liver: The main liver with its content.
            everything: Whatever was found as liver or its content in the body; holds ``liver``.
            parenchyma: The part of ``liver`` that is neither lesion nor vessel.
            scan: What it was found in.
            trunk: Body, lungs and spine of the reference phase.
        """
        coarse = trunk.coarse(liver)
        if not coarse.any():
            # Thinner than the coarse voxels everywhere.
            coarse = trunk.coarse(liver, least=0.0)
        right, front = beside_spine(coarse, trunk)
        above, dome = under_lungs(coarse, trunk)
        return cls(
            volume_ml=float(liver.sum()) * scan.grid.voxel_ml,
            main_share=float(liver.sum()) / max(float(everything.sum()), 1.0),
            radius_mm=inner_radius(coarse, trunk),
            even_share=evenness(coarse, trunk),
            right_share=right,
            front_share=front,
            lung_above_mm=above,
            dome_above_mm=dome,
            lung_share=lung_at_largest_section(coarse, trunk),
            bare_share=bare_share(coarse, trunk),
            cut_shares=cut_shares(liver),
            end_mm2=end_sections_mm2(liver, scan.grid),
            scan_above_mm=above_mm(liver, scan.grid),
            lung_below_cm2=float(trunk.lung_cm2()[0]),
            hu=median_hu(parenchyma if parenchyma.any() else liver, scan),
        )


def inner_radius(liver: Mask, trunk: Trunk) -> float:
    """Radius in mm of the largest ball inside a region; beyond the scan the region goes on as it ends."""
    inside = np.pad(liver, 1, mode="edge")
    if inside.all():
        return float("inf")
    return float(ndimage.distance_transform_edt(inside, sampling=trunk.spacing).max())


def evenness(liver: Mask, trunk: Trunk) -> float:
    """Share of a region within 40 HU of its median, 0 to 1, after averaging over three voxels in the slice."""
    values = ndimage.uniform_filter(trunk.hu, (1, 3, 3))[liver]
    return float((np.abs(values - np.median(values)) <= EVEN_HU).mean())


def beside_spine(liver: Mask, trunk: Trunk) -> tuple[float | None, float | None]:
    """Share on the patient's right of the spine, and in front of the middle of the vertebrae; None without a spine."""
    spine = trunk.spine()
    seen = ~np.isnan(spine[:, 0])
    if not seen.any():
        return None, None
    heights = np.arange(len(spine))
    # Between slices that show it the spine goes on straight.
    y, x = (np.interp(heights, heights[seen], spine[seen, axis]) for axis in (0, 1))
    at = np.nonzero(liver)
    return float((at[2] < x[at[0]]).mean()), float((at[1] < y[at[0]]).mean())


def under_lungs(liver: Mask, trunk: Trunk) -> tuple[float | None, float | None]:
    """Height of the lungs' middle above the liver's, and of the liver's top above the lungs' base, in mm.

    None where there is so little of them that it may be bowel.
    """
    if trunk.lung.sum() * trunk.voxel_ml < LUNGS_ML:
        return None, None
    by_slice, step = trunk.lung.sum(axis=(1, 2)), trunk.spacing[0]
    heights = np.flatnonzero(liver.any(axis=(1, 2)))
    middle = float(np.average(np.arange(len(by_slice)), weights=by_slice))
    own = float(np.average(np.arange(len(liver)), weights=liver.sum(axis=(1, 2))))
    return (middle - own) * step, float(heights[-1] - np.flatnonzero(by_slice)[0]) * step


def lung_at_largest_section(liver: Mask, trunk: Trunk) -> float:
    """Share of lung in the trunk's section, 0 to 1, at the height of the largest section of the liver."""
    z = int(liver.sum(axis=(1, 2)).argmax())
    inside = int(np.count_nonzero(trunk.body[z] | trunk.lung[z]))
    return float(np.count_nonzero(trunk.lung[z])) / max(inside, 1)


def bare_share(liver: Mask, trunk: Trunk) -> float:
    """Share of the surroundings of a region in the slice, 0 to 1, that lies neither in the body nor in a lung."""
    reach = max(1, round(BARE_MM / trunk.spacing[1]))
    around = ndimage.binary_dilation(liver, np.ones((1, 3, 3), dtype=bool), iterations=reach) & ~liver
    outside = around & ~(trunk.body | trunk.lung)
    return float(outside.sum()) / max(float(around.sum()), 1.0)


def cut_shares(liver: Mask) -> tuple[float, ...]:
    """Section of a region at each face of the array against its largest section parallel to that face, 0 to 1."""
    shares: list[float] = []
    for axis in range(3):
        others = tuple(n for n in range(3) if n != axis)
        section = liver.sum(axis=others)
        largest = max(float(section.max()), 1.0)
        shares += [float(section[0]) / largest, float(section[-1]) / largest]
    return tuple(shares)


def end_sections_mm2(liver: Mask, grid: Grid) -> tuple[float, float]:
    """Section of a region in the first and in the last slice, mm²."""
    first, last = (float(liver[z].sum()) * grid.spacing[1] * grid.spacing[2] for z in (0, -1))
    return first, last


def above_mm(liver: Mask, grid: Grid) -> float:
    """Height of the array above the last slice of a region, mm."""
    return float(len(liver) - 1 - np.flatnonzero(liver.any(axis=(1, 2)))[-1]) * grid.spacing[0]


def median_hu(region: Mask, scan: Scan) -> dict[Phase, float]:
    """Median HU of a region in each phase, where the phase has data; phases without any there are left out."""
    out: dict[Phase, float] = {}
    for phase in scan.phases:
        there = region & scan.valid[phase] if phase in scan.valid else region
        values = scan.hu[phase][there]
        if values.size:
            out[phase] = float(np.median(values))
    return out
