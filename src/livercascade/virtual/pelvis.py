"""Below the iliac crests: bones, muscles, bladder, rectum, iliac vessels, thighs."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.body_builder import CREST_MM, CROTCH_MM, SOCKET_MM, BodyBuilder, DistanceField
from livercascade.virtual.tissue import Tissue

_SOFT = (Tissue.FAT, Tissue.MUSCLE)
# Bones against the hip joint: points (up, back, outwards) and radii in mm. Neck, shaft, pubis, ischium.
_COURSES = (
    (((0.0, 0.0, 0.0), (-10.0, 2.0, 26.0), (-30.0, 4.0, 42.0)), (24.0, 18.0, 19.0)),
    (((-25.0, 4.0, 40.0), (-90.0, -2.0, 22.0), (-190.0, -8.0, -2.0)), (17.0, 14.0, 14.0)),
    (((-12.0, -22.0, -14.0), (-24.0, -44.0, -50.0), (-36.0, -46.0, -76.0)), (11.0, 8.0, 11.0)),
    (((-18.0, 18.0, -8.0), (-55.0, 34.0, -26.0)), (13.0, 12.0)),
)


def pelvis(body: BodyBuilder) -> None:
    """Everything below the crests; nothing if the scan ends above them."""
    if body.habitus.bottom > CREST_MM + 20.0:
        return
    _muscles(body)
    _organs(body)
    _bones(body)
    for side in (-1.0, 1.0):
        _vessels(body, side)


def _below(body: BodyBuilder, field: DistanceField, top: float) -> DistanceField:
    return np.maximum(field, body.z - top).astype(np.float32)


def _muscles(body: BodyBuilder) -> None:
    """Glutei and thighs fill what is between the fat under the skin and the pelvic cavity."""
    fat = 1.1 * body.habitus.fat_side + 4.0
    outer = np.maximum(body.skin + fat, -body.cavity)
    body.tissue_map.fill(_below(body, outer, CREST_MM), (0.0, Tissue.MUSCLE))
    cleft = np.maximum(np.abs(body.x) - 3.0, 25.0 - body.y)
    body.tissue_map.fill(
        _below(body, cleft.astype(np.float32), SOCKET_MM + 25.0), (0.0, Tissue.FAT), only=(Tissue.MUSCLE,)
    )
    for side in (-1.0, 1.0):
        # Fat between the bundles of the thigh.
        for _ in range(5):
            y, x = body.rng.uniform(-45, 45), side * (0.5 * body.habitus.half_width + body.rng.uniform(-40, 40))
            seam = body.ellipsoid(
                (-520.0, float(y), float(x)), (120.0, float(body.rng.uniform(2, 20)), float(body.rng.uniform(2, 5)))
            )
            body.tissue_map.fill(_below(body, seam, CROTCH_MM), (0.0, Tissue.FAT), only=(Tissue.MUSCLE,))


def _organs(body: BodyBuilder) -> None:
    full = float(body.rng.uniform(0.6, 1.25))
    bladder = body.ellipsoid(
        (SOCKET_MM + 8.0, -22.0, float(body.rng.normal(0, 4))), (30.0 * full, 32.0 * full, 38.0 * full)
    )
    body.tissue_map.fill(bladder, (3.0, Tissue.MUSCLE), (0.0, Tissue.BLADDER))
    behind = body.ellipsoid((SOCKET_MM + 4.0, 22.0, 0.0), (22.0, 15.0, 24.0))
    body.tissue_map.fill(behind, (0.0, Tissue.MUSCLE), only=(Tissue.FAT,))
    z = np.linspace(SOCKET_MM + 75.0, CROTCH_MM + 5.0, 8)
    rectum = np.stack([z, 48.0 + body.rng.normal(0, 2, 8), body.rng.normal(0, 4, 8)], axis=1)
    body.tissue_map.tube(rectum, body.rng.uniform(11, 19, 8), Tissue.BOWEL_WALL)
    body.tissue_map.tube(rectum, body.rng.uniform(6, 12, 8), int(body.rng.choice([Tissue.STOOL, Tissue.BOWEL_GAS])))


def _bones(body: BodyBuilder) -> None:
    y = body.habitus.spine_y
    sacrum = body.ellipsoid((CREST_MM - 75.0, y + 8.0, 0.0), (68.0, 20.0, 50.0))
    body.tissue_map.fill(sacrum, (0.0, Tissue.CORTICAL_BONE), (-2.0, Tissue.MARROW))
    wing = body.ellipsoid((CREST_MM - 45.0, 4.0, 0.0), (125.0, 78.0, 118.0))
    plate = np.abs(wing) - 5.0
    part = np.maximum(np.abs(body.z - CREST_MM + 62.0) - 66.0, 58.0 - np.abs(body.x) - 0.25 * (CREST_MM - body.z))
    part = np.maximum(part, -45.0 - body.y)
    body.tissue_map.fill(np.maximum(plate, part).astype(np.float32), (0.0, Tissue.CORTICAL_BONE), (-2.0, Tissue.MARROW))
    size = body.habitus.half_width / 168.0
    for side in (-1.0, 1.0):
        z, y, x = SOCKET_MM, 2.0, side * 84.0 * size
        socket = body.ellipsoid((z, y, x), (31.0, 31.0, 31.0))
        cup = np.maximum(socket, (body.x - x) * side - 6.0).astype(np.float32)
        body.tissue_map.fill(cup, (0.0, Tissue.CORTICAL_BONE), (-2.0, Tissue.MARROW))
        for course, radii in _COURSES:
            points = np.array([(z + up, y + back, x + side * size * out) for up, back, out in course])
            width = np.array(radii)
            body.tissue_map.tube(points, width, Tissue.CORTICAL_BONE)
            body.tissue_map.tube(points, width - 2.5, Tissue.MARROW)


def _vessels(body: BodyBuilder, side: float) -> None:
    """Artery and vein from where the great vessels divide to the thigh."""
    y = body.habitus.spine_y
    for tissue, aside, radius in ((Tissue.AORTA, 4.0, 5.0), (Tissue.IVC, -4.0, 6.0)):
        points = [
            (CREST_MM - 2.0, y - 32.0, 4.0 if tissue == Tissue.AORTA else -14.0),
            (CREST_MM - 55.0, y - 40.0, side * 34.0 + aside),
            (SOCKET_MM + 20.0, -38.0, side * 58.0 + aside),
            (CROTCH_MM - 10.0, -48.0, side * 66.0 + aside),
            (CROTCH_MM - 130.0, -30.0, side * 66.0 + aside),
        ]
        body.tissue_map.tube(np.array(points), np.linspace(radius, radius - 1.5, 5), tissue, _SOFT)
