"""Procedural anatomy from mid-chest to the thighs: a fine tissue map from a `Habitus`.

Organs are signed distances on a coarse grid bent by one smooth random warp, so that neighbours fit each other;
vessels, ribs and other thin things are painted straight into the fine map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from livercascade.virtual.abdomen import (
    bowel,
    great_vessels,
    pancreas_and_portal_trunk,
    retroperitoneum,
    spleen,
    stomach,
)
from livercascade.virtual.body_builder import BodyBuilder
from livercascade.virtual.bones import breastbone, ribs, spine
from livercascade.virtual.chest import arms, chest, wall
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.liver_shape import gallbladder, hepatic_veins, liver, portal_tree
from livercascade.virtual.pelvis import pelvis
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue
from livercascade.virtual.tissue_map import COARSE_MM, TissueMap
from livercascade.virtual.virtual_settings import VirtualSettings

_CALM = 0.35
"""Share of the warp that skin and wall follow: organs differ more than outlines."""
_ORDER = (
    *(wall, pelvis, chest, bowel, spine, retroperitoneum, stomach, spleen, liver, gallbladder),
    *(pancreas_and_portal_trunk, great_vessels, ribs, breastbone, portal_tree, hepatic_veins, arms),
)
"""Builders in the order in which organs cover each other."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A patient's body before lesions.

    Attributes:
        tissue_map: The fine tissue map.
        hilum: Place where the portal vein enters the liver, (z, y, x) mm; mimics refer to it.
        habitus: The build it shows.
        source: ``procedural``, or the name of the label map it was made from.
    """

    tissue_map: TissueMap
    hilum: Float64[np.ndarray, " 3"]
    habitus: Habitus
    source: str


def make_anatomy(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Anatomy:
    """Fine tissue map of a body with this build."""
    body = _blank(habitus, settings, rng)
    for paint in _ORDER:
        paint(body)
    tissue_map = body.tissue_map
    paint_table(tissue_map, habitus.half_depth)
    return Anatomy(tissue_map, body.hilum, habitus, "procedural")


def blank_tissue_map(habitus: Habitus, settings: VirtualSettings) -> TissueMap:
    """TissueMap full of air over the patient's field of view."""
    slices = int(np.clip(round((habitus.top - habitus.bottom) / settings.slice_mm), 30, 130))
    n = settings.matrix
    fine_z = settings.slice_mm / settings.subslices
    z = habitus.bottom + fine_z * (np.arange(slices * settings.subslices) + 0.5)
    xy = (np.arange(n) - (n - 1) / 2) * habitus.fov / n
    return TissueMap(
        np.zeros((len(z), n, n), dtype=np.uint8), z.astype(np.float32), xy.astype(np.float32), xy.astype(np.float32)
    )


def _blank(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> BodyBuilder:
    tissue_map = blank_tissue_map(habitus, settings)
    axes = [
        np.linspace(a[0], a[-1], max(round(float(a[-1] - a[0]) / COARSE_MM) + 1, 8), dtype=np.float32)
        for a in (tissue_map.z, tissue_map.y, tissue_map.x)
    ]
    grids = np.meshgrid(*axes, indexing="ij")
    a, b, c = grids[0].shape
    # Cells of the coarse grid: waves bend whole organs together, so that neighbours still fit.
    wave, ripple = 45.0 / COARSE_MM, 20.0 / COARSE_MM
    waves = [habitus.warp * coarse_noise((a, b, c), (wave, wave, wave), rng) for _ in grids]
    # Ripples of 20 mm keep surfaces from looking turned on a lathe.
    bent = [
        g + w + 1.5 * coarse_noise((a, b, c), (ripple, ripple, ripple), rng) for g, w in zip(grids, waves, strict=True)
    ]
    calm = [(g + _CALM * w).astype(np.float32) for g, w in zip(grids, waves, strict=True)]
    return BodyBuilder(tissue_map, habitus, (bent[0], bent[1], bent[2]), (calm[0], calm[1], calm[2]), rng)


def paint_table(tissue_map: TissueMap, half_depth: float) -> None:
    """The couch under the patient, in the air behind ``half_depth`` mm."""
    curved = half_depth + 6.0 + 18.0 * (1 - np.clip(np.abs(tissue_map.x) / 210.0, 0, 1) ** 2)
    # A shell of some 4 mm.
    sheet = np.abs(tissue_map.y[:, None] - curved[None, :]) < 2.2
    tissue_map.values[(tissue_map.values == Tissue.AIR) & sheet[None]] = Tissue.TABLE


def liver_volume_ml(tissue_map: TissueMap) -> float:
    """Volume of the liver with its vessels in ml."""
    return float(np.isin(tissue_map.values, LIVER_TISSUES).sum()) * tissue_map.voxel_ml
