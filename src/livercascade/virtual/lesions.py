"""Lesions of virtual patients: types, sizes, places, shapes and four-phase patterns (CLINICAL, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cc3d
import numpy as np
from jaxtyping import Bool, Float32

from livercascade.data.labels import LesionType
from livercascade.data.lesion import Box
from livercascade.virtual.canvas import Canvas
from livercascade.virtual.fields import coarse_noise
from livercascade.virtual.palette import Palette
from livercascade.virtual.physiology import Physiology
from livercascade.virtual.tissue import FIRST_PART, LIVER_TISSUES, Curve, Tissue

_FRAY_CELL_MM = 2.5
VOLUME_BINS_ML = ((0.5, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0), (16.0, 64.0), (64.0, 900.0))
TABLE_I: dict[LesionType, tuple[int, ...]] = {
    LesionType.HCC: (22, 28, 36, 47, 60, 66),
    LesionType.ICC: (0, 0, 1, 2, 7, 3),
    LesionType.META: (69, 27, 32, 18, 24, 22),
    LesionType.HEM: (1, 2, 1, 0, 3, 5),
    LesionType.OTHER: (25, 8, 7, 11, 8, 2),
    LesionType.CYST: (51, 7, 8, 1, 2, 0),
}
"""Counts of the paper's Table I, from which sizes are drawn."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """How one sub-type looks: zones by depth under the surface, each with its four-phase curve.

    Attributes:
        name: Sub-type, for example ``HCC capsule``.
        core: Curve of the inner part.
        rim: Curve of an outer zone, or None.
        rim_mm: Its thickness.
        spots: Curve of patches inside the core (mosaic, necrosis, nodules, scar), or None.
        spots_where: ``inside`` patches anywhere, ``edge`` patches in the outer zone, ``centre`` one central patch.
        spots_share: Share of that zone which the patches take.
        ripple: Irregularity of the surface, 0.05 sharp to 0.25 ill-defined.
        fray_mm: Raggedness of the margin at about 2.5 mm: what thick slices show as a soft edge.
        jitter: SD of the lesion's own shift of HU, shared by all phases after NC.
    """

    name: str
    core: Curve
    rim: Curve | None = None
    rim_mm: float = 0.0
    spots: Curve | None = None
    spots_where: str = "inside"
    spots_share: float = 0.3
    ripple: float = 0.08
    fray_mm: float = 1.0
    jitter: float = 8.0


@dataclass(frozen=True, slots=True)
class PlannedLesion:
    """A lesion to be placed: type and volume."""

    label: LesionType
    volume_ml: float


@dataclass(frozen=True, slots=True)
class PlacedLesion:
    """A lesion as it was painted.

    Attributes:
        label: Type.
        pattern: Sub-type.
        volume_ml: True volume on the fine grid.
        centre: LPS mm (x, y, z) of the centre it grew from.
        hu: Curves by zone name.
    """

    label: LesionType
    pattern: str
    volume_ml: float
    centre: tuple[float, float, float]
    hu: dict[str, list[float]] = field(default_factory=dict[str, list[float]])


def draw_volume(label: LesionType, rng: np.random.Generator, *, small: bool = False) -> float:
    """Volume in ml: bin of Table I for the type, then log-uniform inside; ``small`` flattens the bins."""
    counts = np.asarray(TABLE_I[label], dtype=np.float64)
    if small:
        counts = counts / counts.sum() + np.array([0.5, 0.4, 0.35, 0.3, 0.2, 0.05])
    low, high = VOLUME_BINS_ML[int(rng.choice(6, p=counts / counts.sum()))]
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_pattern(label: LesionType, volume_ml: float, physiology: Physiology, rng: np.random.Generator) -> Pattern:
    """Sub-type of a lesion with its curves before the patient's own factors."""
    if label is LesionType.HCC:
        return _hcc(volume_ml, rng)
    if label is LesionType.HEM:
        return _hem(volume_ml, physiology, rng)
    makers = {LesionType.ICC: _icc, LesionType.META: _meta, LesionType.OTHER: _other, LesionType.CYST: _cyst}
    return makers[label](rng)


