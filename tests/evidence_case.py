"""Evidence without networks: a made-up sensitivity map and made-up tallies."""

from __future__ import annotations

import numpy as np

from livercascade.data.grid import Grid
from livercascade.data.lesion import LesionSet
from livercascade.detect.liver import main_liver
from livercascade.detect.seg2det import bounding_box, seg2det
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.reclassify.reclassify import ReclassifySettings
from livercascade.reclassify.tally import Tally
from livercascade.results.evidence import Evidence, crop

GRID = Grid.axial((14, 60, 70), (5.0, 2.0, 2.0), (-70.0, 20.0, 100.0))
FACTORS = (0.25, 1.0, 4.0, 16.0)
MODELS = ("a" * 64, "b" * 64)


def blob(centre: tuple[float, float, float], radius_mm: float, grid: Grid = GRID) -> np.ndarray:
    """1 at the centre, 0 on a sphere round it, less outside."""
    axes = np.meshgrid(*[np.arange(n) * s for n, s in zip(grid.shape, grid.spacing, strict=True)], indexing="ij")
    return 1 - np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True))) / radius_mm


def sensitivity_of(bumps: list[tuple[np.ndarray, int, float]], grid: Grid = GRID) -> SensitivityMap:
    """Liver everywhere but at the edge; each bump of (shape, type, margin at its centre) pulls the margin down."""
    other = np.full(grid.shape, 7, dtype=np.uint8)
    other[:, :4], other[:, -4:], other[:, :, :4], other[:, :, -4:] = 0, 0, 0, 0
    margin = np.full(grid.shape, 9.0, dtype=np.float32)
    best = np.ones(grid.shape, dtype=np.uint8)
    for shape, label, peak in bumps:
        pulled = (9.0 - (9.0 - peak) * np.clip(shape, 0, 1)).astype(np.float32)
        best[pulled < margin] = label
        margin = np.minimum(margin, pulled)
    return SensitivityMap(best, other, margin)


def tally_of(share: float, size: int, types: dict[int, float], patches: int = 4) -> Tally:
    """Every patch confirms ``share`` of ``size`` voxels, divided among types; the later half was moved."""
    votes = np.zeros((patches, 6), dtype=np.int64)
    for label, part in types.items():
        votes[:, label - 1] = int(share * size * part)
    return Tally(votes, np.full(patches, size), np.arange(patches) >= patches // 2, 0.003)


def evidence_of(
    sensitivity: SensitivityMap,
    tally: dict[int, tuple[float, dict[int, float]]],
    *,
    case_id: str = "case-1",
    grid: Grid = GRID,
    factors: tuple[float, ...] = FACTORS,
) -> Evidence:
    """Evidence in which a proposal of type t is confirmed by ``tally[t]`` = (share, {type: part})."""
    liver = main_liver(sensitivity.mask(4.0), grid)
    box = bounding_box(liver)
    assert box is not None
    inner, inside = crop(sensitivity, liver, box)
    settings = ReclassifySettings(n_original=2, n_shuffled=2, relabel=True)
    bare = Evidence(case_id, grid, box, inside, inner, 1.0, 4.0, 0.5, settings, 0, MODELS, {})

    def judged(lesions: LesionSet) -> tuple[Tally | None, ...]:
        return tuple(
            None
            if lesion.volume_ml > settings.bypass_ml
            else tally_of(tally[lesion.label][0], round(lesion.volume_ml / 0.003), tally[lesion.label][1])
            for lesion in lesions
        )

    tallies = {f: judged(bare.proposals(f)) for f in factors}
    return Evidence(case_id, grid, box, inside, inner, 1.0, 4.0, 0.5, settings, 0, MODELS, tallies)


def literal_proposals(sensitivity: SensitivityMap, factor: float, grid: Grid = GRID) -> LesionSet:
    """The cascade's own way: the whole map, strays removed by High's liver, then seg2det."""
    from livercascade.detect.liver import without_strays

    liver = main_liver(sensitivity.mask(4.0), grid)
    return seg2det(without_strays(sensitivity.mask(factor), liver), grid, min_volume_ml=0.5)


TWO = [
    (blob((30.0, 50.0, 60.0), 22.0), 1, -3.0),
    (blob((40.0, 70.0, 100.0), 50.0), 3, 0.2),
]
CONFIRMED = {1: (0.9, {1: 0.7, 2: 0.3}), 3: (0.05, {3: 1.0})}
