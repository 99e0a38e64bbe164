"""Regions of mimics: the same rippled and frayed bodies as lesions, wedges, and their record."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from livercascade.data.grid import Triple
from livercascade.data.labels import Organ
from livercascade.data.lesion import Box
from livercascade.virtual.lesions.lesion_shape import LesionOutline, grow
from livercascade.virtual.mimics.mimic_families import ConfounderKind, Mimic, MimicFamily
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.tissue_map import TissueMap


def summary(
    tissue_map: TissueMap, box: Box, family: MimicFamily | ConfounderKind, kind: str, value: int
) -> Mimic | None:
    """Record of what was painted with a tissue value inside ``box``; None if nothing was."""
    where = np.nonzero(tissue_map.values[box] == value)
    if where[0].size == 0:
        return None
    z, y, x = (
        float(axis[part][at].mean())
        for axis, part, at in zip((tissue_map.z, tissue_map.y, tissue_map.x), box, where, strict=True)
    )
    return Mimic(family, kind, (x, y, z), float(where[0].size) * tissue_map.voxel_ml)


def change(
    phantom: Phantom,
    family: MimicFamily,
    curve: Float[np.ndarray, " 4"],
    rng: np.random.Generator,
    *,
    fluid: bool = False,
    label: int = int(Organ.LIVER),
) -> int:
    """Tissue value of a mimic, mottled and patchy as lesions are: texture must not tell the two apart."""
    patchy = 0.0 if fluid else float(rng.uniform(1.5, 5))
    if phantom.physiology.randomised and not fluid:
        patchy = float(rng.uniform(1, 9))
    return phantom.tissue_table.add(
        np.asarray(curve, dtype=np.float32), label, int(family), solid=not fluid, patchy_hu=patchy
    )


def outline(rng: np.random.Generator, *, sharp: bool = False) -> LesionOutline:
    """An outline drawn from the range that lesions have."""
    if sharp:
        return LesionOutline(0.05, 0.3, float(rng.uniform(0, 0.08)))
    return LesionOutline(float(rng.uniform(0.06, 0.18)), float(rng.uniform(0.6, 2.2)), float(rng.uniform(0, 0.14)))


def body(
    phantom: Phantom, centre: Triple, volume_ml: float, shape: LesionOutline, rng: np.random.Generator
) -> tuple[Box, Bool[np.ndarray, "z y x"]] | None:
    """A body of this volume in liver tissue alone, apart from lesions; None if there is no room."""
    grown = grow(phantom.tissue_map, centre, volume_ml, shape, (Tissue.LIVER,), rng)
    return None if grown is None else (grown[0], grown[1] > 0)


def wedge(
    phantom: Phantom, centre: Triple, radius: float, rng: np.random.Generator
) -> tuple[Box, Bool[np.ndarray, "z y x"]]:
    """A cone that opens away from the hilum, up to ``radius`` mm from ``centre``, with a frayed surface."""
    tissue_map = phantom.tissue_map
    box = tissue_map.box_round(centre, 1.6 * radius)
    dz, dy, dx = tissue_map.offsets(box, centre)
    axis = np.asarray(centre) - phantom.hilum
    axis = (axis / max(float(np.linalg.norm(axis)), 1e-6)).astype(np.float32)
    length2 = dz**2 + dy**2 + dx**2
    along = dz * axis[0] + dy * axis[1] + dx * axis[2]
    across = np.sqrt(np.maximum(length2 - along**2, 0.0))
    steps = tissue_map.steps
    a, b, c = length2.shape
    lumps = coarse_noise((a, b, c), (8.0 / steps[0], 8.0 / steps[1], 8.0 / steps[2]), rng)
    fray = coarse_noise((a, b, c), (max(1.0, 2.5 / steps[0]), max(1.0, 2.5 / steps[1]), max(1.0, 2.5 / steps[2])), rng)
    edge = np.float32(0.15 * radius) * lumps + np.float32(rng.uniform(0.6, 2.0)) * fray
    opening = float(rng.uniform(0.4, 0.65))
    inside = (np.sqrt(length2) < radius + edge) & (across < opening * (along + radius) + 0.5 * edge)
    return box, inside
