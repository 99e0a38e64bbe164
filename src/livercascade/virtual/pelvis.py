"""Below the iliac crests: bones, muscles, bladder, rectum, iliac vessels, thighs."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.build import CREST_MM, CROTCH_MM, SOCKET_MM, Build, Field
from livercascade.virtual.tissue import Tissue

_SOFT = (Tissue.FAT, Tissue.MUSCLE)
# Bones against the hip joint: points (up, back, outwards) and radii in mm. Neck, shaft, pubis, ischium.
_COURSES = (
    (((0.0, 0.0, 0.0), (-10.0, 2.0, 26.0), (-30.0, 4.0, 42.0)), (24.0, 18.0, 19.0)),
    (((-25.0, 4.0, 40.0), (-90.0, -2.0, 22.0), (-190.0, -8.0, -2.0)), (17.0, 14.0, 14.0)),
    (((-12.0, -22.0, -14.0), (-24.0, -44.0, -50.0), (-36.0, -46.0, -76.0)), (11.0, 8.0, 11.0)),
    (((-18.0, 18.0, -8.0), (-55.0, 34.0, -26.0)), (13.0, 12.0)),
)


def pelvis(b: Build) -> None:
    """Everything below the crests; nothing if the scan ends above them."""
    if b.h.bottom > CREST_MM + 20.0:
        return
    _muscles(b)
    _organs(b)
    _bones(b)
    for side in (-1.0, 1.0):
        _vessels(b, side)


def _below(b: Build, field: Field, top: float) -> Field:
    return np.maximum(field, b.s.z - top).astype(np.float32)


def _muscles(b: Build) -> None:
    """Glutei and thighs fill what is between the fat under the skin and the pelvic cavity."""
    fat = 1.1 * b.h.fat_side + 4.0
    outer = np.maximum(b.skin + fat, -b.cavity)
    b.s.fill(_below(b, outer, CREST_MM), (0.0, Tissue.MUSCLE))
    cleft = np.maximum(np.abs(b.s.x) - 3.0, 25.0 - b.s.y)
    b.s.fill(_below(b, cleft.astype(np.float32), SOCKET_MM + 25.0), (0.0, Tissue.FAT), only=(Tissue.MUSCLE,))
    for side in (-1.0, 1.0):
        # Fat between the bundles of the thigh.
        for _ in range(5):
            y, x = b.rng.uniform(-45, 45), side * (0.5 * b.h.half_width + b.rng.uniform(-40, 40))
            seam = b.s.ellipsoid(
                (-520.0, float(y), float(x)), (120.0, float(b.rng.uniform(2, 20)), float(b.rng.uniform(2, 5)))
            )
            b.s.fill(_below(b, seam, CROTCH_MM), (0.0, Tissue.FAT), only=(Tissue.MUSCLE,))


def _organs(b: Build) -> None:
    full = float(b.rng.uniform(0.6, 1.25))
    bladder = b.s.ellipsoid(
        (SOCKET_MM + 8.0, -22.0, float(b.rng.normal(0, 4))), (30.0 * full, 32.0 * full, 38.0 * full)
    )
    b.s.fill(bladder, (3.0, Tissue.MUSCLE), (0.0, Tissue.BLADDER))
    behind = b.s.ellipsoid((SOCKET_MM + 4.0, 22.0, 0.0), (22.0, 15.0, 24.0))
    b.s.fill(behind, (0.0, Tissue.MUSCLE), only=(Tissue.FAT,))
    z = np.linspace(SOCKET_MM + 75.0, CROTCH_MM + 5.0, 8)
    rectum = np.stack([z, 48.0 + b.rng.normal(0, 2, 8), b.rng.normal(0, 4, 8)], axis=1)
    b.s.canvas.tube(rectum, b.rng.uniform(11, 19, 8), Tissue.BOWEL_WALL)
    b.s.canvas.tube(rectum, b.rng.uniform(6, 12, 8), int(b.rng.choice([Tissue.STOOL, Tissue.BOWEL_GAS])))


def _bones(b: Build) -> None:
    y = b.h.spine_y
    sacrum = b.s.ellipsoid((CREST_MM - 75.0, y + 8.0, 0.0), (68.0, 20.0, 50.0))
    b.s.fill(sacrum, (0.0, Tissue.CORTICAL_BONE), (-2.0, Tissue.MARROW))
    wing = b.s.ellipsoid((CREST_MM - 45.0, 4.0, 0.0), (125.0, 78.0, 118.0))
    plate = np.abs(wing) - 5.0
    part = np.maximum(np.abs(b.s.z - CREST_MM + 62.0) - 66.0, 58.0 - np.abs(b.s.x) - 0.25 * (CREST_MM - b.s.z))
    part = np.maximum(part, -45.0 - b.s.y)
    b.s.fill(np.maximum(plate, part).astype(np.float32), (0.0, Tissue.CORTICAL_BONE), (-2.0, Tissue.MARROW))
    size = b.h.half_width / 168.0
    for side in (-1.0, 1.0):
        z, y, x = SOCKET_MM, 2.0, side * 84.0 * size
        socket = b.s.ellipsoid((z, y, x), (31.0, 31.0, 31.0))
        cup = np.maximum(socket, (b.s.x - x) * side - 6.0).astype(np.float32)
        b.s.fill(cup, (0.0, Tissue.CORTICAL_BONE), (-2.0, Tissue.MARROW))
        for course, radii in _COURSES:
            points = np.array([(z + up, y + back, x + side * size * out) for up, back, out in course])
            width = np.array(radii)
            b.s.canvas.tube(points, width, Tissue.CORTICAL_BONE)
            b.s.canvas.tube(points, width - 2.5, Tissue.MARROW)


def _vessels(b: Build, side: float) -> None:
    """Artery and vein from where the great vessels divide to the thigh."""
    y = b.h.spine_y
    for tissue, aside, radius in ((Tissue.AORTA, 4.0, 5.0), (Tissue.IVC, -4.0, 6.0)):
        points = [
            (CREST_MM - 2.0, y - 32.0, 4.0 if tissue == Tissue.AORTA else -14.0),
            (CREST_MM - 55.0, y - 40.0, side * 34.0 + aside),
            (SOCKET_MM + 20.0, -38.0, side * 58.0 + aside),
            (CROTCH_MM - 10.0, -48.0, side * 66.0 + aside),
            (CROTCH_MM - 130.0, -30.0, side * 66.0 + aside),
        ]
        b.s.canvas.tube(np.array(points), np.linspace(radius, radius - 1.5, 5), tissue, _SOFT)
