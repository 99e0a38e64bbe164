"""The liver with its fissures, gallbladder and vessel trees."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.build import ABDOMINAL, Build, Field, smooth_max
from livercascade.virtual.canvas import COARSE_MM
from livercascade.virtual.fields import coarse_noise
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.vessels import VesselTree


def liver(b: Build) -> None:
    """The liver of the volume aimed at, nodular in cirrhosis, with fat and fluid round it, and its fissures."""
    shape = _shape(b)
    order = np.sort(shape.ravel())
    cell_ml = (COARSE_MM**3) / 1000.0
    level = float(np.clip(order[min(int(b.h.liver_ml / cell_ml), order.size - 1)], -14.0, 7.0))
    shape = shape - level
    if b.h.cirrhotic:
        cells = 11.0 / COARSE_MM
        shape = shape + b.rng.uniform(1.0, 2.5) * coarse_noise(b.s.shape, (cells, cells, cells), b.rng)
    body = np.maximum(np.maximum(shape, b.cavity + 2.0), 3.0 - b.diaphragm).astype(np.float32)
    if b.h.ascites:
        fluid = np.maximum(body, b.cavity + 1.0).astype(np.float32)
        b.s.fill(fluid, (float(b.rng.uniform(5, 16)), Tissue.FLUID), only=ABDOMINAL)
    b.s.fill(body, (2.5, Tissue.FAT), only=(*ABDOMINAL, Tissue.STOMACH_WALL, Tissue.RENAL_CORTEX))
    b.s.fill(body, (0.0, Tissue.LIVER))
    _fissure(b)


def _shape(b: Build) -> Field:
    h, s = b.h, b.s
    half_x = h.cavity[1]
    along = np.clip((s.x + half_x) / (h.left_lobe + half_x), 0.0, 1.2)
    height = h.liver_height * (1.0 - 0.72 * along ** b.rng.uniform(1.0, 1.6))
    bottom = -height + 0.42 * np.clip(s.y + 10.0, 0, 200) - 0.10 * np.clip(-s.y - 20.0, 0, 100)
    under = (bottom - s.z) * 0.8
    shape = smooth_max((b.cavity + 3.0).astype(np.float32), (4.0 - b.diaphragm).astype(np.float32), 10.0)
    shape = smooth_max(shape, under.astype(np.float32), 22.0)
    shape = smooth_max(shape, (s.x - h.left_lobe).astype(np.float32) * 0.8, 25.0)
    behind_left = (s.y - (18.0 - 0.75 * (s.x + 15.0))) * 0.75
    shape = smooth_max(shape, behind_left.astype(np.float32), 18.0)
    spine = np.sqrt(s.x**2 * 0.8 + (s.y - h.spine_y) ** 2) - 37.0
    shape = smooth_max(shape, -spine.astype(np.float32), 10.0)
    kidney = s.ellipsoid((-158.0, h.spine_y - 6.0, -60.0), (62.0, 34.0, 38.0))
    shape = smooth_max(shape, -kidney, 10.0)
    cells = 28.0 / COARSE_MM
    return (shape + 2.5 * coarse_noise(s.shape, (cells, cells, cells), b.rng)).astype(np.float32)


def _fissure(b: Build) -> None:
    s = b.s
    at = b.rng.uniform(-14, 12)
    width = np.clip((-s.z - 55.0) * 0.05, 0.0, 4.0) * (1.5 if b.h.cirrhotic else 1.0)
    cleft = np.maximum(np.abs(s.x - at - 0.12 * s.y) - width, np.maximum(s.z + 60.0, s.y + 18.0)) + 0.5
    b.s.fill(cleft.astype(np.float32), (0.0, Tissue.FAT), only=(Tissue.LIVER,))
    venous = np.maximum(np.abs(s.y - 14.0 + 0.25 * s.x) - 2.0, np.abs(s.x - at - 8.0) - 16.0)
    venous = np.maximum(venous, np.abs(s.z + 62.0) - 24.0)
    b.s.fill(venous.astype(np.float32), (0.0, Tissue.FAT), only=(Tissue.LIVER,))


def gallbladder(b: Build) -> None:
    """Gallbladder; 12 % have none."""
    if b.rng.random() < 0.12:
        return
    size = b.rng.uniform(0.7, 1.25)
    centre = (
        float(-112.0 - b.rng.uniform(0, 25)),
        float(-38.0 + b.rng.normal(0, 8)),
        float(-45.0 + b.rng.normal(0, 8)),
    )
    gall = b.s.ellipsoid(centre, (27.0 * size, 17.0 * size, 14.0 * size), tilt=float(b.rng.uniform(-0.7, 0.2)))
    only = (*ABDOMINAL, Tissue.LIVER, Tissue.STOMACH_WALL)
    b.s.fill(gall, (0.0, Tissue.GALLBLADDER_WALL), (-2.0, Tissue.BILE), only=only)


def portal_tree(b: Build) -> None:
    """Portal branches with arteries beside them."""
    goals = [np.array(g) for g in ((-70.0, 10.0, -85.0), (-75.0, -25.0, 15.0), (-45.0, 5.0, -75.0))]
    VesselTree(b.s.canvas, b.rng).portal(b.hilum, goals)


def hepatic_veins(b: Build) -> None:
    """Hepatic veins from the caval vein."""
    root = np.array([-22.0, b.h.spine_y - 50.0, -26.0])
    ends = ((-75.0, 15.0, -100.0), (-80.0, -45.0, -60.0), (-60.0, -35.0, 25.0), (-120.0, 10.0, -80.0))
    VesselTree(b.s.canvas, b.rng).veins(root, [np.array(g) for g in ends])
