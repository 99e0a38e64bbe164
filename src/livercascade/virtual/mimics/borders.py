"""Families 4 and 11: what lies against the liver or cuts into it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64
from scipy import ndimage

from livercascade.data.labels import BACKGROUND, Organ
from livercascade.virtual.lesions.shape import Outline, grow
from livercascade.virtual.mimics.family import Mimic, MimicFamily
from livercascade.virtual.mimics.region import Point, change, summary
from livercascade.virtual.scene import Scene
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue
from livercascade.virtual.vessels import curve

_OUTSIDE = (Tissue.FAT, Tissue.FLUID)


def rib_indentation(scene: Scene, rng: np.random.Generator) -> Mimic | None:
    """A rib or muscle slip presses a groove of fat and muscle into the side of the liver."""
    sides = np.flatnonzero((scene.liver.depth < 8.0) & (scene.liver.outward[:, 2] < -0.7))
    return _groove(scene, sides, "rib indentation", Tissue.MUSCLE, rng)


def diaphragm_slip(scene: Scene, rng: np.random.Generator) -> Mimic | None:
    """A slip of the diaphragm runs into the dome and looks like a peripheral nodule in cross-section."""
    tops = np.flatnonzero((scene.liver.depth < 8.0) & (scene.liver.outward[:, 0] > 0.5))
    return _groove(scene, tops, "diaphragm slip", Tissue.MUSCLE, rng, MimicFamily.NEIGHBOUR)


def fat_cleft(scene: Scene, rng: np.random.Generator) -> Mimic | None:
    """A fissure or tongue of fat between two slices: a dark, soft-edged spot."""
    spots = np.flatnonzero((scene.liver.depth < 9.0) & (np.abs(scene.liver.outward[:, 2]) < 0.8))
    return _groove(scene, spots, "fat in a fissure", Tissue.FAT, rng)


def colon_interposition(scene: Scene, rng: np.random.Generator) -> Mimic | None:
    """A loop of colon with gas or stool between liver and wall."""
    spots = np.flatnonzero((scene.liver.depth < 8.0) & (scene.liver.outward[:, 1] < -0.5))
    if not spots.size:
        return None
    spot = int(rng.choice(spots))
    surface = scene.liver.places[spot] + scene.liver.outward[spot] * scene.liver.depth[spot]
    at = (float(surface[0]), float(surface[1]), float(surface[2]))
    found = grow(scene.canvas, at, float(rng.uniform(8, 30)), Outline(0.12, 0.5, 0.2), (Tissue.LIVER, *_OUTSIDE), rng)
    if found is None:
        return None
    box, depth = found
    inside = Tissue.BOWEL_GAS if rng.random() < 0.5 else Tissue.STOOL
    wall = change(scene, MimicFamily.PARTIAL_VOLUME, scene.physiology.hu[:, Tissue.BOWEL_WALL], rng, label=BACKGROUND)
    scene.canvas.write(box, depth > 0, wall)
    scene.canvas.write(box, depth > 2.5, int(inside))
    return summary(scene.canvas, box, MimicFamily.PARTIAL_VOLUME, "colon interposition", wall)


def neighbour(scene: Scene, rng: np.random.Generator) -> Mimic | None:
    """Adrenal nodule, renal cyst, accessory spleen or papillary process against the liver."""
    kind = str(rng.choice(["adrenal nodule", "renal cyst", "accessory spleen", "papillary process"]))
    anchor, outside = {
        "adrenal nodule": (Tissue.ADRENAL, (*_OUTSIDE, Tissue.ADRENAL)),
        "renal cyst": (Tissue.RENAL_CORTEX, (*_OUTSIDE, Tissue.RENAL_CORTEX)),
        "accessory spleen": (Tissue.SPLEEN, _OUTSIDE),
        "papillary process": (Tissue.IVC, _OUTSIDE),
    }[kind]
    at = _between(scene, anchor)
    if at is None:
        return None
    found = grow(scene.canvas, at, float(rng.uniform(0.6, 8)), Outline(0.06, 0.5, 0.05), outside, rng)
    if found is None:
        return None
    hu = scene.physiology.hu
    curve_, label, fluid = {
        "adrenal nodule": (np.array([12, 45, 55, 38]) + rng.normal(0, 8), BACKGROUND, False),
        "renal cyst": (np.full(4, rng.uniform(0, 14)), BACKGROUND, True),
        "accessory spleen": (hu[:, Tissue.SPLEEN].copy(), BACKGROUND, False),
        "papillary process": (scene.physiology.liver.copy(), int(Organ.LIVER), False),
    }[kind]
    value = change(scene, MimicFamily.NEIGHBOUR, curve_, rng, fluid=fluid, label=label)
    scene.canvas.write(found[0], found[1] > 0, value)
    return summary(scene.canvas, found[0], MimicFamily.NEIGHBOUR, kind, value)


def _groove(
    scene: Scene,
    spots: Int64[np.ndarray, " n"],
    kind: str,
    like: Tissue,
    rng: np.random.Generator,
    family: MimicFamily = MimicFamily.PARTIAL_VOLUME,
) -> Mimic | None:
    """A tongue of another tissue that enters the liver obliquely from a point of its surface."""
    if not spots.size:
        return None
    spot = int(rng.choice(spots))
    inward = -scene.liver.outward[spot]
    surface = scene.liver.places[spot] - inward * scene.liver.depth[spot]
    value = change(scene, family, scene.physiology.hu[:, like].copy(), rng, label=BACKGROUND)
    aside = np.cross(inward, rng.normal(size=3))
    aside /= max(float(np.linalg.norm(aside)), 1e-6)
    length = float(rng.uniform(12, 35))
    points = curve(surface - aside * length / 2, surface + aside * length / 2, 6, 2.0, rng)
    points += inward * float(rng.uniform(0, 6)) * np.sin(np.linspace(0, np.pi, 6))[:, None]
    scene.canvas.tube(points, rng.uniform(2.0, 5.0) * np.sin(np.linspace(0.5, np.pi - 0.5, 6)), value, LIVER_TISSUES)
    centre = points.mean(axis=0)
    box = scene.canvas.box_round((float(centre[0]), float(centre[1]), float(centre[2])), length)
    return summary(scene.canvas, box, family, kind, value)


def _between(scene: Scene, anchor: Tissue) -> Point | None:
    """A place outside the liver, near it and near another organ at the same time."""
    canvas = scene.canvas
    stride = [max(1, round(5.0 / step)) for step in canvas.steps]
    coarse = canvas.tissue[:: stride[0], :: stride[1], :: stride[2]]
    organ, liver = coarse == anchor, np.isin(coarse, LIVER_TISSUES)
    free = np.isin(coarse, _OUTSIDE)
    if not organ.any() or not free.any() or not liver.any():
        return None
    steps = [step * n for step, n in zip(canvas.steps, stride, strict=True)]
    cost = np.asarray(ndimage.distance_transform_edt(~organ, sampling=steps)) + np.asarray(
        ndimage.distance_transform_edt(~liver, sampling=steps)
    )
    at = np.unravel_index(int(np.where(free, cost, np.inf).argmin()), cost.shape)
    return canvas.place([int(k) * n for k, n in zip(at, stride, strict=True)])