def _pick(rng: np.random.Generator, patterns: Sequence[tuple[float, Pattern]]) -> Pattern:
    weights = np.array([w for w, _ in patterns])
    return patterns[int(rng.choice(len(patterns), p=weights / weights.sum()))][1]


def _hcc(volume_ml: float, rng: np.random.Generator) -> Pattern:
    apex = 105.0 + rng.normal(0, 18)
    classic: Curve = (46, apex, 88 + rng.normal(0, 9), 71 + rng.normal(0, 7))
    capsule: Curve = (48, 55, 100, 103)
    mosaic: Curve = (26, 36, 40, 42)
    if volume_ml > 4:
        capsuled = Pattern("HCC capsule", classic, capsule, 1.8, mosaic if volume_ml > 12 else None, "inside", 0.3)
    else:
        capsuled = Pattern("HCC small", classic, ripple=0.06)
    return _pick(
        rng,
        [
            (0.40, capsuled),
            (0.36, Pattern("HCC classic", classic, None, 0.0, mosaic if volume_ml > 12 else None, "inside", 0.22)),
            (0.14, Pattern("HCC hypovascular", (45, 60, 84, 76), fray_mm=1.8)),
            (
                0.10 if volume_ml > 30 else 0.0,
                Pattern("HCC infiltrative", (45, 75, 78, 70), None, 0.0, (44, 95, 84, 70), "inside", 0.4, 0.22, 3.0),
            ),
        ],
    )


def _icc(rng: np.random.Generator) -> Pattern:
    core: Curve = (36, 48 + rng.normal(0, 6), 62 + rng.normal(0, 8), 92 + rng.normal(0, 12))
    rim: Curve = (40, 88 + rng.normal(0, 13), 98 + rng.normal(0, 12), 92 + rng.normal(0, 8))
    return Pattern("ICC mass-forming", core, rim, float(rng.uniform(3, 8)), (34, 42, 52, 70), "inside", 0.2, 0.18, 2.0)


def _meta(rng: np.random.Generator) -> Pattern:
    centre: Curve = (40, 47 + rng.normal(0, 6), 58 + rng.normal(0, 10), 62 + rng.normal(0, 9))
    rim: Curve = (43, 82 + rng.normal(0, 12), 84 + rng.normal(0, 10), 72)
    necrosis: Curve = (25, 27, 30, 32)
    return _pick(
        rng,
        [
            (0.45, Pattern("Meta target", centre, rim, float(rng.uniform(2, 4)))),
            (0.20, Pattern("Meta hypovascular", centre)),
            (0.12, Pattern("Meta necrotic", centre, rim, float(rng.uniform(2, 5)), necrosis, "centre", 0.5)),
            (0.18, Pattern("Meta hypervascular", (44, 118 + rng.normal(0, 18), 92 + rng.normal(0, 12), 78))),
            (0.05, Pattern("Meta cystic", (20, 25, 30, 30), rim, 2.0)),
        ],
    )


def _hem(volume_ml: float, physiology: Physiology, rng: np.random.Generator) -> Pattern:
    aorta = physiology.hu[:, Tissue.AORTA]
    pool: Curve = (40, float(rng.uniform(0.45, 0.8) * aorta[1]), float(aorta[2]), float(aorta[3]))
    if volume_ml <= 4 and rng.random() < 0.3:
        flash: Curve = (40, float(rng.uniform(0.6, 0.85) * aorta[1]), float(aorta[2]), float(aorta[3]))
        return Pattern("Hem flash-filling", flash, ripple=0.08)
    fill = rng.uniform(0.2, 0.8)
    rest: Curve = (40, 44, float(44 + fill * (aorta[2] - 44)), float(70 + rng.uniform(0.4, 1.0) * (aorta[3] - 70)))
    scar: Curve = (35, 36, 40, 45)
    if volume_ml > 64:
        return (
            Pattern("Hem giant", rest, None, 8.0, pool, "edge", 0.4, 0.14)
            if rng.random() < 0.5
            else Pattern("Hem giant with scar", rest, pool, 7.0, scar, "centre", 0.25, 0.14)
        )
    return Pattern("Hem typical", rest, None, 6.0, pool, "edge", float(rng.uniform(0.3, 0.6)), 0.12)


