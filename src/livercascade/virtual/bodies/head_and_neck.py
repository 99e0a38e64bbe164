"""Neck with airway, thyroid, vessels and cervical spine; head with brain, skull, face, jaws and teeth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from livercascade.virtual.bodies.body_tissue import BodyTissue
from livercascade.virtual.bodies.whole_body import WholeBody, union
from livercascade.virtual.body_builder import DistanceField, ease, smooth_max
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import Tissue

SPINE_FROM_MM = 170.0
"""Height from which the neck's spine takes over from the trunk's."""
_SOFT = (Tissue.FAT, Tissue.MUSCLE)
_JAW = ((-52.0, -6.0, 50.0), (-98.0, -12.0, 47.0), (-112.0, -55.0, 34.0), (-117.0, -88.0, 0.0))
"""Right half of the lower jaw from the joint to the chin: up, back, aside."""


def neck(body: WholeBody) -> None:
    """Muscles, spine, airway with cartilage, thyroid, gullet, vessels, glands."""
    _neck_muscles(body)
    _cervical_spine(body)
    y = body.neck_y
    tissue_map, rng = body.tissue_map, body.rng
    z = np.array([150.0, 200.0, 240.0, 290.0, 330.0])
    front = np.array([-34.0, -34.0, -36.0, -44.0, -46.0]) + y + 4.0
    gullet = np.stack([z, front + 20.0, np.full(5, 4.0)], axis=1)
    tissue_map.tube(gullet, np.full(5, 7.0), Tissue.OESOPHAGUS, (*_SOFT, Tissue.LUNG))
    airway = np.stack([z, front, np.zeros(5)], axis=1)
    wide = float(rng.uniform(7.5, 10.0))
    tissue_map.tube(airway, np.full(5, wide + 2.0), Tissue.CARTILAGE)
    tissue_map.tube(airway, np.full(5, wide), Tissue.AIRWAY)
    size = float(rng.uniform(0.7, 1.5))
    for side in (-1.0, 1.0):
        thyroid = body.calm_ellipsoid((238.0, y - 28.0, side * 17.0), (22.0 * size, 11.0 * size, 9.0 * size))
        tissue_map.fill(thyroid, (0.0, BodyTissue.THYROID), only=_SOFT)
        artery = np.array(
            [[196.0, y - 22.0, side * 22.0], [250.0, y - 24.0, side * 27.0], [345.0, y - 22.0, side * 30.0]]
        )
        tissue_map.tube(artery, np.array([4.5, 4.0, 3.0]), Tissue.AORTA, _SOFT)
        vein = artery + np.array([0.0, 3.0, side * 11.0])
        tissue_map.tube(vein, np.full(3, float(rng.uniform(4.5, 8.0))), Tissue.IVC, _SOFT)
        gland = body.calm_ellipsoid((318.0, y - 50.0, side * 30.0), (14.0, 16.0, 10.0))
        tissue_map.fill(gland, (0.0, BodyTissue.GLAND), only=_SOFT)


def _neck_muscles(body: WholeBody) -> None:
    y = body.neck_y
    inside = body.skin + 5.0 + 0.25 * body.habitus.fat_side
    high = 205.0 - body.straight[0]
    for centre, radii in (
        ((270.0, y + 26.0, -22.0), (150.0, 24.0, 24.0)),
        ((270.0, y + 26.0, 22.0), (150.0, 24.0, 24.0)),
        ((270.0, y - 12.0, -40.0), (110.0, 16.0, 11.0)),
        ((270.0, y - 12.0, 40.0), (110.0, 16.0, 11.0)),
        ((270.0, y - 34.0, 0.0), (90.0, 20.0, 24.0)),
    ):
        muscle = np.maximum(np.maximum(body.calm_ellipsoid(centre, radii), inside), high)
        body.tissue_map.fill(muscle.astype(np.float32), (0.0, Tissue.MUSCLE), only=(Tissue.FAT,))


def _cervical_spine(body: WholeBody) -> None:
    y, tissue_map = body.neck_y, body.tissue_map
    back = body.habitus.spine_y
    heights = np.array([SPINE_FROM_MM, 215.0, 250.0, 300.0, 352.0])
    middle = np.array([back - 2.0, back - 12.0, y, y - 3.0, y + 2.0])
    column = np.stack([heights, middle, np.zeros(5)], axis=1)
    tissue_map.tube(column, np.array([16.0, 13.0, 11.5, 11.0, 10.0]), Tissue.CORTICAL_BONE)
    tissue_map.tube(column, np.array([14.0, 11.0, 9.5, 9.0, 8.0]), Tissue.MARROW)
    for height in np.arange(SPINE_FROM_MM + 12.0, 340.0, 19.0):
        at = float(np.interp(height, heights, middle))
        disc = np.array([[height - 2.0, at, 0.0], [height + 2.0, at, 0.0]])
        tissue_map.tube(disc, np.full(2, 10.5), Tissue.DISC, (Tissue.CORTICAL_BONE, Tissue.MARROW))
        arch = np.array(
            [[height - 9.0, at + 9.0, -17.0], [height - 9.0, at + 27.0, -8.0], [height - 12.0, at + 38.0, 0.0]]
        )
        for side in (-1.0, 1.0):
            tissue_map.tube(arch * np.array([1.0, 1.0, side]), np.array([5.0, 4.5, 4.0]), Tissue.CORTICAL_BONE)
    canal = column + np.array([0.0, 19.0, 0.0])
    tissue_map.tube(canal, np.full(5, 8.0), Tissue.SPINAL_CANAL)


@dataclass(frozen=True, slots=True, eq=False)
class HeadAxes:
    """Coordinates of a head, turned and sized as it lies.

    Attributes:
        up, back, left: mm from the middle of the brain, on the coarse grid of a slab.
        origin: Place of that middle, (z, y, x) mm.
        turn: Matrix from the head's axes (up, back, left) to those of the patient.
        size: Linear scale.
    """

    up: DistanceField
    back: DistanceField
    left: DistanceField
    origin: Float64[np.ndarray, " 3"]
    turn: Float64[np.ndarray, "3 3"]
    size: float

    def ellipsoid(
        self, centre: tuple[float, float, float], radii: tuple[float, float, float]
    ) -> Float32[np.ndarray, "z y x"]:
        """Signed distance in mm to an ellipsoid at (up, back, left) with such radii."""
        rho = np.sqrt(
            ((self.up - centre[0]) / radii[0]) ** 2
            + ((self.back - centre[1]) / radii[1]) ** 2
            + ((self.left - centre[2]) / radii[2]) ** 2
        )
        return ((rho - 1.0) * min(radii)).astype(np.float32)

    def place(self, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        """Positions (z, y, x) in mm of points given in the head's axes."""
        return self.origin + self.size * points @ self.turn.T


