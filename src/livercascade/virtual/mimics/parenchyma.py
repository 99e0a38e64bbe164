"""Families 2, 5, 6: focal fat and sparing, nodules of cirrhosis, confluent fibrosis."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.mimics.family import Mimic, MimicFamily
from livercascade.virtual.mimics.region import Point, body, change, outline, summary, wedge
from livercascade.virtual.scene import Scene
from livercascade.virtual.tissue import Tissue


def focal_fat(scene: Scene, rng: np.random.Generator) -> Mimic | None:
    """Fat beside the falciform ligament, gallbladder fossa or porta: darker in every phase."""
    return _patch(scene, "focal fat", -float(rng.uniform(15, 40)), rng)


def sparing(scene: Scene, rng: np.random.Generator) -> Mimic | None:
    """Liver that a fatty liver spared: brighter in every phase."""
    return _patch(scene, "focal sparing", float(rng.uniform(12, 30)), rng)


def nodule(scene: Scene, rng: np.random.Generator) -> Mimic | None:
    """Regenerative, siderotic (bright in NC) or dysplastic nodule."""
    kind = str(rng.choice(["regenerative nodule", "siderotic nodule", "dysplastic nodule"], p=[0.45, 0.35, 0.2]))
    more = {
        "regenerative nodule": (rng.uniform(1, 7), rng.uniform(-3, 4), rng.uniform(-4, 4), rng.uniform(-4, 3)),
        "siderotic nodule": (rng.uniform(12, 25), rng.uniform(4, 14), rng.uniform(0, 9), rng.uniform(0, 10)),
        "dysplastic nodule": (rng.uniform(-3, 5), rng.uniform(2, 12), rng.uniform(-8, 2), rng.uniform(-7, 1)),
    }[kind]
    found = body(scene, _anywhere(scene, rng), float(rng.uniform(0.15, 2.5)), outline(rng), rng)
    if found is None:
        return None
    value = change(scene, MimicFamily.NODULE, scene.physiology.liver + np.array(more), rng)
    scene.canvas.write(*found, value, (Tissue.LIVER,))
    return summary(scene.canvas, found[0], MimicFamily.NODULE, kind, value)


def fibrosis(scene: Scene, rng: np.random.Generator) -> Mimic | None:
    """Confluent fibrosis: a wedge under a retracted capsule, dark in NC and bright late."""
    spots = np.flatnonzero(
        (scene.liver.depth < 14.0) & np.isin(scene.liver.segment, ("IVa", "IVb", "VIII", "V", "VII"))
    )
    if not spots.size:
        return None
    spot = int(rng.choice(spots))
    z, y, x = (float(v) for v in scene.liver.places[spot])
    surface = scene.liver.places[spot] + scene.liver.outward[spot] * scene.liver.depth[spot]
    dent = surface + scene.liver.outward[spot] * float(rng.uniform(2, 8))
    at = (float(dent[0]), float(dent[1]), float(dent[2]))
    box = scene.canvas.box_round(at, 11.0)
    dz, dy, dx = scene.canvas.offsets(box, at)
    scene.canvas.write(box, dz**2 + dy**2 + dx**2 < 10.0**2, Tissue.FAT, (Tissue.LIVER,))
    more = np.array([-rng.uniform(5, 14), -rng.uniform(0, 8), -rng.uniform(-3, 8), rng.uniform(8, 18)])
    value = change(scene, MimicFamily.FIBROSIS, scene.physiology.liver + more, rng)
    box, inside = wedge(scene, (z, y, x), float(rng.uniform(10, 25)), rng)
    scene.canvas.write(box, inside, value, (Tissue.LIVER,))
    return summary(scene.canvas, box, MimicFamily.FIBROSIS, "confluent fibrosis", value)


def _patch(scene: Scene, kind: str, more: float, rng: np.random.Generator) -> Mimic | None:
    liver = scene.liver
    near = (liver.from_hilum < 45.0) | (np.isin(liver.segment, ("IVa", "IVb", "III")) & (liver.depth < 10.0))
    spots = np.flatnonzero(near)
    if not spots.size:
        return None
    z, y, x = (float(v) for v in liver.places[int(rng.choice(spots))])
    found = body(scene, (z, y, x), float(np.exp(rng.uniform(np.log(0.6), np.log(20)))), outline(rng), rng)
    if found is None:
        return None
    value = change(scene, MimicFamily.FOCAL_FAT, scene.physiology.liver + np.float32(more), rng)
    scene.canvas.write(*found, value, (Tissue.LIVER,))
    return summary(scene.canvas, found[0], MimicFamily.FOCAL_FAT, kind, value)


def _anywhere(scene: Scene, rng: np.random.Generator) -> Point:
    z, y, x = (float(v) for v in scene.liver.places[int(rng.integers(len(scene.liver.places)))])
    return (z, y, x)
