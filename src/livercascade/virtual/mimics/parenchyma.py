"""Families 1, 2, 5, 6: changes of perfusion, focal fat and sparing, nodules of cirrhosis, confluent fibrosis."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from livercascade.data.grid import Triple
from livercascade.data.lesion import Box
from livercascade.virtual.mimics.mimic_families import Mimic, MimicFamily
from livercascade.virtual.mimics.mimic_region import body, change, outline, summary, wedge
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.tissue import Tissue


def shunt(phantom: Phantom, rng: np.random.Generator, *, at: Triple | None = None, radius: float = 0.0) -> Mimic | None:
    """Arterioportal shunt or transient difference: a wedge that is bright in AP and gone in VP.

    Args:
        phantom: The patient.
        rng: Source of the draw.
        at: Centre (z, y, x) of the lesion or vessel that it belongs to; a place near the capsule if None.
        radius: Radius of that lesion in mm; the wedge goes beyond it.
    """
    centre = at
    if centre is None:
        spots = np.flatnonzero(phantom.liver.depth < 25.0)
        if not spots.size:
            return None
        z, y, x = (float(v) for v in phantom.liver.places[int(rng.choice(spots))])
        centre = (z, y, x)
    box, inside = wedge(phantom, centre, radius + float(rng.uniform(8, 26)), rng)
    kind = "perfusion change at a lesion" if at is not None else "arterioportal shunt"
    return _bright(phantom, kind, box, inside, rng)


def third_inflow(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """Geographic patch at segment IV or the falciform ligament, fed by aberrant veins."""
    spots = np.flatnonzero(np.isin(phantom.liver.segment, ("IVa", "IVb", "III")) & (phantom.liver.depth < 12.0))
    if not spots.size:
        return None
    z, y, x = (float(v) for v in phantom.liver.places[int(rng.choice(spots))])
    found = body(phantom, (z, y, x), float(rng.uniform(0.6, 9)), outline(rng), rng)
    return None if found is None else _bright(phantom, "third inflow", *found, rng)


def focal_fat(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """Fat beside the falciform ligament, gallbladder fossa or porta: darker in every phase."""
    return _patch(phantom, "focal fat", -float(rng.uniform(15, 40)), rng)


def sparing(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """Liver that a fatty liver spared: brighter in every phase."""
    return _patch(phantom, "focal sparing", float(rng.uniform(12, 30)), rng)


def nodule(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """Regenerative, siderotic (bright in NC) or dysplastic nodule."""
    kind = str(rng.choice(["regenerative nodule", "siderotic nodule", "dysplastic nodule"], p=[0.45, 0.35, 0.2]))
    more = {
        "regenerative nodule": (rng.uniform(1, 7), rng.uniform(-3, 4), rng.uniform(-4, 4), rng.uniform(-4, 3)),
        "siderotic nodule": (rng.uniform(12, 25), rng.uniform(4, 14), rng.uniform(0, 9), rng.uniform(0, 10)),
        "dysplastic nodule": (rng.uniform(-3, 5), rng.uniform(2, 12), rng.uniform(-8, 2), rng.uniform(-7, 1)),
    }[kind]
    found = body(phantom, _anywhere(phantom, rng), float(rng.uniform(0.15, 2.5)), outline(rng), rng)
    if found is None:
        return None
    value = change(phantom, MimicFamily.NODULE, phantom.physiology.liver + np.array(more), rng)
    phantom.tissue_map.write(*found, value, (Tissue.LIVER,))
    return summary(phantom.tissue_map, found[0], MimicFamily.NODULE, kind, value)


def fibrosis(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """Confluent fibrosis: a wedge under a retracted capsule, dark in NC and bright late."""
    spots = np.flatnonzero(
        (phantom.liver.depth < 14.0) & np.isin(phantom.liver.segment, ("IVa", "IVb", "VIII", "V", "VII"))
    )
    if not spots.size:
        return None
    spot = int(rng.choice(spots))
    z, y, x = (float(v) for v in phantom.liver.places[spot])
    surface = phantom.liver.places[spot] + phantom.liver.outward[spot] * phantom.liver.depth[spot]
    dent = surface + phantom.liver.outward[spot] * float(rng.uniform(2, 8))
    at = (float(dent[0]), float(dent[1]), float(dent[2]))
    box = phantom.tissue_map.box_round(at, 11.0)
    dz, dy, dx = phantom.tissue_map.offsets(box, at)
    phantom.tissue_map.write(box, dz**2 + dy**2 + dx**2 < 10.0**2, Tissue.FAT, (Tissue.LIVER,))
    more = np.array([-rng.uniform(5, 14), -rng.uniform(0, 8), -rng.uniform(-3, 8), rng.uniform(8, 18)])
    value = change(phantom, MimicFamily.FIBROSIS, phantom.physiology.liver + more, rng)
    box, inside = wedge(phantom, (z, y, x), float(rng.uniform(10, 25)), rng)
    phantom.tissue_map.write(box, inside, value, (Tissue.LIVER,))
    return summary(phantom.tissue_map, box, MimicFamily.FIBROSIS, "confluent fibrosis", value)


def _bright(
    phantom: Phantom, kind: str, box: Box, inside: Bool[np.ndarray, "z y x"], rng: np.random.Generator
) -> Mimic | None:
    gain = phantom.physiology.bolus.arterial * rng.uniform(15, 35)
    more = np.array([0.0, gain, rng.uniform(-2, 5), rng.uniform(-2, 2)])
    value = change(phantom, MimicFamily.PERFUSION, phantom.physiology.liver + more, rng)
    phantom.tissue_map.write(box, inside, value, (Tissue.LIVER,))
    return summary(phantom.tissue_map, box, MimicFamily.PERFUSION, kind, value)


def _patch(phantom: Phantom, kind: str, more: float, rng: np.random.Generator) -> Mimic | None:
    liver = phantom.liver
    near = (liver.from_hilum < 45.0) | (np.isin(liver.segment, ("IVa", "IVb", "III")) & (liver.depth < 10.0))
    spots = np.flatnonzero(near)
    if not spots.size:
        return None
    z, y, x = (float(v) for v in liver.places[int(rng.choice(spots))])
    found = body(phantom, (z, y, x), float(np.exp(rng.uniform(np.log(0.6), np.log(20)))), outline(rng), rng)
    if found is None:
        return None
    value = change(phantom, MimicFamily.FOCAL_FAT, phantom.physiology.liver + np.float32(more), rng)
    phantom.tissue_map.write(*found, value, (Tissue.LIVER,))
    return summary(phantom.tissue_map, found[0], MimicFamily.FOCAL_FAT, kind, value)


def _anywhere(phantom: Phantom, rng: np.random.Generator) -> Triple:
    z, y, x = (float(v) for v in phantom.liver.places[int(rng.integers(len(phantom.liver.places)))])
    return (z, y, x)
