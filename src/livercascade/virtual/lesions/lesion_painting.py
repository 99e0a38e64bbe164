"""Painting of lesions into a patient's liver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32, UInt8

from livercascade.data.labels import LesionType
from livercascade.virtual.anatomy import liver_volume_ml
from livercascade.virtual.lesions.enhancement_pattern import Pattern, radius_mm
from livercascade.virtual.lesions.lesion_plan import PlannedLesion
from livercascade.virtual.lesions.lesion_shape import LesionOutline, cut, grow
from livercascade.virtual.lesions.lesion_surroundings import GrownLesion, retract, thrombose, widen_ducts
from livercascade.virtual.lesions.liver_sites import Site
from livercascade.virtual.lesions.subtypes import cyst, haemangioma, hcc, icc, meta, other
from livercascade.virtual.mimics.mimic_families import Mimic
from livercascade.virtual.mimics.parenchyma import shunt
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.physiology import Physiology
from livercascade.virtual.randomness import StreamPurpose, random_stream
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue

MOST_OF_LIVER = 0.55
"""Share of a liver that lesions take at most."""
# Tissue values that mimics and confounders will need, which are painted later.
_SPARE_VALUES = 70
# A lens on the capsule grows into what lies against the liver as well.
_LENS_TISSUES = (*LIVER_TISSUES, Tissue.FAT, Tissue.FLUID, Tissue.BOWEL_WALL)


@dataclass(frozen=True, slots=True)
class PlacedLesion:
    """A lesion as it was painted.

    Attributes:
        label: Type.
        pattern: Sub-type.
        volume_ml: True volume on the fine grid.
        centre: LPS mm (x, y, z) of the centre it grew from.
        segment: Couinaud segment of that centre.
        site: ``subcapsular``, ``dome``, ``hilum``, ``lens``, ``near`` another lesion (satellite) or ``any``.
        effects: What it did to its surroundings, for example ``dilated ducts``.
        hu: HU in NC, AP, VP, DP by zone name.
        shares: Share of the lesion's volume by zone name.
    """

    label: LesionType
    pattern: str
    volume_ml: float
    centre: tuple[float, float, float]
    segment: str = ""
    site: str = "any"
    effects: tuple[str, ...] = ()
    hu: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    shares: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def mean_hu(self) -> Float32[np.ndarray, " 4"]:
        """Mean over the lesion without noise, NC, AP, VP, DP."""
        values = [np.asarray(self.hu[name], dtype=np.float32) * share for name, share in self.shares.items()]
        return np.sum(values, axis=0).astype(np.float32) if values else np.zeros(4, dtype=np.float32)


def draw_pattern(label: LesionType, volume_ml: float, physiology: Physiology, rng: np.random.Generator) -> Pattern:
    """Sub-type of a lesion with its curves before the patient's own factors."""
    if label is LesionType.HEM:
        return haemangioma(volume_ml, physiology, rng)
    makers = {
        LesionType.HCC: hcc,
        LesionType.ICC: icc,
        LesionType.META: meta,
        LesionType.OTHER: other,
        LesionType.CYST: cyst,
    }
    return makers[label](volume_ml, rng)


def zone_curves(
    pattern: Pattern, physiology: Physiology, rng: np.random.Generator
) -> tuple[dict[str, Float32[np.ndarray, " 4"]], float]:
    """HU of each of a pattern's zones in this patient, and the SD of the lesion's own patches in HU."""
    own = physiology.lesion_character(pattern.jitter, fluid=pattern.zones[0].fluid, rng=rng)
    hu: dict[str, Float32[np.ndarray, " 4"]] = {}
    for zone in pattern.zones:
        pool = np.asarray(zone.curve, dtype=np.float32)
        curve = pool if zone.pool else physiology.enhance_lesion(zone.curve)
        hu[zone.name] = own.apply(curve, physiology.liver, plain=zone.fluid)
    return hu, own.patchy_hu


def paint_lesions(
    phantom: Phantom, plan: Sequence[PlannedLesion], seed: int, *, bulging: float = 0.0
) -> tuple[list[PlacedLesion], list[Mimic]]:
    """Paint the planned lesions, largest first; also the perfusion changes and ducts that belong to them.

    Args:
        phantom: What they are painted into.
        plan: Types and volumes.
        seed: Seed of the patient.
        bulging: Chance that a lesion that reaches the capsule grows through it into fat.
    """
    room = MOST_OF_LIVER * liver_volume_ml(phantom.tissue_map)
    painter = _Painter(phantom, bulging)
    tissue_table = phantom.tissue_table
    for number, lesion in enumerate(plan):
        if tissue_table.room < _SPARE_VALUES or room < 0.05:
            break
        # Something is left for the lesions after this one.
        volume = min(lesion.volume_ml, 0.8 * room)
        painted = painter.paint(replace(lesion, volume_ml=volume), random_stream(seed, StreamPurpose.LESIONS, number))
        if painted is not None:
            room -= painted.volume_ml
    return painter.lesions, painter.mimics


