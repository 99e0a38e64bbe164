"""Heart with four chambers and walls, great vessels over it, airways, fluid and dense lung behind."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64

from livercascade.virtual.bodies.body_tissue import BodyTissue
from livercascade.virtual.bodies.whole_body import WholeBody
from livercascade.virtual.body_builder import BodyBuilder, DistanceField, smooth_max
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import Tissue

ARCH_MM = 165.0
"""Height of the aortic arch over the dome of the liver, mm."""
_CHAMBERS = ("left ventricle", "right ventricle", "right atrium", "left atrium")
# Middle against that of the heart (along its axis to the tip, back, left) and radii, mm.
_PLACES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "left ventricle": ((14.0, 8.0, 12.0), (46.0, 31.0, 31.0)),
    "right ventricle": ((8.0, -24.0, -10.0), (42.0, 21.0, 34.0)),
    "right atrium": ((-26.0, -10.0, -36.0), (28.0, 26.0, 21.0)),
    "left atrium": ((-32.0, 28.0, -4.0), (21.0, 19.0, 33.0)),
}


def heart(body: BodyBuilder) -> None:
    """Heart on the diaphragm: chambers full of blood, walls that enhance less, fat round it; at times calcified."""
    rng = body.rng
    size = float(np.clip(rng.normal(1.07, 0.12), 0.85, 1.4))
    middle = np.array([rng.uniform(32, 46) + 20.0 * (size - 1.0), -18.0, rng.uniform(12, 26)])
    # The long axis runs from behind on the right to the front, left and down.
    axis = np.array([-0.45, -0.62, 0.64]) + rng.normal(0, 0.12, 3)
    frame = _frame(axis)
    local = _along(body, middle, frame, size)
    bed = (body.diaphragm + 3.0).astype(np.float32)
    parts = {name: _blob(local, *_PLACES[name], size) for name in _CHAMBERS}
    whole = parts["left ventricle"]
    for name in _CHAMBERS[1:]:
        whole = -smooth_max(-whole, -parts[name], 12.0 * size)
    whole = smooth_max(whole.astype(np.float32), bed, 6.0)
    fat = float(rng.uniform(3.0, 12.0))
    body.tissue_map.fill(whole, (fat, Tissue.FAT), only=(Tissue.LUNG, Tissue.LUNG_VESSEL, Tissue.FAT))
    body.tissue_map.fill(whole, (0.0, Tissue.HEART))
    wall = float(rng.uniform(8.0, 13.0))
    rough = 1.6 * coarse_noise(body.shape, (2.5, 2.5, 2.5), rng)
    for name, thick, blood in (
        ("right ventricle", 3.5, BodyTissue.RIGHT_BLOOD),
        ("right atrium", 2.0, BodyTissue.RIGHT_BLOOD),
        ("left atrium", 2.0, Tissue.HEART_BLOOD),
    ):
        cave = np.maximum(parts[name] + thick + rough, wall - parts["left ventricle"] - 0.6 * wall)
        cave = np.maximum(cave, whole + thick).astype(np.float32)
        body.tissue_map.fill(cave, (0.0, blood), only=(Tissue.HEART,))
    cave = np.maximum(parts["left ventricle"] + wall + 1.5 * rough, whole + wall).astype(np.float32)
    body.tissue_map.fill(cave, (0.0, Tissue.HEART_BLOOD), only=(Tissue.HEART,))
    if rng.random() < 0.15:
        spots = np.maximum(np.abs(whole) - 1.5, 8.0 * (1.7 - coarse_noise(body.shape, (3.0, 3.0, 3.0), rng)))
        body.tissue_map.fill(spots.astype(np.float32), (0.0, BodyTissue.CALCIFICATION), only=(Tissue.HEART, Tissue.FAT))


def mediastinum(body: WholeBody) -> None:
    """Vessels above the heart, windpipe and its branches, gullet."""
    y, rng, tissue_map = body.habitus.spine_y, body.rng, body.tissue_map
    wide = float(rng.uniform(12.0, 17.0))
    arch = np.array(
        [
            [70.0, -18.0, -4.0],
            [110.0, -30.0, -14.0],
            [ARCH_MM - 12.0, -26.0, -8.0],
            [ARCH_MM, -4.0, 6.0],
            [ARCH_MM - 10.0, y - 40.0, 16.0],
            [ARCH_MM - 45.0, y - 33.0, 14.0],
        ]
    )
    for points, radii in (
        ([[58.0, -34.0, 6.0], [98.0, -40.0, 12.0], [128.0, -14.0, 14.0]], [14.0, 14.0, 12.0]),
        ([[126.0, -8.0, 12.0], [120.0, 6.0, -48.0]], [11.0, 9.0]),
        ([[128.0, -6.0, 16.0], [124.0, 14.0, 52.0]], [11.0, 8.0]),
    ):
        tissue_map.tube(np.array(points), np.array(radii), BodyTissue.RIGHT_BLOOD)
    inflow = np.array([[60.0, -12.0, -36.0], [130.0, -20.0, -34.0], [185.0, -30.0, -30.0], [212.0, -28.0, -34.0]])
    tissue_map.tube(inflow, np.full(4, float(rng.uniform(8.0, 11.0))), BodyTissue.INFLOW)
    across = np.array([[172.0, -32.0, -28.0], [192.0, -34.0, 20.0], [208.0, -26.0, 42.0]])
    tissue_map.tube(across, np.full(3, 6.0), BodyTissue.INFLOW if rng.random() < 0.5 else Tissue.IVC)
    tissue_map.tube(arch, np.array([wide * 1.05, wide, wide, wide * 0.9, wide * 0.85, wide * 0.8]), Tissue.AORTA)
    for aside, front in ((-18.0, -22.0), (4.0, -14.0), (18.0, -4.0)):
        branch = np.array([[ARCH_MM, front, 0.3 * aside], [204.0, body.neck_y - 22.0, aside]])
        tissue_map.tube(branch, np.array([5.5, 4.5]), Tissue.AORTA)
    _airways(body)
    if rng.random() < 0.3:
        _calcify(body, arch, wide)


def lung_marks(body: WholeBody) -> None:
    """Small vessels all through the lungs, thicker towards the middle."""
    for cells, level in ((1.6, 2.0), (2.6, 2.3)):
        spots = (
            level
            + 0.006 * np.abs(np.abs(body.x) - 60.0)
            - coarse_noise(body.shape, (1.4 * cells, cells, cells), body.rng)
        )
        body.tissue_map.fill((3.0 * spots).astype(np.float32), (0.0, Tissue.LUNG_VESSEL), only=(Tissue.LUNG,))


def dense_lung(body: WholeBody) -> None:
    """Collapsed or consolidated lung, most of it behind and low: enhancing tissue next to the dome of the liver."""
    if body.rng.random() > 0.35:
        return
    side = 1.0 if body.rng.random() < 0.5 else -1.0
    half = body.habitus.cavity[0]
    lumps = coarse_noise(body.shape, (7.0, 6.0, 6.0), body.rng)
    level = half * float(body.rng.uniform(0.25, 0.75)) + 9.0 * lumps
    low = body.z - float(body.rng.uniform(10.0, 90.0))
    patch = np.maximum(np.maximum(level - body.y, low), -side * body.x + 22.0)
    patch = np.maximum(patch, body.cavity + 3.0).astype(np.float32)
    only = (Tissue.LUNG, Tissue.LUNG_VESSEL)
    body.tissue_map.fill(patch, (0.0, BodyTissue.CONSOLIDATION), only=only)


def _airways(body: WholeBody) -> None:
    y, wide = body.neck_y, float(body.rng.uniform(7.5, 10.0))
    fork = np.array([132.0, body.habitus.spine_y - 52.0, 2.0])
    down = np.array([[150.0 + 52.0, y - 32.0, 0.0], fork])
    over = (Tissue.FAT, Tissue.LUNG, Tissue.MUSCLE, Tissue.AIRWAY, Tissue.CARTILAGE, Tissue.LUNG_VESSEL)
    courses = [(down, wide)]
    for side in (-1.0, 1.0):
        away = np.array([[0.0, 0.0, 0.0], [-26.0, 2.0, side * 34.0], [-52.0, 6.0, side * 56.0]])
        courses += [(fork + away, 0.7 * wide)]
    for more, tissue in ((1.8, Tissue.CARTILAGE), (0.0, Tissue.AIRWAY)):
        for course, radius in courses:
            body.tissue_map.tube(course, np.full(len(course), radius + more), tissue, over)


def _calcify(body: WholeBody, arch: Float64[np.ndarray, "n 3"], wide: float) -> None:
    for _ in range(int(body.rng.integers(2, 8))):
        at = arch[int(body.rng.integers(len(arch)))] + body.rng.normal(0, 0.5 * wide, 3)
        ends = np.stack([at, at + body.rng.normal(0, 4, 3)])
        body.tissue_map.tube(ends, np.full(2, 1.6), BodyTissue.CALCIFICATION, (Tissue.AORTA,))


def _frame(axis: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, "3 3"]:
    """Rows: unit vectors along the heart's axis, backwards and to the left, all (z, y, x)."""
    along = axis / np.linalg.norm(axis)
    left = np.array([0.0, 0.0, 1.0]) - along[2] * along
    left /= np.linalg.norm(left)
    back = np.cross(along, left)
    back = back if back[1] > 0 else -back
    return np.stack([along, back, left])


def _along(
    body: BodyBuilder, middle: Float64[np.ndarray, " 3"], frame: Float64[np.ndarray, "3 3"], size: float
) -> list[DistanceField]:
    away = [
        (axis - np.float32(at)) / np.float32(size) for axis, at in zip((body.z, body.y, body.x), middle, strict=True)
    ]
    return [np.asarray(sum(np.float32(row[k]) * away[k] for k in range(3)), dtype=np.float32) for row in frame]


def _blob(
    local: list[DistanceField], centre: tuple[float, float, float], radii: tuple[float, float, float], size: float
) -> Float32[np.ndarray, "z y x"]:
    rho = np.sqrt(sum(((axis - c) / r) ** 2 for axis, c, r in zip(local, centre, radii, strict=True)))
    return ((rho - 1.0) * min(radii) * size).astype(np.float32)