def _other(rng: np.random.Generator) -> Pattern:
    fnh: Curve = (51, 118 + rng.normal(0, 12), 112 + rng.normal(0, 14), 90)
    return _pick(
        rng,
        [
            (0.40, Pattern("FNH", fnh, None, 0.0, (40, 55, 75, 105), "centre", 0.12, 0.1)),
            (0.15, Pattern("FNH without scar", fnh, ripple=0.1)),
            (0.15, Pattern("adenoma", (56, 80 + rng.normal(0, 10), 110 + rng.normal(0, 12), 88))),
            (0.12, Pattern("abscess", (18, 20, 22, 24), (38, 80, 95, 90), 3.5, None, "inside", 0.0, 0.14)),
            (0.08, Pattern("angiomyolipoma", (-35, 30, 15, -5), None, 0.0, (40, 110, 80, 65), "inside", 0.4)),
            (0.10, Pattern("implant", (36, 50, 68, 70), ripple=0.12)),
        ],
    )


def _cyst(rng: np.random.Generator) -> Pattern:
    level = 6.0 + rng.normal(0, 5)
    return Pattern("cyst", (level, level + 1, level + 2, level + 2), ripple=0.04, fray_mm=0.3, jitter=2.0)


def paint_lesion(
    canvas: Canvas, lesion: PlannedLesion, palette: Palette, physiology: Physiology, rng: np.random.Generator
) -> PlacedLesion | None:
    """Find a place in the liver, grow the lesion there and paint its zones; None when there is no room."""
    pattern = draw_pattern(lesion.label, lesion.volume_ml, physiology, rng)
    if palette.room < 4:
        return None
    place = _find_place(canvas, lesion, pattern, rng)
    if place is None:
        return None
    box, depth, inside, centre = place
    curves: dict[str, Float32[np.ndarray, " 4"]] = {}
    fluid = lesion.label is LesionType.CYST
    own = physiology.lesion_character(pattern.jitter, fluid=fluid, rng=rng)
    for zone, mask in _zones(pattern, depth, inside, canvas, rng):
        base = {"core": pattern.core, "rim": pattern.rim, "spots": pattern.spots}[zone]
        assert base is not None
        curves[zone] = own.apply(physiology.enhance_lesion(base), physiology.liver)
        value = palette.add(curves[zone], int(lesion.label), solid=not fluid, patchy_hu=own.patchy_hu)
        canvas.write(box, mask, value)
    return PlacedLesion(
        lesion.label,
        pattern.name,
        float(inside.sum()) * canvas.voxel_ml,
        (centre[2], centre[1], centre[0]),
        {name: [round(float(v), 1) for v in curve] for name, curve in curves.items()},
    )