def head(body: WholeBody) -> None:
    """The head on its neck, nodding and turned a little."""
    there = _coordinates(body)
    skin, skull = _outline(body, there)
    _brain(body, there, skull)
    _face(body, there, skin, skull)
    _jaws(body, there)


def _coordinates(body: WholeBody) -> HeadAxes:
    rng = body.rng
    size = float(rng.uniform(0.92, 1.06))
    origin = np.array([432.0, body.neck_y - 16.0, float(rng.normal(0, 4))])
    nod, tilt, yaw = (float(v) for v in np.deg2rad(rng.normal(0, (7.0, 4.0, 10.0))))
    cn, sn, ct, st, cy, sy = np.cos(nod), np.sin(nod), np.cos(tilt), np.sin(tilt), np.cos(yaw), np.sin(yaw)
    about_left = np.array([[cn, -sn, 0], [sn, cn, 0], [0, 0, 1]])
    about_back = np.array([[ct, 0, -st], [0, 1, 0], [st, 0, ct]])
    about_up = np.array([[1, 0, 0], [0, cy, -sy], [0, sy, cy]])
    turn = about_left @ about_back @ about_up
    away = [(axis - np.float32(at)) / np.float32(size) for axis, at in zip(body.calm, origin, strict=True)]
    local = [sum(np.float32(turn[k, n]) * away[k] for k in range(3)) for n in range(3)]
    return HeadAxes(*(np.asarray(axis, dtype=np.float32) for axis in local), origin=origin, turn=turn, size=size)


