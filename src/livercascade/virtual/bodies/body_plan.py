"""What a whole body is to be: its scan range, arms, couch, field of view and liver (docs/virtual.md, bodies)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from livercascade.virtual.habitus import Habitus
from livercascade.virtual.virtual_settings import ScanRange, VirtualSettings

Span = tuple[float, float]
"""Lowest and highest value."""
# Highest and lowest slice: ranges in mm above the dome of the liver.
_ENDS: Mapping[ScanRange, tuple[Span, Span]] = {
    ScanRange.ABDOMEN: ((20.0, 70.0), (-265.0, -190.0)),
    ScanRange.CHEST_ABDOMEN: ((225.0, 280.0), (-265.0, -190.0)),
    ScanRange.ABDOMEN_PELVIS: ((20.0, 70.0), (-480.0, -400.0)),
    ScanRange.TRUNK: ((225.0, 300.0), (-520.0, -410.0)),
    ScanRange.WHOLE_BODY: ((470.0, 540.0), (-610.0, -440.0)),
    ScanRange.HEAD_NECK: ((420.0, 540.0), (150.0, 300.0)),
    ScanRange.CHEST_APEX: ((230.0, 330.0), (75.0, 130.0)),
    ScanRange.PELVIS: ((-320.0, -265.0), (-530.0, -430.0)),
    ScanRange.THIGHS: ((-460.0, -390.0), (-700.0, -560.0)),
}
_MIX: Mapping[ScanRange, float] = {
    ScanRange.ABDOMEN: 0.17,
    ScanRange.CHEST_ABDOMEN: 0.13,
    ScanRange.ABDOMEN_PELVIS: 0.15,
    ScanRange.TRUNK: 0.15,
    ScanRange.WHOLE_BODY: 0.12,
    ScanRange.HEAD_NECK: 0.1,
    ScanRange.CHEST_APEX: 0.06,
    ScanRange.PELVIS: 0.07,
    ScanRange.THIGHS: 0.05,
}

_LEAST_DEPTH_MM = 74.0
"""Least half depth of the inner trunk."""


class Arms(Enum):
    """Where the arms are."""

    UP = "up"
    DOWN = "down"
    ONE_DOWN = "one down"
    FOLDED = "folded on the belly"


class Couch(Enum):
    """What the patient lies on."""

    CURVED = "curved"
    FLAT = "flat"
    MATTRESS = "mattress"
    GROOVED = "grooved mattress"


class LiverVariant(Enum):
    """How a liver differs from the usual one."""

    USUAL = "usual"
    SMALL = "small, cirrhotic"
    LARGE = "large"
    FATTY = "steatotic"
    LONG_LEFT = "left lobe to the spleen"
    RIEDEL = "Riedel lobe"
    LOW_DOME = "low dome"
    HIGH_DOME = "high dome"
    RESECTED = "resected"


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """One whole body in words and numbers; written into the patient's record.

    Attributes:
        scan_range: Range of the scan; None for the ends that the habitus has.
        female: True for a woman.
        arms: Place of the arms.
        couch: Kind of couch under the patient.
        blanket: True for a blanket over the body.
        cables: Number of cables and tubes on the body.
        liver: Kind of liver.
        dome_mm: Height of the right dome above the usual one, mm.
        decoys: Expected number of masses, cysts and calcifications outside the liver.
        low_dose: Factor on the noise.
        circle: Radius of the reconstructed circle as a share of half the field of view; 0 for a full square.
        padding: HU outside the circle.
        off_centre: Place of the field's middle against the body's, mm (y, x).
        metal: True for an implant that throws streaks.
    """

    scan_range: ScanRange | None
    female: bool
    arms: Arms
    couch: Couch
    blanket: bool
    cables: int
    liver: LiverVariant
    dome_mm: float
    decoys: float
    low_dose: float
    circle: float
    padding: int
    off_centre: tuple[float, float]
    metal: bool


def draw_body_plan(settings: VirtualSettings, rng: np.random.Generator) -> BodyPlan:
    """Random plan of a body."""
    scan_range = _range(settings, rng)
    liver = _variant(settings, rng)
    long_range = scan_range in (ScanRange.WHOLE_BODY, ScanRange.TRUNK)
    dome = {LiverVariant.HIGH_DOME: rng.uniform(15, 40), LiverVariant.LOW_DOME: -rng.uniform(15, 35)}
    return BodyPlan(
        scan_range=scan_range,
        female=bool(rng.random() < 0.5),
        arms=Arms(str(rng.choice([a.value for a in Arms], p=[0.62, 0.2, 0.1, 0.08]))),
        couch=Couch(str(rng.choice([c.value for c in Couch], p=[0.35, 0.15, 0.25, 0.25]))),
        blanket=bool(rng.random() < 0.35),
        cables=int(rng.poisson(1.2)),
        liver=liver,
        dome_mm=float(dome.get(liver, rng.normal(0, 4))),
        decoys=float(rng.choice([0.0, 2.0, 6.0])),
        low_dose=float(rng.uniform(1.5, 3.0)) if rng.random() < (0.4 if long_range else 0.08) else 1.0,
        circle=0.0 if rng.random() < 0.3 else float(rng.uniform(0.96, 1.0)),
        padding=int(rng.choice([-1024, -2000, -2048, -3024, -1000], p=[0.4, 0.15, 0.15, 0.2, 0.1])),
        off_centre=(float(rng.normal(0, 12)), float(rng.normal(0, 10))),
        metal=bool(rng.random() < 0.12),
    )


def fit_habitus(habitus: Habitus, plan: BodyPlan, rng: np.random.Generator) -> Habitus:
    """The habitus with the ends, field of view and liver of the plan."""
    # Randomised builds can leave no room for a whole liver.
    narrow = max(0.0, _LEAST_DEPTH_MM - habitus.cavity[0])
    habitus = replace(habitus, half_depth=habitus.half_depth + narrow)
    top, bottom = habitus.top, habitus.bottom
    if plan.scan_range is not None:
        highest, lowest = _ENDS[plan.scan_range]
        top, bottom = float(rng.uniform(*highest)), float(rng.uniform(*lowest))
    fov = 2.0 * habitus.half_width + float(rng.uniform(10, 60))
    draw = rng.random()
    if plan.scan_range is ScanRange.HEAD_NECK and draw < 0.6:
        fov = float(rng.uniform(220, 330))
    elif plan.arms is not Arms.UP and draw < 0.6:
        fov += float(rng.uniform(40, 120))
    elif draw > 0.82:
        # A field of view that cuts the body.
        fov *= float(rng.uniform(0.78, 0.95))
    elif draw > 0.74:
        fov = float(rng.uniform(480, 720))
    changes = _liver_changes(habitus, plan.liver, rng)
    fitted = replace(habitus, top=top, bottom=bottom, fov=fov, arms_down=plan.arms is not Arms.UP)
    return replace(fitted, **changes)


def shows_liver(habitus: Habitus) -> bool:
    """True if a scan with these ends holds a liver."""
    return habitus.top > -60.0 and habitus.bottom < -20.0


def _liver_changes(habitus: Habitus, kind: LiverVariant, rng: np.random.Generator) -> dict[str, float | bool]:
    """Fields of the habitus that a liver of this kind sets."""
    if kind is LiverVariant.SMALL:
        return {
            "cirrhotic": True,
            "liver_ml": float(rng.uniform(600, 900)),
            "liver_height": float(rng.uniform(100, 135)),
            "spleen_scale": float(rng.uniform(1.3, 1.7)),
            "ascites": bool(rng.random() < 0.4),
            "fat_fraction": 0.0,
        }
    if kind is LiverVariant.LARGE:
        return {"liver_ml": float(rng.uniform(2000, 3000)), "liver_height": float(rng.uniform(190, 235))}
    if kind is LiverVariant.FATTY:
        return {"fat_fraction": float(rng.uniform(0.6, 1.0)), "liver_ml": 1.25 * habitus.liver_ml, "cirrhotic": False}
    if kind is LiverVariant.RESECTED:
        # What is left of a liver grows.
        return {"liver_ml": 1.15 * habitus.liver_ml, "left_lobe": max(habitus.left_lobe, 80.0)}
    if kind is LiverVariant.LONG_LEFT:
        return {"left_lobe": float(rng.uniform(105, 140)), "liver_ml": 1.15 * habitus.liver_ml}
    return {}


def _range(settings: VirtualSettings, rng: np.random.Generator) -> ScanRange | None:
    if not settings.scan_ranges:
        return None
    chosen = settings.scan_ranges[int(rng.integers(len(settings.scan_ranges)))]
    if chosen is not ScanRange.MIXED:
        return chosen
    ranges = list(_MIX)
    return ranges[int(rng.choice(len(ranges), p=list(_MIX.values())))]


def _variant(settings: VirtualSettings, rng: np.random.Generator) -> LiverVariant:
    if rng.random() >= settings.unusual_livers:
        return LiverVariant.USUAL
    kinds = [kind for kind in LiverVariant if kind is not LiverVariant.USUAL]
    return kinds[int(rng.integers(len(kinds)))]
