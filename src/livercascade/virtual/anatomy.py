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
from livercascade.virtual.bones import breastbone, ribs, spine
from livercascade.virtual.build import Build
from livercascade.virtual.canvas import COARSE_MM, Canvas, Sculptor
from livercascade.virtual.chest import arms, chest, wall
from livercascade.virtual.fields import coarse_noise
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.liver_shape import gallbladder, hepatic_veins, liver, portal_tree
from livercascade.virtual.pelvis import pelvis
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue
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
        canvas: The fine tissue map.
        hilum: Where the portal vein enters the liver, (z, y, x) mm; mimics refer to it.
        habitus: The build it shows.
        source: ``procedural``, or the name of the label map it was made from.
    """

    canvas: Canvas
    hilum: Float64[np.ndarray, " 3"]
    habitus: Habitus
    source: str


def make_anatomy(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Anatomy:
    """Fine tissue map of a body with this build."""
    build = _blank(habitus, settings, rng)
    for paint in _ORDER:
        paint(build)
    canvas = build.s.canvas
    paint_table(canvas, habitus.half_depth)
    return Anatomy(canvas, build.hilum, habitus, "procedural")


def blank_canvas(habitus: Habitus, settings: VirtualSettings) -> Canvas:
    """Canvas full of air over the patient's field of view."""
    slices = int(np.clip(round((habitus.top - habitus.bottom) / settings.slice_mm), 30, 130))
    n = settings.matrix
    fine_z = settings.slice_mm / settings.subslices
    z = habitus.bottom + fine_z * (np.arange(slices * settings.subslices) + 0.5)
    xy = (np.arange(n) - (n - 1) / 2) * habitus.fov / n
    return Canvas(
        np.zeros((len(z), n, n), dtype=np.uint8), z.astype(np.float32), xy.astype(np.float32), xy.astype(np.float32)
    )


def _blank(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Build:
    canvas = blank_canvas(habitus, settings)
    axes = [
        np.linspace(a[0], a[-1], max(round(float(a[-1] - a[0]) / COARSE_MM) + 1, 8), dtype=np.float32)
        for a in (canvas.z, canvas.y, canvas.x)
    ]
    grids = np.meshgrid(*axes, indexing="ij")
    a, b, c = grids[0].shape
    wave, ripple = 45.0 / COARSE_MM, 20.0 / COARSE_MM
    waves = [habitus.warp * coarse_noise((a, b, c), (wave, wave, wave), rng) for _ in grids]
    # Ripples of 20 mm keep surfaces from looking turned on a lathe.
    bent = [
        g + w + 1.5 * coarse_noise((a, b, c), (ripple, ripple, ripple), rng) for g, w in zip(grids, waves, strict=True)
    ]
    calm = [(g + _CALM * w).astype(np.float32) for g, w in zip(grids, waves, strict=True)]
    return Build(Sculptor(canvas, bent[0], bent[1], bent[2]), (calm[0], calm[1], calm[2]), habitus, rng)


def paint_table(canvas: Canvas, half_depth: float) -> None:
    """The couch under the patient, in the air behind ``half_depth`` mm."""
    curved = half_depth + 6.0 + 18.0 * (1 - np.clip(np.abs(canvas.x) / 210.0, 0, 1) ** 2)
    sheet = np.abs(canvas.y[:, None] - curved[None, :]) < 2.2
    canvas.tissue[(canvas.tissue == Tissue.AIR) & sheet[None]] = Tissue.TABLE


def liver_volume_ml(canvas: Canvas) -> float:
    """Volume of the liver with its vessels in ml."""
    return float(np.isin(canvas.tissue, LIVER_TISSUES).sum()) * canvas.voxel_ml