def _outline(body: WholeBody, there: HeadAxes) -> tuple[DistanceField, DistanceField]:
    """Skin, fat and muscle of head and face; returns the distances to the skin and to the skull's outside."""
    cranium = there.ellipsoid((0.0, 4.0, 0.0), (92.0, 97.0, 77.0))
    face = smooth_max(
        there.ellipsoid((-66.0, -38.0, 0.0), (74.0, 62.0, 62.0)),
        (there.back + 92.0 + 0.12 * there.up) * np.float32(-1.0),
        14.0,
    )
    nose = there.ellipsoid((-48.0, -98.0, 0.0), (24.0, 20.0, 14.0))
    skin = union(union(cranium, face, 20.0), nose, 8.0)
    body.tissue_map.fill(skin.astype(np.float32), (0.0, Tissue.SKIN), (-2.0, Tissue.FAT))
    bundles = coarse_noise(body.shape, (5.0, 4.0, 4.0), body.rng)
    soft = np.maximum(face + 6.0, 14.0 * (bundles - 0.7))
    body.tissue_map.fill(soft.astype(np.float32), (0.0, Tissue.MUSCLE), only=(Tissue.FAT,))
    behind = np.maximum(there.ellipsoid((-70.0, 40.0, 0.0), (48.0, 36.0, 52.0)), cranium + 6.0)
    body.tissue_map.fill(behind.astype(np.float32), (0.0, Tissue.MUSCLE), only=(Tissue.FAT,))
    return skin.astype(np.float32), (cranium + 6.5).astype(np.float32)


def _brain(body: WholeBody, there: HeadAxes, skull: DistanceField) -> None:
    tissue_map, rng = body.tissue_map, body.rng
    thick = float(rng.uniform(5.0, 8.0))
    # The floor of the skull slopes down from the forehead to the back of the head.
    floor = -(there.up + 38.0 + 0.34 * there.back)
    vault = np.maximum(skull, floor - 9.0).astype(np.float32)
    tissue_map.fill(vault, (0.0, BodyTissue.SKULL), (-1.8, Tissue.MARROW), (-(thick - 1.8), BodyTissue.SKULL))
    inside = np.maximum(skull + thick, floor).astype(np.float32)
    wide = float(rng.uniform(1.0, 4.5))
    tissue_map.fill(inside, (0.0, BodyTissue.CSF))
    folds = coarse_noise(body.shape, (2.6, 2.6, 2.6), rng)
    deep = ease((-inside - 2.0) / 16.0)
    grey = inside + wide + 5.0 * (folds - 0.9) * (1.0 - deep)
    cleft = 2.2 - np.abs(there.left) - 8.0 * (there.up < -20.0)
    grey = np.maximum(grey, np.where(inside < -wide - 26.0, -9.0, cleft)).astype(np.float32)
    tissue_map.fill(grey, (0.0, BodyTissue.GREY_MATTER), only=(BodyTissue.CSF,))
    white = np.maximum(inside + wide + 7.0 + 3.5 * folds, 6.0 - np.abs(there.left))
    nuclei = np.minimum(*(-there.ellipsoid((2.0, 2.0, side * 22.0), (18.0, 26.0, 13.0)) for side in (-1.0, 1.0)))
    white = np.maximum(np.maximum(white, nuclei), -14.0 - there.up + 20.0 * (there.back > 10.0) - 10.0)
    tissue_map.fill(white.astype(np.float32), (0.0, BodyTissue.WHITE_MATTER), only=(BodyTissue.GREY_MATTER,))
    big = float(rng.uniform(0.6, 1.5))
    for side in (-1.0, 1.0):
        horn = there.ellipsoid((10.0, 0.0, side * 12.0), (13.0 * big, 38.0, 6.0 * big))
        tissue_map.fill(horn, (0.0, BodyTissue.CSF), only=(BodyTissue.GREY_MATTER, BodyTissue.WHITE_MATTER))
    _skull_base(body, there, skull, floor.astype(np.float32))


def _skull_base(body: WholeBody, there: HeadAxes, skull: DistanceField, floor: DistanceField) -> None:
    """Bone under the brain with air cells, the canal through it."""
    cells = coarse_noise(body.shape, (2.2, 2.2, 2.2), body.rng)
    under = np.maximum(np.maximum(skull + 1.0, -floor), floor - 26.0)
    base = np.maximum(under, 7.0 * (0.1 - cells)).astype(np.float32)
    body.tissue_map.fill(base, (0.0, BodyTissue.SKULL), only=(Tissue.FAT, Tissue.MUSCLE, Tissue.MARROW))
    air = np.maximum(under, 9.0 * (cells + 1.1))
    air = np.maximum(air, 26.0 - np.abs(there.left)).astype(np.float32)
    body.tissue_map.fill(air, (0.0, Tissue.AIRWAY), only=(Tissue.FAT, Tissue.MUSCLE, BodyTissue.SKULL))
    line = there.place(np.array([[-30.0, 22.0, 0.0], [-75.0, 26.0, 0.0]]))
    body.tissue_map.tube(line, np.array([13.0, 8.0]), Tissue.SPINAL_CANAL)