def _find_place(
    canvas: Canvas, lesion: PlannedLesion, pattern: Pattern, rng: np.random.Generator
) -> tuple[Box, Float32[np.ndarray, "z y x"], Bool[np.ndarray, "z y x"], tuple[float, float, float]] | None:
    step = (4, 4, 4)
    coarse = canvas.tissue[:: step[0], :: step[1], :: step[2]]
    spots = np.argwhere(coarse == Tissue.LIVER)
    if len(spots) == 0:
        return None
    radius = (lesion.volume_ml * 1000.0 * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
    for attempt in range(24):
        k = spots[int(rng.integers(len(spots)))] * 4
        centre = (float(canvas.z[k[0]]), float(canvas.y[k[1]]), float(canvas.x[k[2]]))
        scale = 1.0 if attempt < 14 else 0.75
        box, depth = _blob(canvas, centre, radius * scale, pattern, rng)
        shape = depth > 0
        whole = int(shape.sum())
        if whole == 0:
            continue
        view = canvas.tissue[box]
        inside = shape & np.isin(view, LIVER_TISSUES)
        touching = (view >= FIRST_PART) & (depth > -4.0)
        if inside.sum() >= 0.7 * whole and not touching.any():
            return box, depth, inside, centre
    return None


def _blob(
    canvas: Canvas, centre: tuple[float, float, float], radius: float, pattern: Pattern, rng: np.random.Generator
) -> tuple[Box, Float32[np.ndarray, "z y x"]]:
    """Depth in mm under the surface of a rippled ellipsoid with a frayed margin (negative outside)."""
    ripple = pattern.ripple
    ratios = np.array([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.7, 1.0)])
    ratios = rng.permutation(ratios / np.prod(ratios) ** (1 / 3))
    reach = radius * float(ratios.max()) * (1.0 + 2.5 * ripple) + 5.0
    box = canvas.box(
        (centre[0] - reach, centre[1] - reach, centre[2] - reach),
        (centre[0] + reach, centre[1] + reach, centre[2] + reach),
    )
    dz, dy, dx = canvas.offsets(box, centre)
    angle = rng.uniform(0, np.pi)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = c * dy + s * dx, -s * dy + c * dx
    rho = np.sqrt((dz / (ratios[0] * radius)) ** 2 + (u / (ratios[1] * radius)) ** 2 + (v / (ratios[2] * radius)) ** 2)
    a, b, n = rho.shape
    cells = tuple(max(2.0, 0.7 * radius / d) for d in _steps(canvas))
    bumps = coarse_noise((a, b, n), (cells[0], cells[1], cells[2]), rng)
    depth = (1.0 + ripple * bumps - rho) * radius
    fine = tuple(max(1.0, _FRAY_CELL_MM / d) for d in _steps(canvas))
    # Small lesions have thinner margins: a frayed 5 mm lesion would be crumbs.
    fray = min(pattern.fray_mm, 0.15 * radius)
    depth += fray * coarse_noise((a, b, n), (fine[0], fine[1], fine[2]), rng)
    return box, _main_part(depth.astype(np.float32))


def _main_part(depth: Float32[np.ndarray, "z y x"]) -> Float32[np.ndarray, "z y x"]:
    """The depth with crumbs apart from the largest piece pushed outside."""
    parts = cc3d.connected_components(depth > 0, connectivity=26)
    sizes = np.bincount(parts.ravel())
    if len(sizes) > 2:
        main = 1 + int(sizes[1:].argmax())
        depth[(parts > 0) & (parts != main)] = -0.1
    return depth


def _steps(canvas: Canvas) -> tuple[float, float, float]:
    return (
        float(canvas.z[1] - canvas.z[0]),
        float(canvas.y[1] - canvas.y[0]),
        float(canvas.x[1] - canvas.x[0]),
    )


def _zones(
    pattern: Pattern,
    depth: Float32[np.ndarray, "z y x"],
    inside: Bool[np.ndarray, "z y x"],
    canvas: Canvas,
    rng: np.random.Generator,
) -> list[tuple[str, Bool[np.ndarray, "z y x"]]]:
    """Zones from the first painted to the last."""
    zones = [("core", inside)]
    if pattern.rim is not None:
        zones.append(("rim", inside & (depth < pattern.rim_mm)))
    if pattern.spots is None or not inside.any():
        return zones
    a, b, c = depth.shape
    size = max(3.0, 0.25 * float(depth.max()))
    cells = tuple(size / d for d in _steps(canvas))
    noise = coarse_noise((a, b, c), (cells[0], cells[1], cells[2]), rng)
    if pattern.spots_where == "centre":
        zone = inside & (depth > (1.0 - pattern.spots_share ** (1 / 3)) * float(depth.max()) + 1.0 * noise)
    else:
        zone = inside & (depth < pattern.rim_mm) if pattern.spots_where == "edge" else inside & (depth > 2.0)
        if zone.any():
            zone &= noise > np.quantile(noise[zone], 1.0 - pattern.spots_share)
    if zone.any():
        zones.append(("spots", zone))
    return zones
