"""Organs of the abdomen but the liver: kidneys, stomach, spleen, pancreas, bowel, great vessels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from livercascade.virtual.build import ABDOMINAL, CREST_MM, Build, smooth_max
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.vessels import curve


def retroperitoneum(b: Build) -> None:
    """Kidneys with sinus fat, adrenals."""
    for side, z in ((-1.0, -150.0), (1.0, -135.0)):
        centre = (z + b.rng.normal(0, 10), b.h.spine_y - 8.0, side * (62.0 + b.rng.normal(0, 4)))
        kidney = b.s.ellipsoid(
            (float(centre[0]), float(centre[1]), float(centre[2])), (54.0, 26.0, 29.0), tilt=-0.2 * side
        )
        sinus = b.s.ellipsoid(
            (float(centre[0]), float(centre[1]) - 6.0, float(centre[2]) - side * 16.0), (26.0, 11.0, 16.0)
        )
        b.s.fill(kidney, (9.0, Tissue.FAT), only=ABDOMINAL)
        b.s.fill(kidney, (0.0, Tissue.RENAL_CORTEX), (-7.0, Tissue.RENAL_MEDULLA))
        b.s.fill(sinus, (0.0, Tissue.FAT), only=(Tissue.RENAL_CORTEX, Tissue.RENAL_MEDULLA))
        adrenal = b.s.ellipsoid(
            (float(centre[0]) + 62.0, float(centre[1]) - 8.0, float(centre[2]) - side * 18.0), (13.0, 11.0, 4.0)
        )
        b.s.fill(adrenal, (0.0, Tissue.ADRENAL), only=(Tissue.FAT,))


def stomach(b: Build) -> None:
    """Stomach with wall, content and gas."""
    fill = b.rng.uniform(0.7, 1.2)
    parts = (
        b.s.ellipsoid((-45.0, 30.0, 62.0), (38.0, 36.0 * fill, 36.0 * fill)),
        b.s.ellipsoid((-85.0, -22.0, 66.0), (48.0, 28.0 * fill, 28.0 * fill), tilt=0.3),
        b.s.ellipsoid((-125.0, -45.0, 22.0), (20.0 * fill, 19.0 * fill, 38.0)),
    )
    union = np.minimum(np.minimum(parts[0], parts[1]), parts[2])
    stomach = np.maximum(np.maximum(union, b.cavity + 4.0), -(b.diaphragm - 5.0)).astype(np.float32)
    wall = b.rng.uniform(3.0, 6.0)
    b.s.fill(stomach, (0.0, Tissue.STOMACH_WALL), (-wall, Tissue.STOMACH_CONTENT))
    gas_level = b.rng.uniform(-75, -25)
    gas = np.maximum(stomach + wall, b.s.y - gas_level).astype(np.float32)
    b.s.fill(gas, (0.0, Tissue.STOMACH_GAS))


def spleen(b: Build) -> None:
    """Spleen, large in cirrhosis, with fluid round it in ascites."""
    k = b.h.spleen_scale
    half_x = b.h.cavity[1]
    spleen = b.s.ellipsoid((-55.0 - 10 * k, 34.0, half_x - 38.0), (56.0 * k, 46.0 * k, 36.0 * k), tilt=-0.2)
    hollow = b.s.ellipsoid((-75.0, 2.0, half_x - 84.0), (60.0, 36.0, 30.0))
    shape = smooth_max(spleen, -hollow, 8.0)
    shape = smooth_max(shape, (b.cavity + 4.0).astype(np.float32), 6.0)
    shape = smooth_max(shape, (5.0 - b.diaphragm).astype(np.float32), 6.0)
    if b.h.ascites:
        b.s.fill(shape, (b.rng.uniform(4, 10), Tissue.FLUID), only=ABDOMINAL)
    b.s.fill(shape, (0.0, Tissue.SPLEEN))


def pancreas_and_portal_trunk(b: Build) -> None:
    """Pancreas, splenic and portal vein, hepatic artery; collaterals in cirrhosis."""
    canvas = b.s.canvas
    head = np.array([-135.0, 2.0, -24.0]) + b.rng.normal(0, 5, 3)
    tail = np.array([-80.0, 28.0, 84.0]) + b.rng.normal(0, 7, 3)
    bow = np.array([0.0, -26.0, 0.0])
    t = np.linspace(0, 1, 14)[:, None]
    course = head + (tail - head) * t + bow * (4 * t * (1 - t)) + b.rng.normal(0, 1.5, (14, 3))
    radii = np.linspace(14, 9, 14) * b.rng.uniform(0.8, 1.15) * (1 + 0.12 * b.rng.normal(size=14))
    only = (*ABDOMINAL, Tissue.STOMACH_WALL)
    canvas.tube(course, radii, Tissue.PANCREAS, only)
    splenic = course[3:] + np.array([2.0, 9.0, 0.0])
    confluence = splenic[0]
    over = (*ABDOMINAL, Tissue.PANCREAS)
    width = b.rng.uniform(5.5, 8.0) * (1.2 if b.h.cirrhotic else 1.0)
    canvas.tube(splenic, np.linspace(0.75, 0.5, len(splenic)) * width, Tissue.PORTAL_TRUNK, over)
    down = confluence + np.outer(np.linspace(0, 1, 6), np.array([-110.0, -18.0, 6.0]))
    canvas.tube(down, np.full(6, 0.8 * width), Tissue.MESENTERIC_VESSEL, over)
    trunk = curve(confluence, b.hilum, 6, 4.0, b.rng)
    canvas.tube(trunk, np.full(6, width), Tissue.PORTAL_TRUNK, (*over, Tissue.LIVER, Tissue.GALLBLADDER_WALL))
    artery = curve(np.array([-95.0, b.h.spine_y - 42.0, 8.0]), b.hilum + np.array([0, -9.0, 4.0]), 8, 6.0, b.rng)
    canvas.tube(artery, np.full(8, 2.3), Tissue.HEPATIC_ARTERY, over)
    if b.h.cirrhotic and b.rng.random() < 0.6:
        for _ in range(int(b.rng.integers(2, 7))):
            start = np.array([b.rng.uniform(-90, -35), b.rng.uniform(5, 35), b.rng.uniform(25, 75)])
            winding = np.cumsum(np.vstack([start, b.rng.normal(0, 9, (7, 3))]), axis=0)
            canvas.tube(winding, np.full(8, float(b.rng.uniform(1.8, 4.0))), Tissue.MESENTERIC_VESSEL, (Tissue.FAT,))


def great_vessels(b: Build) -> None:
    """Aorta, caval vein and oesophagus; the first two divide at the iliac crests."""
    canvas, y = b.s.canvas, b.h.spine_y
    z = np.linspace(max(float(canvas.z[0]) - 5, CREST_MM), float(canvas.z[-1]) + 5, 16)
    wave = b.rng.normal(0, 2.0, (16, 2))
    aorta = np.stack([z, y - 32.0 + wave[:, 0], 10.0 + wave[:, 1]], axis=1)
    canvas.tube(aorta, np.full(16, b.rng.uniform(8.5, 13.0)), Tissue.AORTA)
    upper = np.clip((z + 60.0) / 80.0, 0, 1)
    ivc = np.stack([z, y - 30.0 - 22.0 * upper, -21.0 - 4.0 * upper], axis=1)[z < 25.0]
    canvas.tube(ivc, np.full(len(ivc), b.rng.uniform(9.0, 13.5)), Tissue.IVC)
    gullet = np.stack([z, np.full(16, y - 40.0), np.full(16, 26.0)], axis=1)[z > -25.0]
    if len(gullet) > 1:
        canvas.tube(gullet, np.full(len(gullet), 8.0), Tissue.OESOPHAGUS, (Tissue.FAT, Tissue.LUNG))


def bowel(b: Build) -> None:
    """Small bowel in loops, colon as a frame with haustra, vessels of the mesentery."""
    half_y, half_x = b.h.cavity
    low = max(b.h.bottom - 10.0, CREST_MM - 120.0)
    more = 1.0 + max(0.0, -150.0 - low) / 160.0
    for _ in range(int(b.rng.integers(14, 34) * more)):
        centre = (
            float(b.rng.uniform(low, -125)),
            float(b.rng.uniform(-0.75, 0.25) * half_y),
            float(b.rng.uniform(-0.7, 0.75) * half_x),
        )
        radii = b.rng.uniform(11, 25, 3)
        radii[int(b.rng.integers(3))] *= b.rng.uniform(1.0, 2.6)
        inside = b.rng.choice([Tissue.BOWEL_CONTENT, Tissue.BOWEL_GAS], p=[0.85, 0.15])
        loop = np.maximum(b.s.ellipsoid(centre, (float(radii[0]), float(radii[1]), float(radii[2]))), b.cavity + 4.0)
        b.s.fill(loop.astype(np.float32), (0.0, Tissue.BOWEL_WALL), (-2.5, int(inside)))
    _colon(b)
    for _ in range(int(b.rng.integers(20, 45))):
        start = np.array([b.rng.uniform(low, -110), b.rng.uniform(-50, 15), b.rng.uniform(-60, 70)])
        points = np.cumsum(np.vstack([start, b.rng.normal(0, 10, (6, 3))]), axis=0)
        b.s.canvas.tube(points, np.full(7, b.rng.uniform(1.0, 3.0)), Tissue.MESENTERIC_VESSEL, (Tissue.FAT,))


def _colon(b: Build) -> None:
    """Ascending, transverse and descending colon as beads of stool and gas."""
    half_y, half_x = b.h.cavity
    top = -150.0 + b.rng.normal(0, 12)
    corners = np.array(
        [
            [CREST_MM - 40.0, 5.0, -0.74 * half_x],
            [top, 10.0, -0.7 * half_x],
            [top - 25.0, -0.6 * half_y, 0.0],
            [top + 45.0, 12.0, 0.74 * half_x],
            [CREST_MM - 50.0, 15.0, 0.76 * half_x],
        ]
    )
    for start, end in pairwise(corners):
        count = max(3, int(np.linalg.norm(end - start) / 24.0))
        for t in np.linspace(0, 1, count):
            z, y, x = start + (end - start) * t + b.rng.normal(0, 4, 3)
            if z < b.h.bottom - 25.0:
                continue
            radius = float(b.rng.uniform(15, 23))
            bead = np.maximum(b.s.ellipsoid((float(z), float(y), float(x)), (radius, radius, radius)), b.cavity + 4.0)
            inside = b.rng.choice([Tissue.STOOL, Tissue.BOWEL_GAS, Tissue.BOWEL_CONTENT], p=[0.5, 0.35, 0.15])
            b.s.fill(bead.astype(np.float32), (0.0, Tissue.BOWEL_WALL), (-2.2, int(inside)), only=ABDOMINAL)
