"""Family 1: arterial perfusion changes, seen in AP alone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from livercascade.data.lesion import Box
from livercascade.virtual.mimics.family import Mimic, MimicFamily
from livercascade.virtual.mimics.region import Point, body, change, outline, summary, wedge
from livercascade.virtual.scene import Scene
from livercascade.virtual.tissue import Tissue


def shunt(scene: Scene, rng: np.random.Generator, *, at: Point | None = None, radius: float = 0.0) -> Mimic | None:
    """Arterioportal shunt or transient difference: a wedge that is bright in AP and gone in VP.

    Args:
        scene: The patient.
        rng: Source of the draw.
        at: Centre (z, y, x) of the lesion or vessel that it belongs to; a place near the capsule if None.
        radius: Radius of that lesion in mm; the wedge goes beyond it.
    """
    centre = at
    if centre is None:
        spots = np.flatnonzero(scene.liver.depth < 25.0)
        if not spots.size:
            return None
        z, y, x = (float(v) for v in scene.liver.places[int(rng.choice(spots))])
        centre = (z, y, x)
    box, inside = wedge(scene, centre, radius + float(rng.uniform(8, 26)), rng)
    kind = "perfusion change at a lesion" if at is not None else "arterioportal shunt"
    return _bright(scene, kind, box, inside, rng)


def third_inflow(scene: Scene, rng: np.random.Generator) -> Mimic | None:
    """Geographic patch at segment IV or the falciform ligament, fed by aberrant veins."""
    spots = np.flatnonzero(np.isin(scene.liver.segment, ("IVa", "IVb", "III")) & (scene.liver.depth < 12.0))
    if not spots.size:
        return None
    z, y, x = (float(v) for v in scene.liver.places[int(rng.choice(spots))])
    found = body(scene, (z, y, x), float(rng.uniform(0.6, 9)), outline(rng), rng)
    return None if found is None else _bright(scene, "third inflow", *found, rng)


def _bright(
    scene: Scene, kind: str, box: Box, inside: Bool[np.ndarray, "z y x"], rng: np.random.Generator
) -> Mimic | None:
    gain = scene.physiology.bolus.arterial * rng.uniform(15, 35)
    more = np.array([0.0, gain, rng.uniform(-2, 5), rng.uniform(-2, 2)])
    value = change(scene, MimicFamily.PERFUSION, scene.physiology.liver + more, rng)
    scene.canvas.write(box, inside, value, (Tissue.LIVER,))
    return summary(scene.canvas, box, MimicFamily.PERFUSION, kind, value)
