"""Body wall, lungs, heart, fluid behind the lungs, arms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from livercascade.virtual.body_builder import BodyBuilder, smooth_max
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import Tissue


def wall(body: BodyBuilder) -> None:
    """Skin, fat under it, muscle in two sheets with fat between, the muscles of the back."""
    h = body.habitus
    body.tissue_map.fill(body.skin, (0.0, Tissue.SKIN), (-2.0, Tissue.FAT))
    muscle = np.maximum(body.skin + 4.0, body.cavity - h.wall)
    body.tissue_map.fill(muscle.astype(np.float32), (0.0, Tissue.MUSCLE))
    between = np.abs(body.cavity - 0.62 * h.wall) - 0.9 + 0.9 * coarse_noise(body.shape, (9.0, 6.0, 6.0), body.rng)
    between = np.maximum(between, np.maximum(body.y - 0.6 * h.half_depth, body.skin + 6.0))
    body.tissue_map.fill(between.astype(np.float32), (0.0, Tissue.FAT), only=(Tissue.MUSCLE,))
    body.tissue_map.fill(body.cavity, (0.0, Tissue.FAT))
    for side in (-1.0, 1.0):
        back = body.ellipsoid((-100.0, h.spine_y + 30.0, side * 38.0), (600.0, 17.0, 30.0))
        body.tissue_map.fill(np.maximum(back, body.skin + 8.0).astype(np.float32), (0.0, Tissue.MUSCLE))
        psoas = body.ellipsoid((-260.0, h.spine_y - 4.0, side * 44.0), (150.0, 22.0, 19.0))
        body.tissue_map.fill(psoas, (0.0, Tissue.MUSCLE))


def chest(body: BodyBuilder, heart: Callable[[BodyBuilder], None] | None = None) -> None:
    """Lungs with vessels, mediastinum, heart with its chambers, diaphragm, effusion.

    Args:
        body: The body.
        heart: Painter of another heart than the simple one.
    """
    above = np.maximum(body.cavity + 2.0, body.diaphragm + 2.0)
    mediastinum = body.ellipsoid((60.0, body.habitus.spine_y - 30.0, 0.0), (400.0, 42.0, 30.0))
    lung = smooth_max(above.astype(np.float32), -mediastinum, 8.0)
    body.tissue_map.fill(lung, (0.0, Tissue.LUNG))
    _lung_vessels(body)
    (heart or _heart)(body)
    sheet = np.maximum(np.abs(body.diaphragm) - 2.0, body.cavity)
    body.tissue_map.fill(sheet.astype(np.float32), (0.0, Tissue.MUSCLE))
    if body.habitus.effusion > 0:
        half = body.habitus.cavity[0]
        for side in (-1.0, 1.0):
            level = half * (1.0 - 1.3 * body.habitus.effusion * float(body.rng.uniform(0.5, 1.2)))
            behind = np.maximum(np.maximum(lung, level - body.y + 0.15 * body.z), -side * body.x)
            body.tissue_map.fill(
                behind.astype(np.float32), (0.0, Tissue.PLEURAL_FLUID), only=(Tissue.LUNG, Tissue.LUNG_VESSEL)
            )


def arms(body: BodyBuilder) -> None:
    """Arms beside the trunk, as far as the field of view shows them."""
    if not body.habitus.arms_down:
        return
    for side in (-1.0, 1.0):
        x, y = side * (body.habitus.half_width + 46.0), float(body.rng.uniform(-10, 30))
        arm = (np.hypot(body.x - x, body.y - y) - 41.0).astype(np.float32)
        body.tissue_map.fill(arm, (0.0, Tissue.SKIN), (-2.0, Tissue.FAT), (-9.0, Tissue.MUSCLE), only=(Tissue.AIR,))
        z = np.linspace(float(body.tissue_map.z[0]) - 5, float(body.tissue_map.z[-1]) + 5, 4)
        for radius, tissue in ((9.0, Tissue.CORTICAL_BONE), (5.0, Tissue.MARROW)):
            body.tissue_map.tube(np.stack([z, np.full(4, y), np.full(4, x)], axis=1), np.full(4, radius), tissue)


def _lung_vessels(body: BodyBuilder) -> None:
    half_y, half_x = body.habitus.cavity
    for _ in range(int(body.rng.integers(25, 45))):
        side = 1.0 if body.rng.random() < 0.5 else -1.0
        root = np.array([float(body.rng.uniform(-20, 110)), float(body.rng.uniform(-10, 30)), side * 40.0])
        end = root + np.array([-30.0, body.rng.uniform(-0.5, 0.8) * half_y, side * body.rng.uniform(0.3, 0.8) * half_x])
        bend = body.rng.normal(0, 6, 3)
        t = np.linspace(0, 1, 5)[:, None]
        points = root + (end - root) * t + bend * 4 * t * (1 - t)
        body.tissue_map.tube(points, np.linspace(body.rng.uniform(2, 4), 0.8, 5), Tissue.LUNG_VESSEL, (Tissue.LUNG,))


def _heart(body: BodyBuilder) -> None:
    centre = np.array([body.rng.uniform(38, 52), -22.0, body.rng.uniform(14, 30)])
    tilt, size = float(body.rng.uniform(0.25, 0.5)), float(body.rng.uniform(0.88, 1.12))
    pericardium = body.ellipsoid((centre[0], centre[1], centre[2]), (50.0 * size, 45.0 * size, 60.0 * size), tilt=tilt)
    heart = smooth_max(pericardium, (body.diaphragm + 3.0).astype(np.float32), 6.0)
    body.tissue_map.fill(heart, (4.0, Tissue.FAT), (-2.0, Tissue.HEART))
    # Left ventricle, right ventricle, both atria: place against the middle (z, y, x) and radii, mm.
    chambers = (
        ((-6.0, -2.0, 20.0), (27.0, 20.0, 24.0)),
        ((-4.0, -18.0, -14.0), (28.0, 17.0, 26.0)),
        ((16.0, 4.0, -32.0), (24.0, 20.0, 17.0)),
        ((24.0, 24.0, 6.0), (17.0, 14.0, 26.0)),
    )
    for offset, radii in chambers:
        z, y, x = centre + np.asarray(offset) * size
        chamber = body.ellipsoid((z, y, x), (radii[0] * size, radii[1] * size, radii[2] * size), tilt=tilt)
        blood = np.maximum(chamber, heart + 5.0).astype(np.float32)
        body.tissue_map.fill(blood, (0.0, Tissue.HEART_BLOOD), only=(Tissue.HEART,))
