"""Families 3, 7, 8: vessels in cross-section, ducts and fluid along the portal tracts, dense spots."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from livercascade.data.grid import Triple
from livercascade.data.labels import Organ
from livercascade.virtual.mimics.mimic_families import Mimic, MimicFamily
from livercascade.virtual.mimics.mimic_region import body, change, outline, summary
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.vessel_trees import bent_line


def artery(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """A short, winding artery across the slices: a bright dot in AP."""
    at = _somewhere(phantom, rng)
    points = np.asarray(at) + np.cumsum(rng.normal(0, 3.5, (5, 3)) * (1.5, 1, 1), axis=0)
    return _tube(phantom, "artery across the slice", points, float(rng.uniform(1.2, 2.6)), Tissue.HEPATIC_ARTERY, rng)


def confluence(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """A wide meeting of hepatic veins: a bright blob in VP, a dark one in AP."""
    veins = np.argwhere(phantom.tissue_map.values[::4, ::4, ::4] == Tissue.HEPATIC_VEIN) * 4
    if not len(veins):
        return None
    at = np.asarray(phantom.tissue_map.place(veins[int(rng.integers(len(veins)))]))
    points = np.stack([at - rng.normal(0, 4, 3), at, at + rng.normal(0, 4, 3)])
    return _tube(phantom, "venous confluence", points, float(rng.uniform(4, 7.5)), Tissue.HEPATIC_VEIN, rng)


def unfilled_veins(phantom: Phantom) -> Mimic | None:
    """Hepatic veins darker than the liver in an early VP: the painted veins themselves."""
    phantom.tissue_table.families[Tissue.HEPATIC_VEIN] = int(MimicFamily.VESSEL)
    whole = (slice(None), slice(None), slice(None))
    return summary(phantom.tissue_map, whole, MimicFamily.VESSEL, "unfilled hepatic veins", Tissue.HEPATIC_VEIN)


def ducts(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """Bile ducts wide on one side of the portal branches."""
    level = np.full(4, rng.uniform(6, 16), dtype=np.float32)
    value = change(phantom, MimicFamily.BILIARY, level, rng, fluid=True)
    return _sleeve(phantom, "dilated ducts", value, float(rng.uniform(1.5, 3)), one_sided=True)


def periportal(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """Low density all round the portal branches."""
    depth = float(rng.uniform(0.3, 1.0))
    more = depth * np.array([-rng.uniform(6, 18), -16, -28, -24])
    value = change(phantom, MimicFamily.BILIARY, phantom.physiology.liver + more, rng)
    return _sleeve(phantom, "periportal low density", value, float(rng.uniform(1.0, 2.8)), one_sided=False)


def biloma(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """A pool of bile near the hilum."""
    spots = np.flatnonzero(phantom.liver.from_hilum < 60.0)
    if not spots.size:
        return None
    z, y, x = (float(v) for v in phantom.liver.places[int(rng.choice(spots))])
    found = body(phantom, (z, y, x), float(rng.uniform(0.6, 12)), outline(rng, sharp=True), rng)
    if found is None:
        return None
    value = change(phantom, MimicFamily.BILIARY, np.full(4, rng.uniform(4, 15)), rng, fluid=True)
    phantom.tissue_map.write(*found, value, (Tissue.LIVER,))
    return summary(phantom.tissue_map, found[0], MimicFamily.BILIARY, "biloma", value)


def granuloma(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """A calcified spot of 3 to 9 mm."""
    found = body(phantom, _somewhere(phantom, rng), float(rng.uniform(0.02, 0.35)), outline(rng), rng)
    if found is None:
        return None
    value = change(phantom, MimicFamily.DENSE, np.full(4, rng.uniform(150, 900)), rng, fluid=True)
    phantom.tissue_map.write(*found, value, (Tissue.LIVER,))
    return summary(phantom.tissue_map, found[0], MimicFamily.DENSE, "calcified granuloma", value)


def _somewhere(phantom: Phantom, rng: np.random.Generator) -> Triple:
    z, y, x = (float(v) for v in phantom.liver.places[int(rng.integers(len(phantom.liver.places)))])
    return (z, y, x)


def _tube(
    phantom: Phantom, kind: str, points: np.ndarray, radius: float, like: Tissue, rng: np.random.Generator
) -> Mimic | None:
    """A vessel of its own tissue value, with the HU of ``like``."""
    value = phantom.tissue_table.add(
        phantom.physiology.hu[:, like].copy(), int(Organ.HEPATIC_VESSELS), int(MimicFamily.VESSEL)
    )
    smooth = np.vstack([bent_line(a, b, 3, 1.0, rng) for a, b in pairwise(points)])
    phantom.tissue_map.tube(smooth, np.full(len(smooth), radius), value, (Tissue.LIVER, like))
    centre = points.mean(axis=0)
    box = phantom.tissue_map.box_round((float(centre[0]), float(centre[1]), float(centre[2])), 40.0)
    return summary(phantom.tissue_map, box, MimicFamily.VESSEL, kind, value)


def _sleeve(phantom: Phantom, kind: str, value: int, width_mm: float, *, one_sided: bool) -> Mimic | None:
    """A band of ``width_mm`` along the portal branches."""
    tissue_map = phantom.tissue_map
    box = tissue_map.box_round((float(phantom.hilum[0]), float(phantom.hilum[1]), float(phantom.hilum[2])), 95.0)
    view = tissue_map.values[box]
    portal = view == Tissue.PORTAL_BRANCH
    reach = [max(1, round(width_mm / step)) for step in tissue_map.steps]
    size = (2 * max(1, reach[0] // 2) + 1, 2 * reach[1] + 1, 2 * reach[2] + 1)
    origin = (0, -reach[1], -reach[2]) if one_sided else 0
    band = ndimage.maximum_filter(portal, size=size, origin=origin)
    tissue_map.write(box, np.asarray(band), value, (Tissue.LIVER,))
    return summary(tissue_map, box, MimicFamily.BILIARY, kind, value)
