"""Sub-types of every lesion type and their four-phase patterns (docs/virtual.md, lesions)."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.lesions.enhancement_pattern import Pattern, SideEffects, Zone, ZoneExtent, pick, radius_mm
from livercascade.virtual.mimics.mimic_families import MimicFamily
from livercascade.virtual.physiology import Physiology
from livercascade.virtual.tissue import Curve, Tissue

_LARGE_ML, _MOSAIC_ML, _CAPSULE_ML = 30.0, 14.0, 4.2
"""Volumes from which HCC infiltrates, breaks up (3 cm) and shows a capsule (2 cm)."""


def hcc(volume_ml: float, rng: np.random.Generator) -> Pattern:
    """Classic with or without capsule and mosaic, hypovascular, infiltrative."""
    large = volume_ml > _LARGE_ML
    kind = pick(rng, [(0.78, "classic"), (0.13, "hypovascular"), (0.09 if large else 0.0, "infiltrative")])
    if kind == "hypovascular":
        curve: Curve = (45, 60 + rng.normal(0, 4), 84 + rng.normal(0, 6), 76 + rng.normal(0, 5))
        return Pattern("HCC hypovascular", (Zone("viable", curve), *_mosaic(volume_ml, 0.3, rng)), 0.1, 1.8)
    if kind == "infiltrative":
        zones = (
            Zone("viable", (45, 75 + rng.normal(0, 8), 78 + rng.normal(0, 6), 70 + rng.normal(0, 5))),
            Zone("patches", (44, 98, 86, 72), ZoneExtent.PATCHES, share=0.35, size_mm=7.0),
            Zone("sparing", (47, 62, 86, 78), ZoneExtent.PATCHES, share=0.2, size_mm=10.0),
        )
        return Pattern(
            "HCC infiltrative", zones, 0.22, 3.0, jitter=5.0, around=SideEffects(perfusion=0.4, thrombus=0.9)
        )
    viable: Curve = (46, 105 + rng.normal(0, 20), 88 + rng.normal(0, 10), 71 + rng.normal(0, 8))
    zones = (Zone("viable", viable), *_mosaic(volume_ml, 0.65, rng))
    around = SideEffects(perfusion=0.12, thrombus=0.12 if large else 0.0)
    if volume_ml > _CAPSULE_ML and rng.random() < 0.5:
        capsule = Zone("capsule", (48, 55, 100, 103), ZoneExtent.RIM, mm=float(rng.uniform(1.2, 2.2)), share=0.85)
        return Pattern("HCC capsule", (*zones, capsule), 0.06, 0.6, lobes=0.05, around=around)
    name = "HCC small" if volume_ml <= _CAPSULE_ML else "HCC classic"
    return Pattern(name, zones, 0.08, float(rng.uniform(0.8, 1.8)), lobes=0.06, around=around)


def _mosaic(volume_ml: float, chance: float, rng: np.random.Generator) -> tuple[Zone, ...]:
    """Necrosis, fat, other clones and septa inside a large HCC."""
    if volume_ml < _MOSAIC_ML or rng.random() > chance:
        return ()
    low, fat = float(rng.uniform(15, 30)), float(rng.uniform(-20, 20))
    zones = [
        Zone("clone", (45, 80 + rng.normal(0, 12), 80, 72), ZoneExtent.PATCHES, share=float(rng.uniform(0.15, 0.35)))
    ]
    if rng.random() < 0.7:
        curve: Curve = (low, low + 4, low + 6, low + 7)
        zones.append(Zone("necrosis", curve, ZoneExtent.PATCHES, share=float(rng.uniform(0.08, 0.3))))
    if rng.random() < 0.25:
        zones.append(
            Zone("fat", (fat, fat + 8, fat + 10, fat + 10), ZoneExtent.PATCHES, share=float(rng.uniform(0.06, 0.2)))
        )
    if rng.random() < 0.5:
        zones.append(Zone("septa", (48, 58, 96, 98), ZoneExtent.SHEETS, mm=1.0))
    return tuple(zones)


def icc(volume_ml: float, rng: np.random.Generator) -> Pattern:
    """Mass-forming: irregular arterial rim, filling from outside in, bright centre late."""
    radius = radius_mm(volume_ml)
    late = 92 + rng.normal(0, 12)
    rim: Curve = (40, 88 + rng.normal(0, 13), 98 + rng.normal(0, 12), 92 + rng.normal(0, 8))
    zones = [
        Zone("centre", (36 + rng.normal(0, 5), 48 + rng.normal(0, 6), 62 + rng.normal(0, 8), late)),
        Zone("middle", (38, 56, 80 + rng.normal(0, 6), late + 2), ZoneExtent.RIM, mm=0.45 * radius),
        Zone(
            "rim",
            rim,
            ZoneExtent.RIM,
            mm=float(min(rng.uniform(3, 8), 0.4 * radius)),
            share=float(rng.uniform(0.65, 0.95)),
        ),
    ]
    if volume_ml > _MOSAIC_ML and rng.random() < 0.5:
        zones.append(Zone("necrosis", (28, 31, 36, 46), ZoneExtent.PATCHES, share=float(rng.uniform(0.06, 0.2))))
    around = SideEffects(perfusion=0.15, ducts=0.4, retraction=0.25, satellites=0.25)
    return Pattern("ICC mass-forming", tuple(zones), 0.16, 2.0, lobes=0.14, around=around)


def meta(volume_ml: float, rng: np.random.Generator) -> Pattern:
    """Hypovascular with or without target, necrosis and calcification; hypervascular; cystic."""
    radius = radius_mm(volume_ml)
    centre: Curve = (40 + rng.normal(0, 5), 47 + rng.normal(0, 6), 58 + rng.normal(0, 10), 62 + rng.normal(0, 9))
    ring: Curve = (43, 82 + rng.normal(0, 12), 84 + rng.normal(0, 10), 72 + rng.normal(0, 5))
    rim = Zone(
        "rim", ring, ZoneExtent.RIM, mm=float(min(rng.uniform(2, 4), 0.4 * radius)), share=float(rng.uniform(0.7, 1))
    )
    body = Zone("centre", centre)
    dead = Zone("necrosis", (24, 26, 29, 31), ZoneExtent.CENTRE, share=float(rng.uniform(0.25, 0.55)))
    level = float(rng.uniform(15, 25))
    fluid = Zone("fluid", (level, level + 5, level + 10, level + 10), fluid=rng.random() < 0.5)
    chalk = float(rng.uniform(130, 500))
    calcium = Zone(
        "calcium",
        (chalk, chalk, chalk, chalk),
        ZoneExtent.PATCHES,
        share=float(rng.uniform(0.03, 0.12)),
        size_mm=4.0,
        fluid=True,
    )
    return pick(
        rng,
        [
            (0.42, Pattern("Meta target", (body, rim), 0.1, 1.4)),
            (0.18, Pattern("Meta hypovascular", (body,), 0.11, 1.6)),
            (0.11, Pattern("Meta necrotic", (body, rim, dead), 0.12, 1.4)),
            (0.06, Pattern("Meta calcified", (body, rim, calcium), 0.12, 1.4)),
            (0.18, _hypervascular(volume_ml, rng)),
            (0.05, Pattern("Meta cystic", (fluid, rim), 0.07, 0.8)),
        ],
    )


def _hypervascular(volume_ml: float, rng: np.random.Generator) -> Pattern:
    bright: Curve = (44, 118 + rng.normal(0, 18), 92 + rng.normal(0, 12), 78 + rng.normal(0, 8))
    zones = [Zone("viable", bright)]
    if volume_ml > 8 and rng.random() < 0.5:
        zones.append(Zone("necrosis", (26, 30, 36, 40), ZoneExtent.CENTRE, share=float(rng.uniform(0.1, 0.4))))
    return Pattern("Meta hypervascular", tuple(zones), 0.08, 1.2, around=SideEffects(perfusion=0.1))


def haemangioma(volume_ml: float, physiology: Physiology, rng: np.random.Generator) -> Pattern:
    """Typical with nodules that fill from outside in; flash-filling when small; giant with a scar that never fills."""
    aorta = physiology.hu[:, Tissue.AORTA]
    late = (float(aorta[2]) * float(rng.uniform(0.92, 1.05)), float(aorta[3]) * float(rng.uniform(0.95, 1.05)))
    if volume_ml <= 4.2 and rng.random() < 0.3:
        flash: Curve = (40, float(rng.uniform(0.6, 0.85) * aorta[1]), *late)
        return Pattern("Hem flash-filling", (Zone("all", flash, pool=True),), 0.07, around=SideEffects(perfusion=0.1))
    radius, fill = radius_mm(volume_ml), float(rng.uniform(0.3, 0.7))
    nodules: Curve = (40, float(rng.uniform(0.45, 0.8) * aorta[1]), *late)
    filled_late: Curve = (40, 44, 60 + float(rng.uniform(0, 12)), late[1] * float(rng.uniform(0.9, 1.0)))
    filled_early: Curve = (40, 44, 44 + float(rng.uniform(0.7, 0.95)) * (late[0] - 44), late[1])
    inner: Curve = (40, 43, 55, 70 + float(rng.uniform(0.2, 1.0)) * (late[1] - 70))
    zones = [
        Zone("inner", inner, pool=True),
        Zone("filled late", filled_late, ZoneExtent.RIM, mm=float(rng.uniform(0.45, 0.9)) * radius, pool=True),
        Zone("filled early", filled_early, ZoneExtent.RIM, mm=fill * 0.45 * radius, share=0.85, pool=True),
        Zone(
            "nodules",
            nodules,
            ZoneExtent.NODULES,
            mm=float(np.clip(0.35 * radius, 2.5, 14)),
            share=float(rng.uniform(0.2, 0.45)),
            pool=True,
        ),
    ]
    name = "Hem typical"
    if volume_ml > 64:
        name = "Hem giant"
        zones.append(Zone("scar", (35, 36, 38, 42), ZoneExtent.STAR, share=float(rng.uniform(0.25, 0.45)), pool=True))
    return Pattern(name, tuple(zones), 0.09, 0.8, lobes=0.14, subcapsular=0.45)


def cyst(volume_ml: float, rng: np.random.Generator) -> Pattern:
    """Simple, septated, or small and pseudo-enhancing."""
    level = float(np.clip(6.0 + rng.normal(0, 5), -4, 18))
    if volume_ml < 4 and rng.random() < 0.15:
        gain = float(rng.uniform(8, 16))
        curve: Curve = (level + 3, level + 3 + 0.5 * gain, level + 3 + gain, level + 3 + 0.8 * gain)
        zones = (Zone("fluid", curve, fluid=True),)
        family = int(MimicFamily.PSEUDO_ENHANCEMENT)
        return Pattern("cyst pseudo-enhancing", zones, 0.05, 0.4, jitter=2.0, family=family)
    lumen = Zone("fluid", (level, level + 1, level + 2, level + 2), fluid=True)
    if volume_ml > 8 and rng.random() < 0.2:
        septa = Zone("septa", (30, 40, 52, 50), ZoneExtent.SHEETS, mm=0.8)
        return Pattern("cyst septated", (lumen, septa), 0.06, 0.3, lobes=0.1, jitter=2.0, subcapsular=0.35)
    return Pattern("cyst", (lumen,), 0.05, 0.3, lobes=0.05, jitter=2.0, subcapsular=0.35)


def other(volume_ml: float, rng: np.random.Generator) -> Pattern:
    """FNH, implants, adenoma, abscess, angiomyolipoma, lymphoma, inflammatory pseudotumour."""
    makers = [(0.46, _fnh), (0.18, _implant), (0.11, _adenoma), (0.10, _abscess), (0.05, _angiomyolipoma)]
    return pick(rng, [*makers, (0.05, _lymphoma), (0.05, _pseudotumour)])(volume_ml, rng)


def _fnh(volume_ml: float, rng: np.random.Generator) -> Pattern:
    body = Zone(
        "body", (51 + rng.normal(0, 4), 118 + rng.normal(0, 13), 112 + rng.normal(0, 14), 90 + rng.normal(0, 6))
    )
    if volume_ml > 2 and rng.random() < 0.55:
        scar = Zone("scar", (40, 55, 75, 105 + rng.normal(0, 6)), ZoneExtent.STAR, share=float(rng.uniform(0.25, 0.45)))
        return Pattern("FNH", (body, scar), 0.08, 1.0, lobes=0.12)
    return Pattern("FNH without scar", (body,), 0.09, 1.0, lobes=0.1)


def _implant(_: float, rng: np.random.Generator) -> Pattern:
    nc = float(rng.uniform(10, 20)) if rng.random() < 0.25 else float(rng.uniform(30, 45))
    solid = Zone("implant", (nc, nc + 14 + rng.normal(0, 4), nc + 31 + rng.normal(0, 6), nc + 33 + rng.normal(0, 6)))
    return Pattern("implant", (solid,), 0.12, 1.4, lobes=0.15, lens=True, subcapsular=1.0)


def _adenoma(_: float, rng: np.random.Generator) -> Pattern:
    zones = [
        Zone("body", (56 + rng.normal(0, 6), 80 + rng.normal(0, 10), 110 + rng.normal(0, 12), 88 + rng.normal(0, 6)))
    ]
    if rng.random() < 0.4:
        low: Curve = (62, 64, 66, 66) if rng.random() < 0.5 else (12, 24, 34, 28)
        zones.append(Zone("blood or fat", low, ZoneExtent.PATCHES, share=float(rng.uniform(0.1, 0.3))))
    return Pattern("adenoma", tuple(zones), 0.07, 1.0)


def _abscess(volume_ml: float, rng: np.random.Generator) -> Pattern:
    radius, level = radius_mm(volume_ml), float(rng.uniform(15, 28))
    wall = float(min(rng.uniform(2, 5), 0.35 * radius))
    lumen = max(0.25, (1 - 2 * wall / radius) ** 3 * 0.72)
    zones = [
        Zone("oedema", (40, 54, 78 + rng.normal(0, 6), 80)),
        Zone("wall", (38, 82 + rng.normal(0, 12), 98 + rng.normal(0, 10), 94), ZoneExtent.CENTRE, share=0.72),
        Zone("pus", (level, level + 1, level + 3, level + 4), ZoneExtent.CENTRE, share=lumen, fluid=True),
    ]
    if rng.random() < 0.6:
        zones.append(Zone("septa", (38, 75, 92, 90), ZoneExtent.SHEETS, mm=1.2))
    return Pattern("abscess", tuple(zones), 0.13, 1.6, lobes=0.14, around=SideEffects(perfusion=0.5))


def _angiomyolipoma(_: float, rng: np.random.Generator) -> Pattern:
    fat = float(rng.uniform(-80, -30))
    zones = (
        Zone("vessels", (40, 112 + rng.normal(0, 12), 88 + rng.normal(0, 10), 70)),
        Zone("fat", (fat, fat + 10, fat + 8, fat + 5), ZoneExtent.PATCHES, share=float(rng.uniform(0.2, 0.6))),
    )
    return Pattern("angiomyolipoma", zones, 0.07, 0.9)


def _lymphoma(_: float, rng: np.random.Generator) -> Pattern:
    curve: Curve = (42 + rng.normal(0, 4), 52 + rng.normal(0, 5), 64 + rng.normal(0, 8), 64 + rng.normal(0, 6))
    return Pattern("lymphoma", (Zone("body", curve),), 0.1, 1.3)


def _pseudotumour(_: float, rng: np.random.Generator) -> Pattern:
    zones = (
        Zone("body", (40, 60 + rng.normal(0, 8), 82 + rng.normal(0, 8), 96 + rng.normal(0, 8))),
        Zone("patches", (32, 38, 44, 60), ZoneExtent.PATCHES, share=0.25),
    )
    return Pattern("inflammatory pseudotumour", zones, 0.14, 2.0, around=SideEffects(perfusion=0.2))