def _face(body: WholeBody, there: HeadAxes, skin: DistanceField, skull: DistanceField) -> None:
    tissue_map, rng = body.tissue_map, body.rng
    middle = there.ellipsoid((-50.0, -58.0, 0.0), (34.0, 34.0, 42.0))
    bony = np.maximum(middle, 8.0 * (coarse_noise(body.shape, (2.5, 2.5, 2.5), rng) - 0.2))
    tissue_map.fill(bony.astype(np.float32), (0.0, Tissue.CORTICAL_BONE), only=_SOFT)
    sinus = float(rng.uniform(0.8, 1.15))
    filling = Tissue.AIRWAY if rng.random() < 0.85 else BodyTissue.CSF
    for side in (-1.0, 1.0):
        cave = there.ellipsoid((-50.0, -58.0, side * 26.0), (17.0 * sinus, 17.0 * sinus, 12.0 * sinus))
        tissue_map.fill(cave, (2.2, Tissue.CORTICAL_BONE), (0.0, filling))
        orbit = there.ellipsoid((-18.0, -58.0, side * 31.0), (17.0, 24.0, 18.0))
        orbit = np.maximum(orbit, skin + 3.0).astype(np.float32)
        tissue_map.fill(orbit, (2.5, Tissue.CORTICAL_BONE), (0.0, Tissue.FAT))
        eye = np.maximum(there.ellipsoid((-18.0, -69.0, side * 31.0), (12.0, 12.0, 12.0)), skin + 1.0).astype(
            np.float32
        )
        tissue_map.fill(eye, (0.0, Tissue.MUSCLE), (-1.2, BodyTissue.EYE))
        chew = there.ellipsoid((-78.0, -18.0, side * 56.0), (30.0, 18.0, 8.0))
        tissue_map.fill(chew, (0.0, Tissue.MUSCLE), only=(Tissue.FAT,))
        parotid = there.ellipsoid((-66.0, 4.0, side * 58.0), (24.0, 15.0, 9.0))
        tissue_map.fill(parotid, (0.0, BodyTissue.GLAND), only=_SOFT)
    nasal = np.maximum(there.ellipsoid((-52.0, -62.0, 0.0), (24.0, 36.0, 13.0)), 1.5 - np.abs(there.left))
    nasal = np.maximum(nasal, 5.0 * (coarse_noise(body.shape, (2.0, 2.0, 2.0), rng) - 0.8))
    tissue_map.fill(nasal.astype(np.float32), (0.0, Tissue.AIRWAY))
    frontal = there.ellipsoid((14.0, -84.0, 0.0), (16.0, 7.0, 24.0))
    tissue_map.fill(np.maximum(frontal, skull + 2.0).astype(np.float32), (0.0, Tissue.AIRWAY))
    throat = there.place(np.array([[-50.0, -30.0, 0.0], [-85.0, -18.0, 0.0], [-125.0, -20.0, 0.0]]))
    tissue_map.tube(throat, np.array([9.0, 8.0, 8.0]), Tissue.AIRWAY, (*_SOFT, Tissue.CORTICAL_BONE))


def _jaws(body: WholeBody, there: HeadAxes) -> None:
    """Lower jaw, both rows of teeth with a filling here and there, tongue."""
    tissue_map, rng = body.tissue_map, body.rng
    tongue = there.ellipsoid((-94.0, -50.0, 0.0), (20.0, 36.0, 24.0))
    tissue_map.fill(tongue, (0.0, Tissue.MUSCLE), only=(Tissue.FAT, Tissue.AIRWAY, Tissue.CORTICAL_BONE))
    half = np.array(_JAW)
    course = there.place(np.vstack([half * [1, 1, -1], half[::-1][1:]]))
    tissue_map.tube(course, np.full(len(course), 7.5), Tissue.CORTICAL_BONE)
    tissue_map.tube(course, np.full(len(course), 4.0), Tissue.MARROW)
    angle = np.linspace(-1.25, 1.25, 15)
    toothless = rng.random() < 0.12
    for height in (-82.0, -96.0):
        for a in angle:
            if toothless or rng.random() < 0.1:
                continue
            at = np.array([height, -46.0 - 38.0 * np.cos(a), 28.0 * np.sin(a)])
            ends = there.place(np.stack([at - np.array([7.0, 0, 0]), at + np.array([7.0, 0, 0])]))
            filled = BodyTissue.METAL if rng.random() < 0.06 else BodyTissue.TOOTH
            tissue_map.tube(ends, np.full(2, 3.2), filled)
