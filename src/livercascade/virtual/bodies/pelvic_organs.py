"""What the pelvis and the rest of a body hold beside the plain organs: womb or prostate, fat in muscles, decoys."""

from __future__ import annotations

import numpy as np

from livercascade.virtual.bodies.body_tissue import BodyTissue
from livercascade.virtual.bodies.whole_body import WholeBody
from livercascade.virtual.body_builder import CREST_MM, CROTCH_MM, SOCKET_MM
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import Tissue

_SOFT = (Tissue.FAT, Tissue.MUSCLE)
# Tissue in which a decoy may lie, what it may be, and its radius in mm.
_DECOYS: tuple[tuple[int, tuple[int, ...], tuple[float, float]], ...] = (
    (Tissue.RENAL_MEDULLA, (BodyTissue.CYSTIC, BodyTissue.CYSTIC, BodyTissue.MASS), (5.0, 32.0)),
    (Tissue.SPLEEN, (BodyTissue.CYSTIC, BodyTissue.MASS), (4.0, 22.0)),
    (Tissue.FAT, (BodyTissue.MASS, BodyTissue.MASS, BodyTissue.CYSTIC, BodyTissue.CALCIFICATION), (4.0, 26.0)),
    (Tissue.LUNG, (BodyTissue.MASS, BodyTissue.CONSOLIDATION), (4.0, 30.0)),
    (Tissue.MUSCLE, (BodyTissue.MASS, Tissue.FAT, BodyTissue.FATTY_MUSCLE), (6.0, 30.0)),
    (BodyTissue.WHITE_MATTER, (BodyTissue.MASS, BodyTissue.CYSTIC), (4.0, 20.0)),
    (BodyTissue.UTERUS, (BodyTissue.MASS, BodyTissue.CALCIFICATION), (5.0, 24.0)),
    (Tissue.PANCREAS, (BodyTissue.CYSTIC, BodyTissue.MASS), (4.0, 14.0)),
    (Tissue.MARROW, (BodyTissue.MASS, Tissue.CORTICAL_BONE), (4.0, 12.0)),
)
_STEP = 8
"""Fine voxels between the places at which decoys are looked for."""


def pelvic_organs(body: WholeBody) -> None:
    """Womb with ovaries, or prostate with seminal vesicles; fluid in the pelvis at times."""
    rng, tissue_map = body.rng, body.tissue_map
    over = (*_SOFT, Tissue.BOWEL_WALL, Tissue.BOWEL_CONTENT, Tissue.BOWEL_GAS)
    if body.plan.female:
        size = float(rng.uniform(0.6, 1.4))
        at = (SOCKET_MM + 42.0, float(rng.normal(4, 6)), float(rng.normal(0, 6)))
        womb = body.ellipsoid(at, (26.0 * size, 30.0 * size, 24.0 * size))
        tissue_map.fill(womb, (0.0, BodyTissue.UTERUS), only=over)
        lining = body.ellipsoid(at, (14.0 * size, 5.0 * size, 10.0 * size))
        tissue_map.fill(lining, (0.0, Tissue.FLUID), only=(BodyTissue.UTERUS,))
        for side in (-1.0, 1.0):
            grown = float(rng.uniform(0.7, 1.6))
            ovary = body.ellipsoid((SOCKET_MM + 52.0, 14.0, side * 44.0), (11.0 * grown, 13.0 * grown, 11.0 * grown))
            tissue_map.fill(ovary, (0.0, BodyTissue.MASS), (-5.0, BodyTissue.CYSTIC), only=(*_SOFT,))
    else:
        size = float(rng.uniform(0.8, 1.7))
        gland = body.ellipsoid((SOCKET_MM - 26.0, -2.0, 0.0), (15.0 * size, 14.0 * size, 20.0 * size))
        tissue_map.fill(gland, (0.0, BodyTissue.PROSTATE), only=(*_SOFT, Tissue.BLADDER))
        vesicles = body.ellipsoid((SOCKET_MM + 4.0, 18.0, 0.0), (7.0, 7.0, 28.0))
        tissue_map.fill(vesicles, (0.0, BodyTissue.PROSTATE), only=_SOFT)
    if rng.random() < 0.12:
        pool = np.maximum(body.cavity + 6.0, SOCKET_MM + 20.0 + float(rng.uniform(0, 60)) - body.z)
        pool = np.maximum(pool, body.z - CREST_MM).astype(np.float32)
        tissue_map.fill(pool, (0.0, Tissue.FLUID), only=(Tissue.FAT,))


def fatty_muscles(body: WholeBody) -> None:
    """Streaks of fat in the muscles, few in the young, many in the old."""
    age = float(body.rng.uniform(0.0, 1.0))
    for cells, level, tissue in ((3.5, 2.3 - age, Tissue.FAT), (6.0, 2.4 - 1.4 * age, BodyTissue.FATTY_MUSCLE)):
        streaks = coarse_noise(body.shape, (3.0 * cells, cells, cells), body.rng)
        body.tissue_map.fill((4.0 * (level - streaks)).astype(np.float32), (0.0, tissue), only=(Tissue.MUSCLE,))


def thigh_seams(body: WholeBody) -> None:
    """Fat between the muscles of the thighs, round the vessels."""
    for side in (-1.0, 1.0):
        middle = side * 0.5 * body.habitus.half_width
        angle = np.arctan2(body.y, body.x - middle)
        radius = np.hypot(body.y, body.x - middle)
        bundles = np.abs(np.sin(3.5 * angle + 0.012 * body.z)) * radius * 0.3 - float(body.rng.uniform(1.2, 3.5))
        seams = np.maximum(np.maximum(bundles, 20.0 - radius), body.z - CROTCH_MM)
        seams = np.maximum(seams, side * -body.x).astype(np.float32)
        body.tissue_map.fill(seams, (0.0, Tissue.FAT), only=(Tissue.MUSCLE,))


def decoys(body: WholeBody) -> None:
    """Masses, cysts and dense spots in organs that are not the liver: lesions there are none of the cascade's."""
    values, rng = body.tissue_map.values, body.rng
    coarse = values[::_STEP, ::_STEP, ::_STEP]
    for host, kinds, (low, high) in _DECOYS:
        for _ in range(int(rng.poisson(body.plan.decoys / len(_DECOYS)))):
            spots = np.argwhere(coarse == host) * _STEP
            if not len(spots):
                break
            at = np.array(body.tissue_map.place(spots[int(rng.integers(len(spots)))]))
            kind = int(kinds[int(rng.integers(len(kinds)))])
            radius = float(np.exp(rng.uniform(np.log(low), np.log(high))))
            radius = min(radius, 5.0) if kind == BodyTissue.CALCIFICATION else radius
            points = at + np.cumsum(rng.normal(0, 0.3 * radius, (3, 3)), axis=0)
            over = (host, Tissue.RENAL_CORTEX) if host == Tissue.RENAL_MEDULLA else (host,)
            body.tissue_map.tube(points, radius * rng.uniform(0.7, 1.1, 3), kind, over)