class _Painter:
    """Paints lesions one after the other and keeps what has been painted."""

    def __init__(self, phantom: Phantom, bulging: float) -> None:
        self.bulging = bulging
        self.phantom, self.tissue_map, self.liver = phantom, phantom.tissue_map, phantom.liver
        self.tissue_table, self.physiology = phantom.tissue_table, phantom.physiology
        self.lesions: list[PlacedLesion] = []
        self.mimics: list[Mimic] = []

    def paint(self, lesion: PlannedLesion, rng: np.random.Generator) -> PlacedLesion | None:
        """Find a place and paint the lesion with what belongs to it; None when there is no room."""
        pattern = draw_pattern(lesion.label, lesion.volume_ml, self.physiology, rng)
        site = self.liver.choose(lesion.label, lesion.volume_ml, pattern, rng)
        if site is None:
            return None
        effects: list[str] = []
        if rng.random() < pattern.around.retraction and site.depth < radius_mm(lesion.volume_ml) + 8.0:
            retract(self.tissue_map, site, lesion.volume_ml, rng)
            effects.append("capsular retraction")
        grown = self._one(lesion, pattern, site, rng)
        if grown is None:
            return None
        grown_ml = grown.volume_ml
        grown_ml += self._surround(lesion, pattern, grown, effects, rng)
        placed = self._record(lesion, pattern, site, grown, grown_ml, effects)
        if pattern.around.satellites and rng.random() < pattern.around.satellites:
            self._satellites(lesion, pattern, grown, rng)
        return placed

    def _surround(
        self, lesion: PlannedLesion, pattern: Pattern, grown: GrownLesion, effects: list[str], rng: np.random.Generator
    ) -> float:
        """What the lesion does round itself; the volume in ml by which it grew into veins."""
        around, more = pattern.around, 0.0
        if rng.random() < around.thrombus:
            more = thrombose(self.phantom, grown, int(lesion.label), rng)
            if more > 0:
                effects.append("portal tumour thrombus")
        if rng.random() < around.ducts:
            ducts = widen_ducts(self.phantom, grown, rng)
            if ducts is not None:
                self.mimics.append(ducts)
                effects.append("dilated ducts")
        if rng.random() < around.perfusion:
            changed = shunt(self.phantom, rng, at=grown.site.centre, radius=grown.radius)
            if changed is not None:
                self.mimics.append(changed)
                effects.append("perfusion change")
        return more

    def _satellites(
        self, lesion: PlannedLesion, pattern: Pattern, parent: GrownLesion, rng: np.random.Generator
    ) -> None:
        for _ in range(int(rng.integers(1, 4))):
            site = self.liver.near(parent.site.centre, parent.radius + 8.0, parent.radius + 28.0, rng)
            if site is None:
                return
            small = PlannedLesion(lesion.label, float(rng.uniform(0.08, 0.45)))
            grown = self._one(small, pattern, site, rng)
            if grown is not None:
                self._record(small, pattern, site, grown, grown.volume_ml, ["satellite"])

    def _one(self, lesion: PlannedLesion, pattern: Pattern, site: Site, rng: np.random.Generator) -> GrownLesion | None:
        outline = LesionOutline(pattern.ripple, pattern.fray_mm, pattern.lobes, site.outward if pattern.lens else None)
        # Without bulging nothing is drawn for it: patients of a seed stay what they were.
        bulges = self.bulging > 0 and site.depth < radius_mm(lesion.volume_ml) and rng.random() < self.bulging
        allowed = _LENS_TISSUES if pattern.lens or bulges else LIVER_TISSUES
        body = grow(self.tissue_map, site.centre, lesion.volume_ml, outline, allowed, rng)
        if body is None:
            return None
        box, depth = body
        inside = depth > 0
        curves, patchy = zone_curves(pattern, self.physiology, rng)
        values: dict[str, int] = {}
        for zone in pattern.zones:
            mask = cut(zone, depth, inside, self.tissue_map, rng)
            if mask.any():
                values[zone.name] = self.tissue_table.add(
                    curves[zone.name],
                    int(lesion.label),
                    pattern.family,
                    solid=not zone.fluid,
                    patchy_hu=0.0 if zone.fluid else patchy,
                )
                self.tissue_map.write(box, mask, values[zone.name])
        hu = {name: curves[name] for name in values}
        shares = _shares(self.tissue_map.values[box][inside], values)
        volume = float(np.count_nonzero(inside)) * self.tissue_map.voxel_ml
        return GrownLesion(site, box, inside, volume, radius_mm(volume), hu, shares)

    def _record(
        self,
        lesion: PlannedLesion,
        pattern: Pattern,
        site: Site,
        grown: GrownLesion,
        volume_ml: float,
        effects: list[str],
    ) -> PlacedLesion:
        z, y, x = site.centre
        placed = PlacedLesion(
            lesion.label,
            pattern.name,
            volume_ml,
            (x, y, z),
            site.segment,
            site.kind,
            tuple(effects),
            {name: [round(float(v), 1) for v in curve] for name, curve in grown.hu.items()},
            grown.shares,
        )
        self.lesions.append(placed)
        self.liver.taken.append((site.centre, grown.radius))
        return placed


def _shares(tissue: UInt8[np.ndarray, " n"], values: dict[str, int]) -> dict[str, float]:
    counts = np.bincount(tissue, minlength=256)
    return {name: round(float(counts[value]) / max(tissue.size, 1), 4) for name, value in values.items()}
