"""Families 4 and 11: what lies against the liver or cuts into it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64
from scipy import ndimage

from livercascade.data.grid import Triple
from livercascade.data.labels import BACKGROUND, Organ
from livercascade.virtual.lesions.lesion_shape import LesionOutline, grow
from livercascade.virtual.mimics.mimic_families import Mimic, MimicFamily
from livercascade.virtual.mimics.mimic_region import change, summary
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.tissue import LIVER_TISSUES, Tissue
from livercascade.virtual.vessel_trees import bent_line

_OUTSIDE = (Tissue.FAT, Tissue.FLUID)


def rib_indentation(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """A rib or muscle slip presses a groove of fat and muscle into the side of the liver."""
    sides = np.flatnonzero((phantom.liver.depth < 8.0) & (phantom.liver.outward[:, 2] < -0.7))
    return _groove(phantom, sides, "rib indentation", Tissue.MUSCLE, rng)


def diaphragm_slip(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """A slip of the diaphragm runs into the dome and looks like a peripheral nodule in cross-section."""
    tops = np.flatnonzero((phantom.liver.depth < 8.0) & (phantom.liver.outward[:, 0] > 0.5))
    return _groove(phantom, tops, "diaphragm slip", Tissue.MUSCLE, rng, MimicFamily.NEIGHBOUR)


def fat_cleft(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """A fissure or tongue of fat between two slices: a dark, soft-edged spot."""
    spots = np.flatnonzero((phantom.liver.depth < 9.0) & (np.abs(phantom.liver.outward[:, 2]) < 0.8))
    return _groove(phantom, spots, "fat in a fissure", Tissue.FAT, rng)


def colon_interposition(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """A loop of colon with gas or stool between liver and wall."""
    spots = np.flatnonzero((phantom.liver.depth < 8.0) & (phantom.liver.outward[:, 1] < -0.5))
    if not spots.size:
        return None
    spot = int(rng.choice(spots))
    surface = phantom.liver.places[spot] + phantom.liver.outward[spot] * phantom.liver.depth[spot]
    at = (float(surface[0]), float(surface[1]), float(surface[2]))
    found = grow(
        phantom.tissue_map, at, float(rng.uniform(8, 30)), LesionOutline(0.12, 0.5, 0.2), (Tissue.LIVER, *_OUTSIDE), rng
    )
    if found is None:
        return None
    box, depth = found
    inside = Tissue.BOWEL_GAS if rng.random() < 0.5 else Tissue.STOOL
    wall = change(
        phantom, MimicFamily.PARTIAL_VOLUME, phantom.physiology.hu[:, Tissue.BOWEL_WALL], rng, label=BACKGROUND
    )
    phantom.tissue_map.write(box, depth > 0, wall)
    phantom.tissue_map.write(box, depth > 2.5, int(inside))
    return summary(phantom.tissue_map, box, MimicFamily.PARTIAL_VOLUME, "colon interposition", wall)


def neighbour(phantom: Phantom, rng: np.random.Generator) -> Mimic | None:
    """Adrenal nodule, renal cyst, accessory spleen or papillary process against the liver."""
    kind = str(rng.choice(["adrenal nodule", "renal cyst", "accessory spleen", "papillary process"]))
    anchor, outside = {
        "adrenal nodule": (Tissue.ADRENAL, (*_OUTSIDE, Tissue.ADRENAL)),
        "renal cyst": (Tissue.RENAL_CORTEX, (*_OUTSIDE, Tissue.RENAL_CORTEX)),
        "accessory spleen": (Tissue.SPLEEN, _OUTSIDE),
        "papillary process": (Tissue.IVC, _OUTSIDE),
    }[kind]
    at = _between(phantom, anchor)
    if at is None:
        return None
    found = grow(phantom.tissue_map, at, float(rng.uniform(0.6, 8)), LesionOutline(0.06, 0.5, 0.05), outside, rng)
    if found is None:
        return None
    hu = phantom.physiology.hu
    hu, label, fluid = {
        "adrenal nodule": (np.array([12, 45, 55, 38]) + rng.normal(0, 8), BACKGROUND, False),
        "renal cyst": (np.full(4, rng.uniform(0, 14)), BACKGROUND, True),
        "accessory spleen": (hu[:, Tissue.SPLEEN].copy(), BACKGROUND, False),
        "papillary process": (phantom.physiology.liver.copy(), int(Organ.LIVER), False),
    }[kind]
    value = change(phantom, MimicFamily.NEIGHBOUR, hu, rng, fluid=fluid, label=label)
    phantom.tissue_map.write(found[0], found[1] > 0, value)
    return summary(phantom.tissue_map, found[0], MimicFamily.NEIGHBOUR, kind, value)


def _groove(
    phantom: Phantom,
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
    inward = -phantom.liver.outward[spot]
    surface = phantom.liver.places[spot] - inward * phantom.liver.depth[spot]
    value = change(phantom, family, phantom.physiology.hu[:, like].copy(), rng, label=BACKGROUND)
    aside = np.cross(inward, rng.normal(size=3))
    aside /= max(float(np.linalg.norm(aside)), 1e-6)
    length = float(rng.uniform(12, 35))
    points = bent_line(surface - aside * length / 2, surface + aside * length / 2, 6, 2.0, rng)
    points += inward * float(rng.uniform(0, 6)) * np.sin(np.linspace(0, np.pi, 6))[:, None]
    phantom.tissue_map.tube(
        points, rng.uniform(2.0, 5.0) * np.sin(np.linspace(0.5, np.pi - 0.5, 6)), value, LIVER_TISSUES
    )
    centre = points.mean(axis=0)
    box = phantom.tissue_map.box_round((float(centre[0]), float(centre[1]), float(centre[2])), length)
    return summary(phantom.tissue_map, box, family, kind, value)


def _between(phantom: Phantom, anchor: Tissue) -> Triple | None:
    """A place outside the liver, near it and near another organ at the same time."""
    tissue_map = phantom.tissue_map
    stride = [max(1, round(5.0 / step)) for step in tissue_map.steps]
    coarse = tissue_map.values[:: stride[0], :: stride[1], :: stride[2]]
    organ, liver = coarse == anchor, np.isin(coarse, LIVER_TISSUES)
    free = np.isin(coarse, _OUTSIDE)
    if not organ.any() or not free.any() or not liver.any():
        return None
    steps = [step * n for step, n in zip(tissue_map.steps, stride, strict=True)]
    cost = np.asarray(ndimage.distance_transform_edt(~organ, sampling=steps)) + np.asarray(
        ndimage.distance_transform_edt(~liver, sampling=steps)
    )
    at = np.unravel_index(int(np.where(free, cost, np.inf).argmin()), cost.shape)
    return tissue_map.place([int(k) * n for k, n in zip(at, stride, strict=True)])
