"""Body wall, lungs, heart, fluid behind the lungs, arms."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.build import Build, smooth_max
from livercascade.virtual.fields import coarse_noise
from livercascade.virtual.tissue import Tissue


def wall(b: Build) -> None:
    """Skin, fat under it, muscle in two sheets with fat between, the muscles of the back."""
    h = b.h
    b.s.fill(b.skin, (0.0, Tissue.SKIN), (-2.0, Tissue.FAT))
    muscle = np.maximum(b.skin + 4.0, b.cavity - h.wall)
    b.s.fill(muscle.astype(np.float32), (0.0, Tissue.MUSCLE))
    between = np.abs(b.cavity - 0.62 * h.wall) - 0.9 + 0.9 * coarse_noise(b.s.shape, (9.0, 6.0, 6.0), b.rng)
    between = np.maximum(between, np.maximum(b.s.y - 0.6 * h.half_depth, b.skin + 6.0))
    b.s.fill(between.astype(np.float32), (0.0, Tissue.FAT), only=(Tissue.MUSCLE,))
    b.s.fill(b.cavity, (0.0, Tissue.FAT))
    for side in (-1.0, 1.0):
        back = b.s.ellipsoid((-100.0, h.spine_y + 30.0, side * 38.0), (600.0, 17.0, 30.0))
        b.s.fill(np.maximum(back, b.skin + 8.0).astype(np.float32), (0.0, Tissue.MUSCLE))
        psoas = b.s.ellipsoid((-260.0, h.spine_y - 4.0, side * 44.0), (150.0, 22.0, 19.0))
        b.s.fill(psoas, (0.0, Tissue.MUSCLE))


def chest(b: Build) -> None:
    """Lungs with vessels, mediastinum, heart with its chambers, diaphragm, effusion."""
    above = np.maximum(b.cavity + 2.0, b.diaphragm + 2.0)
    mediastinum = b.s.ellipsoid((60.0, b.h.spine_y - 30.0, 0.0), (400.0, 42.0, 30.0))
    lung = smooth_max(above.astype(np.float32), -mediastinum, 8.0)
    b.s.fill(lung, (0.0, Tissue.LUNG))
    _lung_vessels(b)
    _heart(b)
    sheet = np.maximum(np.abs(b.diaphragm) - 2.0, b.cavity)
    b.s.fill(sheet.astype(np.float32), (0.0, Tissue.MUSCLE))
    if b.h.effusion > 0:
        half = b.h.cavity[0]
        for side in (-1.0, 1.0):
            level = half * (1.0 - 1.3 * b.h.effusion * float(b.rng.uniform(0.5, 1.2)))
            behind = np.maximum(np.maximum(lung, level - b.s.y + 0.15 * b.s.z), -side * b.s.x)
            b.s.fill(behind.astype(np.float32), (0.0, Tissue.PLEURAL_FLUID), only=(Tissue.LUNG, Tissue.LUNG_VESSEL))


def arms(b: Build) -> None:
    """Arms beside the trunk, as far as the field of view shows them."""
    if not b.h.arms_down:
        return
    for side in (-1.0, 1.0):
        x, y = side * (b.h.half_width + 46.0), float(b.rng.uniform(-10, 30))
        arm = (np.hypot(b.s.x - x, b.s.y - y) - 41.0).astype(np.float32)
        b.s.fill(arm, (0.0, Tissue.SKIN), (-2.0, Tissue.FAT), (-9.0, Tissue.MUSCLE), only=(Tissue.AIR,))
        z = np.linspace(float(b.s.canvas.z[0]) - 5, float(b.s.canvas.z[-1]) + 5, 4)
        for radius, tissue in ((9.0, Tissue.CORTICAL_BONE), (5.0, Tissue.MARROW)):
            b.s.canvas.tube(np.stack([z, np.full(4, y), np.full(4, x)], axis=1), np.full(4, radius), tissue)


def _lung_vessels(b: Build) -> None:
    half_y, half_x = b.h.cavity
    for _ in range(int(b.rng.integers(25, 45))):
        side = 1.0 if b.rng.random() < 0.5 else -1.0
        root = np.array([float(b.rng.uniform(-20, 110)), float(b.rng.uniform(-10, 30)), side * 40.0])
        end = root + np.array([-30.0, b.rng.uniform(-0.5, 0.8) * half_y, side * b.rng.uniform(0.3, 0.8) * half_x])
        bend = b.rng.normal(0, 6, 3)
        t = np.linspace(0, 1, 5)[:, None]
        points = root + (end - root) * t + bend * 4 * t * (1 - t)
        b.s.canvas.tube(points, np.linspace(b.rng.uniform(2, 4), 0.8, 5), Tissue.LUNG_VESSEL, (Tissue.LUNG,))


def _heart(b: Build) -> None:
    centre = np.array([b.rng.uniform(38, 52), -22.0, b.rng.uniform(14, 30)])
    tilt, size = float(b.rng.uniform(0.25, 0.5)), float(b.rng.uniform(0.88, 1.12))
    pericardium = b.s.ellipsoid((centre[0], centre[1], centre[2]), (50.0 * size, 45.0 * size, 60.0 * size), tilt=tilt)
    heart = smooth_max(pericardium, (b.diaphragm + 3.0).astype(np.float32), 6.0)
    b.s.fill(heart, (4.0, Tissue.FAT), (-2.0, Tissue.HEART))
    # Left ventricle, right ventricle, both atria: place against the middle (z, y, x) and radii, mm.
    chambers = (
        ((-6.0, -2.0, 20.0), (27.0, 20.0, 24.0)),
        ((-4.0, -18.0, -14.0), (28.0, 17.0, 26.0)),
        ((16.0, 4.0, -32.0), (24.0, 20.0, 17.0)),
        ((24.0, 24.0, 6.0), (17.0, 14.0, 26.0)),
    )
    for offset, radii in chambers:
        z, y, x = centre + np.asarray(offset) * size
        chamber = b.s.ellipsoid((z, y, x), (radii[0] * size, radii[1] * size, radii[2] * size), tilt=tilt)
        blood = np.maximum(chamber, heart + 5.0).astype(np.float32)
        b.s.fill(blood, (0.0, Tissue.HEART_BLOOD), only=(Tissue.HEART,))
