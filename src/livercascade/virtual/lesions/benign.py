"""Haemangioma, cysts and the paper's Other: sub-types and their four-phase patterns (docs/virtual.md, lesions)."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.lesions.pattern import Around, Pattern, Where, Zone, pick, radius_mm
from livercascade.virtual.mimics.family import MimicFamily
from livercascade.virtual.physiology import Physiology
from livercascade.virtual.tissue import Curve, Tissue


def hem(volume_ml: float, physiology: Physiology, rng: np.random.Generator) -> Pattern:
    """Typical with nodules that fill from outside in; flash-filling when small; giant with a scar that never fills."""
    aorta = physiology.hu[:, Tissue.AORTA]
    late = (float(aorta[2]) * float(rng.uniform(0.92, 1.05)), float(aorta[3]) * float(rng.uniform(0.95, 1.05)))
    if volume_ml <= 4.2 and rng.random() < 0.3:
        flash: Curve = (40, float(rng.uniform(0.6, 0.85) * aorta[1]), *late)
        return Pattern("Hem flash-filling", (Zone("all", flash, pool=True),), 0.07, around=Around(perfusion=0.1))
    radius, fill = radius_mm(volume_ml), float(rng.uniform(0.3, 0.7))
    nodules: Curve = (40, float(rng.uniform(0.45, 0.8) * aorta[1]), *late)
    filled_late: Curve = (40, 44, 60 + float(rng.uniform(0, 12)), late[1] * float(rng.uniform(0.9, 1.0)))
    filled_early: Curve = (40, 44, 44 + float(rng.uniform(0.7, 0.95)) * (late[0] - 44), late[1])
    inner: Curve = (40, 43, 55, 70 + float(rng.uniform(0.2, 1.0)) * (late[1] - 70))
    zones = [
        Zone("inner", inner, pool=True),
        Zone("filled late", filled_late, Where.RIM, mm=float(rng.uniform(0.45, 0.9)) * radius, pool=True),
        Zone("filled early", filled_early, Where.RIM, mm=fill * 0.45 * radius, share=0.85, pool=True),
        Zone(
            "nodules",
            nodules,
            Where.NODULES,
            mm=float(np.clip(0.35 * radius, 2.5, 14)),
            share=float(rng.uniform(0.2, 0.45)),
            pool=True,
        ),
    ]
    name = "Hem typical"
    if volume_ml > 64:
        name = "Hem giant"
        zones.append(Zone("scar", (35, 36, 38, 42), Where.STAR, share=float(rng.uniform(0.25, 0.45)), pool=True))
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
        septa = Zone("septa", (30, 40, 52, 50), Where.SHEETS, mm=0.8)
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
        scar = Zone("scar", (40, 55, 75, 105 + rng.normal(0, 6)), Where.STAR, share=float(rng.uniform(0.25, 0.45)))
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
        zones.append(Zone("blood or fat", low, Where.PATCHES, share=float(rng.uniform(0.1, 0.3))))
    return Pattern("adenoma", tuple(zones), 0.07, 1.0)


def _abscess(volume_ml: float, rng: np.random.Generator) -> Pattern:
    radius, level = radius_mm(volume_ml), float(rng.uniform(15, 28))
    wall = float(min(rng.uniform(2, 5), 0.35 * radius))
    lumen = max(0.25, (1 - 2 * wall / radius) ** 3 * 0.72)
    zones = [
        Zone("oedema", (40, 54, 78 + rng.normal(0, 6), 80)),
        Zone("wall", (38, 82 + rng.normal(0, 12), 98 + rng.normal(0, 10), 94), Where.CENTRE, share=0.72),
        Zone("pus", (level, level + 1, level + 3, level + 4), Where.CENTRE, share=lumen, fluid=True),
    ]
    if rng.random() < 0.6:
        zones.append(Zone("septa", (38, 75, 92, 90), Where.SHEETS, mm=1.2))
    return Pattern("abscess", tuple(zones), 0.13, 1.6, lobes=0.14, around=Around(perfusion=0.5))


def _angiomyolipoma(_: float, rng: np.random.Generator) -> Pattern:
    fat = float(rng.uniform(-80, -30))
    zones = (
        Zone("vessels", (40, 112 + rng.normal(0, 12), 88 + rng.normal(0, 10), 70)),
        Zone("fat", (fat, fat + 10, fat + 8, fat + 5), Where.PATCHES, share=float(rng.uniform(0.2, 0.6))),
    )
    return Pattern("angiomyolipoma", zones, 0.07, 0.9)


def _lymphoma(_: float, rng: np.random.Generator) -> Pattern:
    curve: Curve = (42 + rng.normal(0, 4), 52 + rng.normal(0, 5), 64 + rng.normal(0, 8), 64 + rng.normal(0, 6))
    return Pattern("lymphoma", (Zone("body", curve),), 0.1, 1.3)


def _pseudotumour(_: float, rng: np.random.Generator) -> Pattern:
    zones = (
        Zone("body", (40, 60 + rng.normal(0, 8), 82 + rng.normal(0, 8), 96 + rng.normal(0, 8))),
        Zone("patches", (32, 38, 44, 60), Where.PATCHES, share=0.25),
    )
    return Pattern("inflammatory pseudotumour", zones, 0.14, 2.0, around=Around(perfusion=0.2))
