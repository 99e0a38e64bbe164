"""What a lesion does to its surroundings: retracted capsule, thrombus in the portal vein, ducts beyond it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from livercascade.data.labels import Organ
from livercascade.data.lesion import Box
from livercascade.virtual.lesions.enhancement_pattern import radius_mm
from livercascade.virtual.lesions.liver_sites import Site
from livercascade.virtual.mimics.mimic_families import Mimic, MimicFamily
from livercascade.virtual.mimics.mimic_region import summary
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue
from livercascade.virtual.tissue_map import TissueMap
from livercascade.virtual.vessel_trees import bent_line


@dataclass(frozen=True, slots=True, eq=False)
class GrownLesion:
    """A lesion's body on the tissue map.

    Attributes:
        site: Place from which it grew.
        box, inside: Its voxels.
        volume_ml, radius: Volume, and the radius in mm of the ball of that volume.
        hu, shares: Curve and share of the volume by zone name.
    """

    site: Site
    box: Box
    inside: Bool[np.ndarray, "z y x"]
    volume_ml: float
    radius: float
    hu: dict[str, Float32[np.ndarray, " 4"]]
    shares: dict[str, float]


def retract(tissue_map: TissueMap, site: Site, volume_ml: float, rng: np.random.Generator) -> None:
    """Draw the capsule 3 to 9 mm in over a lesion: fat where liver was."""
    radius = radius_mm(volume_ml)
    dent = float(np.clip(0.5 * radius, 6.0, 16.0))
    surface = np.asarray(site.centre) + site.outward * site.depth
    centre = surface + site.outward * (dent - float(rng.uniform(3, 9)))
    box = tissue_map.box_round((float(centre[0]), float(centre[1]), float(centre[2])), dent + 1.0)
    dz, dy, dx = tissue_map.offsets(box, (float(centre[0]), float(centre[1]), float(centre[2])))
    tissue_map.write(box, dz**2 + dy**2 + dx**2 < dent**2, Tissue.FAT, LIVER_TISSUES)


def thrombose(phantom: Phantom, grown: GrownLesion, label: int, rng: np.random.Generator) -> float:
    """Fill and widen the portal branches at a lesion with tumour; the thrombus's volume in ml, part of the lesion."""
    tissue_map = phantom.tissue_map
    reach = grown.radius + float(rng.uniform(10, 30))
    box = tissue_map.box_round(grown.site.centre, reach)
    dz, dy, dx = tissue_map.offsets(box, grown.site.centre)
    view = tissue_map.values[box]
    vein = (view == Tissue.PORTAL_BRANCH) & (dz**2 + dy**2 + dx**2 < reach**2)
    if not vein.any():
        return 0.0
    distance = np.asarray(ndimage.distance_transform_edt(~vein, sampling=tissue_map.steps))
    wide = (distance <= float(rng.uniform(0.5, 2.0))) & np.isin(view, LIVER_TISSUES)
    hu = phantom.physiology.enhance_lesion((40, 66 + rng.normal(0, 8), 70 + rng.normal(0, 6), 64 + rng.normal(0, 5)))
    tissue_map.write(box, wide, phantom.tissue_table.add(hu, label, patchy_hu=3.0))
    return float(np.count_nonzero(wide)) * tissue_map.voxel_ml


def widen_ducts(phantom: Phantom, grown: GrownLesion, rng: np.random.Generator) -> Mimic | None:
    """Branching bile ducts, 2 to 5 mm wide, in the liver beyond a lesion, away from the hilum."""
    tissue_map = phantom.tissue_map
    value = phantom.tissue_table.add(
        np.full(4, rng.uniform(5, 15), dtype=np.float32), int(Organ.LIVER), int(MimicFamily.BILIARY), solid=False
    )
    centre = np.asarray(grown.site.centre)
    away = centre - phantom.hilum
    away = away / max(float(np.linalg.norm(away)), 1e-6)
    for _ in range(int(rng.integers(3, 7))):
        heading = away + rng.normal(0, 0.45, 3)
        heading /= np.linalg.norm(heading)
        start = centre + heading * grown.radius * 0.9
        points = bent_line(start, start + heading * float(rng.uniform(20, 55)), 6, 4.0, rng)
        tissue_map.tube(points, np.linspace(float(rng.uniform(1.6, 2.8)), 0.8, 6), value, (Tissue.LIVER,))
    box = tissue_map.box_round(grown.site.centre, grown.radius + 70.0)
    return summary(tissue_map, box, MimicFamily.BILIARY, "ducts beyond a lesion", value)
