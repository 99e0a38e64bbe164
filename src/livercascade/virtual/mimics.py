"""Things in the liver that look like lesions and are none: labelled liver, kept by family (CLINICAL, section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from livercascade.data.labels import Organ
from livercascade.data.lesion import Box
from livercascade.virtual.anatomy import Anatomy
from livercascade.virtual.canvas import Canvas
from livercascade.virtual.fields import coarse_noise
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.palette import Palette
from livercascade.virtual.physiology import Physiology
from livercascade.virtual.tissue import Tissue


class MimicFamily(IntEnum):
    """Families of mimics; the values stand in ``mimics.nii.gz``."""

    PERFUSION = 1
    FOCAL_FAT = 2
    FOCAL_SPARING = 3
    REGENERATIVE_NODULE = 4
    CONFLUENT_FIBROSIS = 5
    DILATED_DUCT = 6
    CALCIFICATION = 7
    PERIPORTAL_LOW_DENSITY = 8


_SPARE_PARTS = 80
"""Tissue values left free when mimics stop."""


@dataclass(frozen=True, slots=True)
class Mimic:
    """One mimic: family, LPS centre (x, y, z) in mm and volume in ml."""

    family: MimicFamily
    centre: tuple[float, float, float]
    volume_ml: float


def paint_mimics(anatomy: Anatomy, palette: Palette, physiology: Physiology, rng: np.random.Generator) -> list[Mimic]:
    """Paint a random choice of mimics into the liver, never over a lesion."""
    found: list[Mimic] = []
    for family in _draw_families(anatomy.habitus, rng):
        if palette.room < _SPARE_PARTS:
            break
        curve = _curve(family, physiology, rng)
        solid = family not in (MimicFamily.DILATED_DUCT, MimicFamily.CALCIFICATION)
        value = palette.add(curve.astype(np.float32), int(Organ.LIVER), family, solid=solid)
        mimic = _paint(anatomy, family, value, rng)
        if mimic is not None:
            found.append(mimic)
    return found


def _draw_families(habitus: Habitus, rng: np.random.Generator) -> list[MimicFamily]:
    counts = {
        MimicFamily.PERFUSION: rng.poisson(1.2),
        MimicFamily.FOCAL_FAT: rng.poisson(0.4),
        MimicFamily.FOCAL_SPARING: rng.poisson(1.5 if habitus.fat_fraction > 0.2 else 0.0),
        MimicFamily.REGENERATIVE_NODULE: rng.poisson(2.0 if habitus.cirrhotic else 0.0),
        MimicFamily.CONFLUENT_FIBROSIS: rng.poisson(0.5 if habitus.cirrhotic else 0.0),
        MimicFamily.DILATED_DUCT: rng.poisson(0.2),
        MimicFamily.CALCIFICATION: rng.poisson(0.3),
        MimicFamily.PERIPORTAL_LOW_DENSITY: rng.binomial(1, 0.3),
    }
    return [family for family, n in counts.items() for _ in range(int(n))]


def _curve(
    family: MimicFamily, physiology: Physiology, rng: np.random.Generator
) -> Float32[np.ndarray, " 4"] | Float64[np.ndarray, " 4"]:
    liver = physiology.liver
    delta = {
        MimicFamily.PERFUSION: (0, physiology.arterial * rng.uniform(15, 35), rng.uniform(-2, 5), 0),
        MimicFamily.FOCAL_FAT: (-rng.uniform(15, 40),) * 4,
        MimicFamily.FOCAL_SPARING: (rng.uniform(12, 30),) * 4,
        MimicFamily.REGENERATIVE_NODULE: (rng.uniform(5, 16), rng.uniform(-2, 6), rng.uniform(-3, 5), 0),
        MimicFamily.CONFLUENT_FIBROSIS: (-rng.uniform(5, 14), -5, -2, rng.uniform(8, 18)),
        MimicFamily.PERIPORTAL_LOW_DENSITY: (-rng.uniform(8, 20), -18, -30, -25),
    }
    if family is MimicFamily.DILATED_DUCT:
        return np.full(4, rng.uniform(6, 16))
    if family is MimicFamily.CALCIFICATION:
        return np.full(4, rng.uniform(200, 900))
    return liver + np.asarray(delta[family], dtype=np.float32)


def _paint(anatomy: Anatomy, family: MimicFamily, value: int, rng: np.random.Generator) -> Mimic | None:
    canvas = anatomy.canvas
    if family in (MimicFamily.DILATED_DUCT, MimicFamily.PERIPORTAL_LOW_DENSITY):
        _beside_portal(canvas, family, value)
        return _summary(canvas, family, value)
    spots = np.argwhere(canvas.tissue[::4, ::4, ::4] == Tissue.LIVER) * 4
    if len(spots) == 0:
        return None
    at = spots[_index(family, canvas, spots, anatomy, rng)]
    centre = (float(canvas.z[at[0]]), float(canvas.y[at[1]]), float(canvas.x[at[2]]))
    radius = {
        MimicFamily.PERFUSION: rng.uniform(8, 28),
        MimicFamily.FOCAL_FAT: rng.uniform(7, 18),
        MimicFamily.FOCAL_SPARING: rng.uniform(7, 20),
        MimicFamily.REGENERATIVE_NODULE: rng.uniform(4, 9),
        MimicFamily.CONFLUENT_FIBROSIS: rng.uniform(10, 25),
        MimicFamily.CALCIFICATION: rng.uniform(2, 5),
    }[family]
    wedge = family in (MimicFamily.PERFUSION, MimicFamily.CONFLUENT_FIBROSIS)
    box, inside = _region(canvas, centre, radius, anatomy if wedge else None, rng)
    canvas.write(box, inside, value, (Tissue.LIVER,))
    return _summary(canvas, family, value)


def _index(
    family: MimicFamily, canvas: Canvas, spots: Int64[np.ndarray, "n 3"], anatomy: Anatomy, rng: np.random.Generator
) -> int:
    """Focal fat and sparing sit near the hilum and falciform fissure; wedges under the capsule; others anywhere."""
    place = np.stack([canvas.z[spots[:, 0]], canvas.y[spots[:, 1]], canvas.x[spots[:, 2]]], axis=1)
    distance = np.linalg.norm(place - anatomy.hilum, axis=1)
    if family in (MimicFamily.FOCAL_FAT, MimicFamily.FOCAL_SPARING):
        near = np.argsort(distance)[: max(1, len(spots) // 5)]
        return int(rng.choice(near))
    if family in (MimicFamily.PERFUSION, MimicFamily.CONFLUENT_FIBROSIS):
        far = np.argsort(distance)[len(spots) // 2 :]
        return int(rng.choice(far))
    return int(rng.integers(len(spots)))


def _region(
    canvas: Canvas,
    centre: tuple[float, float, float],
    radius: float,
    wedge_from: Anatomy | None,
    rng: np.random.Generator,
) -> tuple[Box, Bool[np.ndarray, "z y x"]]:
    reach = radius * 1.6
    box = canvas.box(
        (centre[0] - reach, centre[1] - reach, centre[2] - reach),
        (centre[0] + reach, centre[1] + reach, centre[2] + reach),
    )
    dz, dy, dx = canvas.offsets(box, centre)
    stretch = rng.uniform(0.7, 1.3, 3)
    rho = np.sqrt((dz * stretch[0]) ** 2 + (dy * stretch[1]) ** 2 + (dx * stretch[2]) ** 2)
    a, b, c = rho.shape
    noise = coarse_noise((a, b, c), (6.0, 6.0, 6.0), rng)
    inside = rho < radius * (1.0 + 0.15 * noise)
    if wedge_from is not None:
        # A wedge opens away from the hilum: the half of the ball nearer to it is cut to a cone.
        axis = np.asarray(centre) - wedge_from.hilum
        axis = axis / max(float(np.linalg.norm(axis)), 1e-6)
        along = dz * axis[0] + dy * axis[1] + dx * axis[2]
        across = np.sqrt(np.maximum(dz**2 + dy**2 + dx**2 - along**2, 0.0))
        inside &= across < 0.55 * (along + radius)
    return box, inside


def _beside_portal(canvas: Canvas, family: MimicFamily, value: int) -> None:
    """A thin sleeve, or one-sided band, along the portal branches."""
    portal = canvas.tissue == Tissue.PORTAL_BRANCH
    liver = canvas.tissue == Tissue.LIVER
    band = np.zeros_like(portal)
    moves = [(1, 1), (2, 1)] if family is MimicFamily.DILATED_DUCT else [(1, 1), (1, -1), (2, 1), (2, -1)]
    for axis, way in moves:
        for step in (1, 2):
            band |= np.roll(portal, way * step, axis)
    canvas.tissue[band & liver] = value


def _summary(canvas: Canvas, family: MimicFamily, value: int) -> Mimic | None:
    where = np.nonzero(canvas.tissue == value)
    if where[0].size == 0:
        return None
    centre = (float(canvas.x[where[2]].mean()), float(canvas.y[where[1]].mean()), float(canvas.z[where[0]].mean()))
    return Mimic(family, centre, float(where[0].size) * canvas.voxel_ml)
