"""Organs of the abdomen but the liver: kidneys, stomach, spleen, pancreas, bowel, great vessels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from livercascade.virtual.body_builder import ABDOMINAL, CREST_MM, BodyBuilder, smooth_max
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.vessel_trees import bent_line


def retroperitoneum(body: BodyBuilder) -> None:
    """Kidneys with sinus fat, adrenals."""
    for side, z in ((-1.0, -150.0 + body.right_kidney_mm), (1.0, -135.0)):
        centre = (z + body.rng.normal(0, 10), body.habitus.spine_y - 8.0, side * (62.0 + body.rng.normal(0, 4)))
        kidney = body.ellipsoid(
            (float(centre[0]), float(centre[1]), float(centre[2])), (54.0, 26.0, 29.0), tilt=-0.2 * side
        )
        sinus = body.ellipsoid(
            (float(centre[0]), float(centre[1]) - 6.0, float(centre[2]) - side * 16.0), (26.0, 11.0, 16.0)
        )
        body.tissue_map.fill(kidney, (9.0, Tissue.FAT), only=ABDOMINAL)
        body.tissue_map.fill(kidney, (0.0, Tissue.RENAL_CORTEX), (-7.0, Tissue.RENAL_MEDULLA))
        body.tissue_map.fill(sinus, (0.0, Tissue.FAT), only=(Tissue.RENAL_CORTEX, Tissue.RENAL_MEDULLA))
        adrenal = body.ellipsoid(
            (float(centre[0]) + 62.0, float(centre[1]) - 8.0, float(centre[2]) - side * 18.0), (13.0, 11.0, 4.0)
        )
        body.tissue_map.fill(adrenal, (0.0, Tissue.ADRENAL), only=(Tissue.FAT,))


def stomach(body: BodyBuilder) -> None:
    """Stomach with wall, content and gas."""
    fill = body.rng.uniform(0.7, 1.2)
    parts = (
        body.ellipsoid((-45.0, 30.0, 62.0), (38.0, 36.0 * fill, 36.0 * fill)),
        body.ellipsoid((-85.0, -22.0, 66.0), (48.0, 28.0 * fill, 28.0 * fill), tilt=0.3),
        body.ellipsoid((-125.0, -45.0, 22.0), (20.0 * fill, 19.0 * fill, 38.0)),
    )
    union = np.minimum(np.minimum(parts[0], parts[1]), parts[2])
    stomach = np.maximum(np.maximum(union, body.cavity + 4.0), -(body.diaphragm - 5.0)).astype(np.float32)
    wall = body.rng.uniform(3.0, 6.0)
    body.tissue_map.fill(stomach, (0.0, Tissue.STOMACH_WALL), (-wall, Tissue.STOMACH_CONTENT))
    gas_level = body.rng.uniform(-75, -25)
    gas = np.maximum(stomach + wall, body.y - gas_level).astype(np.float32)
    body.tissue_map.fill(gas, (0.0, Tissue.STOMACH_GAS))


def spleen(body: BodyBuilder) -> None:
    """Spleen, large in cirrhosis, with fluid round it in ascites."""
    k = body.habitus.spleen_scale
    half_x = body.habitus.cavity[1]
    spleen = body.ellipsoid((-55.0 - 10 * k, 34.0, half_x - 38.0), (56.0 * k, 46.0 * k, 36.0 * k), tilt=-0.2)
    hollow = body.ellipsoid((-75.0, 2.0, half_x - 84.0), (60.0, 36.0, 30.0))
    shape = smooth_max(spleen, -hollow, 8.0)
    shape = smooth_max(shape, (body.cavity + 4.0).astype(np.float32), 6.0)
    shape = smooth_max(shape, (5.0 - body.diaphragm).astype(np.float32), 6.0)
    if body.habitus.ascites:
        body.tissue_map.fill(shape, (body.rng.uniform(4, 10), Tissue.FLUID), only=ABDOMINAL)
    body.tissue_map.fill(shape, (0.0, Tissue.SPLEEN))


def pancreas_and_portal_trunk(body: BodyBuilder) -> None:
    """Pancreas, splenic and portal vein, hepatic artery; collaterals in cirrhosis."""
    tissue_map = body.tissue_map
    head = np.array([-135.0, 2.0, -24.0]) + body.rng.normal(0, 5, 3)
    tail = np.array([-80.0, 28.0, 84.0]) + body.rng.normal(0, 7, 3)
    bow = np.array([0.0, -26.0, 0.0])
    t = np.linspace(0, 1, 14)[:, None]
    course = head + (tail - head) * t + bow * (4 * t * (1 - t)) + body.rng.normal(0, 1.5, (14, 3))
    radii = np.linspace(14, 9, 14) * body.rng.uniform(0.8, 1.15) * (1 + 0.12 * body.rng.normal(size=14))
    only = (*ABDOMINAL, Tissue.STOMACH_WALL)
    tissue_map.tube(course, radii, Tissue.PANCREAS, only)
    splenic = course[3:] + np.array([2.0, 9.0, 0.0])
    confluence = splenic[0]
    over = (*ABDOMINAL, Tissue.PANCREAS)
    width = body.rng.uniform(5.5, 8.0) * (1.2 if body.habitus.cirrhotic else 1.0)
    tissue_map.tube(splenic, np.linspace(0.75, 0.5, len(splenic)) * width, Tissue.PORTAL_TRUNK, over)
    down = confluence + np.outer(np.linspace(0, 1, 6), np.array([-110.0, -18.0, 6.0]))
    tissue_map.tube(down, np.full(6, 0.8 * width), Tissue.MESENTERIC_VESSEL, over)
    trunk = bent_line(confluence, body.hilum, 6, 4.0, body.rng)
    tissue_map.tube(trunk, np.full(6, width), Tissue.PORTAL_TRUNK, (*over, Tissue.LIVER, Tissue.GALLBLADDER_WALL))
    artery = bent_line(
        np.array([-95.0, body.habitus.spine_y - 42.0, 8.0]), body.hilum + np.array([0, -9.0, 4.0]), 8, 6.0, body.rng
    )
    tissue_map.tube(artery, np.full(8, 2.3), Tissue.HEPATIC_ARTERY, over)
    if body.habitus.cirrhotic and body.rng.random() < 0.6:
        for _ in range(int(body.rng.integers(2, 7))):
            start = np.array([body.rng.uniform(-90, -35), body.rng.uniform(5, 35), body.rng.uniform(25, 75)])
            winding = np.cumsum(np.vstack([start, body.rng.normal(0, 9, (7, 3))]), axis=0)
            tissue_map.tube(
                winding, np.full(8, float(body.rng.uniform(1.8, 4.0))), Tissue.MESENTERIC_VESSEL, (Tissue.FAT,)
            )


def great_vessels(body: BodyBuilder) -> None:
    """Aorta, caval vein and oesophagus; the first two divide at the iliac crests."""
    tissue_map, y = body.tissue_map, body.habitus.spine_y
    z = np.linspace(max(float(tissue_map.z[0]) - 5, CREST_MM), float(tissue_map.z[-1]) + 5, 16)
    wave = body.rng.normal(0, 2.0, (16, 2))
    aorta = np.stack([z, y - 32.0 + wave[:, 0], 10.0 + wave[:, 1]], axis=1)
    tissue_map.tube(aorta, np.full(16, body.rng.uniform(8.5, 13.0)), Tissue.AORTA)
    upper = np.clip((z + 60.0) / 80.0, 0, 1)
    ivc = np.stack([z, y - 30.0 - 22.0 * upper, -21.0 - 4.0 * upper], axis=1)[z < 25.0]
    tissue_map.tube(ivc, np.full(len(ivc), body.rng.uniform(9.0, 13.5)), Tissue.IVC)
    gullet = np.stack([z, np.full(16, y - 40.0), np.full(16, 26.0)], axis=1)[z > -25.0]
    if len(gullet) > 1:
        tissue_map.tube(gullet, np.full(len(gullet), 8.0), Tissue.OESOPHAGUS, (Tissue.FAT, Tissue.LUNG))


def bowel(body: BodyBuilder) -> None:
    """Small bowel in loops, colon as a frame with haustra, vessels of the mesentery."""
    half_y, half_x = body.habitus.cavity
    low = max(body.habitus.bottom - 10.0, CREST_MM - 120.0)
    # The same density of loops in scans that reach further down.
    more = 1.0 + max(0.0, -150.0 - low) / 160.0
    for _ in range(int(body.rng.integers(14, 34) * more)):
        centre = (
            float(body.rng.uniform(low, -125)),
            float(body.rng.uniform(-0.75, 0.25) * half_y),
            float(body.rng.uniform(-0.7, 0.75) * half_x),
        )
        radii = body.rng.uniform(11, 25, 3)
        radii[int(body.rng.integers(3))] *= body.rng.uniform(1.0, 2.6)
        inside = body.rng.choice([Tissue.BOWEL_CONTENT, Tissue.BOWEL_GAS], p=[0.85, 0.15])
        loop = np.maximum(
            body.ellipsoid(centre, (float(radii[0]), float(radii[1]), float(radii[2]))), body.cavity + 4.0
        )
        body.tissue_map.fill(loop.astype(np.float32), (0.0, Tissue.BOWEL_WALL), (-2.5, int(inside)))
    _colon(body)
    for _ in range(int(body.rng.integers(20, 45))):
        start = np.array([body.rng.uniform(low, -110), body.rng.uniform(-50, 15), body.rng.uniform(-60, 70)])
        points = np.cumsum(np.vstack([start, body.rng.normal(0, 10, (6, 3))]), axis=0)
        body.tissue_map.tube(points, np.full(7, body.rng.uniform(1.0, 3.0)), Tissue.MESENTERIC_VESSEL, (Tissue.FAT,))


def _colon(body: BodyBuilder) -> None:
    """Ascending, transverse and descending colon as beads of stool and gas."""
    half_y, half_x = body.habitus.cavity
    top = -150.0 + body.rng.normal(0, 12)
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
            z, y, x = start + (end - start) * t + body.rng.normal(0, 4, 3)
            if z < body.habitus.bottom - 25.0:
                continue
            radius = float(body.rng.uniform(15, 23))
            bead = np.maximum(
                body.ellipsoid((float(z), float(y), float(x)), (radius, radius, radius)), body.cavity + 4.0
            )
            inside = body.rng.choice([Tissue.STOOL, Tissue.BOWEL_GAS, Tissue.BOWEL_CONTENT], p=[0.5, 0.35, 0.15])
            body.tissue_map.fill(bead.astype(np.float32), (0.0, Tissue.BOWEL_WALL), (-2.2, int(inside)), only=ABDOMINAL)
