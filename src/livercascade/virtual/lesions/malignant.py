"""HCC, ICC and metastases: sub-types and their four-phase patterns (docs/virtual.md, lesions)."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.lesions.pattern import Around, Pattern, Where, Zone, pick, radius_mm
from livercascade.virtual.tissue import Curve

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
            Zone("patches", (44, 98, 86, 72), Where.PATCHES, share=0.35, size_mm=7.0),
            Zone("sparing", (47, 62, 86, 78), Where.PATCHES, share=0.2, size_mm=10.0),
        )
        return Pattern("HCC infiltrative", zones, 0.22, 3.0, jitter=5.0, around=Around(perfusion=0.4, thrombus=0.9))
    viable: Curve = (46, 105 + rng.normal(0, 20), 88 + rng.normal(0, 10), 71 + rng.normal(0, 8))
    zones = (Zone("viable", viable), *_mosaic(volume_ml, 0.65, rng))
    around = Around(perfusion=0.12, thrombus=0.12 if large else 0.0)
    if volume_ml > _CAPSULE_ML and rng.random() < 0.5:
        capsule = Zone("capsule", (48, 55, 100, 103), Where.RIM, mm=float(rng.uniform(1.2, 2.2)), share=0.85)
        return Pattern("HCC capsule", (*zones, capsule), 0.06, 0.6, lobes=0.05, around=around)
    name = "HCC small" if volume_ml <= _CAPSULE_ML else "HCC classic"
    return Pattern(name, zones, 0.08, float(rng.uniform(0.8, 1.8)), lobes=0.06, around=around)


def _mosaic(volume_ml: float, chance: float, rng: np.random.Generator) -> tuple[Zone, ...]:
    """Necrosis, fat, other clones and septa inside a large HCC."""
    if volume_ml < _MOSAIC_ML or rng.random() > chance:
        return ()
    low, fat = float(rng.uniform(15, 30)), float(rng.uniform(-20, 20))
    zones = [Zone("clone", (45, 80 + rng.normal(0, 12), 80, 72), Where.PATCHES, share=float(rng.uniform(0.15, 0.35)))]
    if rng.random() < 0.7:
        curve: Curve = (low, low + 4, low + 6, low + 7)
        zones.append(Zone("necrosis", curve, Where.PATCHES, share=float(rng.uniform(0.08, 0.3))))
    if rng.random() < 0.25:
        zones.append(
            Zone("fat", (fat, fat + 8, fat + 10, fat + 10), Where.PATCHES, share=float(rng.uniform(0.06, 0.2)))
        )
    if rng.random() < 0.5:
        zones.append(Zone("septa", (48, 58, 96, 98), Where.SHEETS, mm=1.0))
    return tuple(zones)


def icc(volume_ml: float, rng: np.random.Generator) -> Pattern:
    """Mass-forming: irregular arterial rim, filling from outside in, bright centre late."""
    radius = radius_mm(volume_ml)
    late = 92 + rng.normal(0, 12)
    rim: Curve = (40, 88 + rng.normal(0, 13), 98 + rng.normal(0, 12), 92 + rng.normal(0, 8))
    zones = [
        Zone("centre", (36 + rng.normal(0, 5), 48 + rng.normal(0, 6), 62 + rng.normal(0, 8), late)),
        Zone("middle", (38, 56, 80 + rng.normal(0, 6), late + 2), Where.RIM, mm=0.45 * radius),
        Zone(
            "rim", rim, Where.RIM, mm=float(min(rng.uniform(3, 8), 0.4 * radius)), share=float(rng.uniform(0.65, 0.95))
        ),
    ]
    if volume_ml > _MOSAIC_ML and rng.random() < 0.5:
        zones.append(Zone("necrosis", (28, 31, 36, 46), Where.PATCHES, share=float(rng.uniform(0.06, 0.2))))
    around = Around(perfusion=0.15, ducts=0.4, retraction=0.25, satellites=0.25)
    return Pattern("ICC mass-forming", tuple(zones), 0.16, 2.0, lobes=0.14, around=around)


def meta(volume_ml: float, rng: np.random.Generator) -> Pattern:
    """Hypovascular with or without target, necrosis and calcification; hypervascular; cystic."""
    radius = radius_mm(volume_ml)
    centre: Curve = (40 + rng.normal(0, 5), 47 + rng.normal(0, 6), 58 + rng.normal(0, 10), 62 + rng.normal(0, 9))
    ring: Curve = (43, 82 + rng.normal(0, 12), 84 + rng.normal(0, 10), 72 + rng.normal(0, 5))
    rim = Zone("rim", ring, Where.RIM, mm=float(min(rng.uniform(2, 4), 0.4 * radius)), share=float(rng.uniform(0.7, 1)))
    body = Zone("centre", centre)
    dead = Zone("necrosis", (24, 26, 29, 31), Where.CENTRE, share=float(rng.uniform(0.25, 0.55)))
    level = float(rng.uniform(15, 25))
    fluid = Zone("fluid", (level, level + 5, level + 10, level + 10), fluid=rng.random() < 0.5)
    chalk = float(rng.uniform(130, 500))
    calcium = Zone(
        "calcium",
        (chalk, chalk, chalk, chalk),
        Where.PATCHES,
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
        zones.append(Zone("necrosis", (26, 30, 36, 40), Where.CENTRE, share=float(rng.uniform(0.1, 0.4))))
    return Pattern("Meta hypervascular", tuple(zones), 0.08, 1.2, around=Around(perfusion=0.1))
