"""Branching vessel trees inside the liver, painted straight into the fine map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from livercascade.virtual.tissue import Tissue
from livercascade.virtual.tissue_map import TissueMap

PositionMm = Float64[np.ndarray, " 3"]
"""Position (z, y, x) in mm."""
_ONLY_LIVER = (Tissue.LIVER,)


def bent_line(
    start: PositionMm, end: PositionMm, count: int, sway: float, rng: np.random.Generator
) -> Float64[np.ndarray, "n 3"]:
    """``count`` points from ``start`` to ``end`` (z, y, x mm) on a gentle bow of about ``sway`` mm."""
    t = np.linspace(0, 1, count)[:, None]
    bend = rng.normal(0, sway, 3) * 4 * t * (1 - t)
    return start + (end - start) * t + bend


def paint_portal_tree(
    tissue_map: TissueMap, hilum: PositionMm, goals: Sequence[PositionMm], rng: np.random.Generator
) -> None:
    """Paint portal branches from the hilum towards ``goals``, each dividing four times, with arteries beside them."""
    width = float(rng.uniform(5.0, 7.0))
    for goal in goals:
        _paint_branch(tissue_map, (hilum, goal + rng.normal(0, 9, 3)), width, 4, Tissue.PORTAL_BRANCH, rng)


def paint_hepatic_veins(
    tissue_map: TissueMap, confluence: PositionMm, goals: Sequence[PositionMm], rng: np.random.Generator
) -> None:
    """Paint hepatic veins from their confluence with the IVC towards ``goals``, each dividing three times."""
    width = float(rng.uniform(4.0, 6.0))
    for goal in goals:
        _paint_branch(tissue_map, (confluence, goal + rng.normal(0, 10, 3)), width, 3, Tissue.HEPATIC_VEIN, rng)


def _paint_branch(
    tissue_map: TissueMap,
    ends: tuple[PositionMm, PositionMm],
    radius: float,
    depth: int,
    value: Tissue,
    rng: np.random.Generator,
) -> None:
    start, end = ends
    points = bent_line(start, end, 6, 5.0, rng)
    tissue_map.tube(points, np.linspace(radius, 0.75 * radius, 6), value, _ONLY_LIVER)
    # Arteries run beside portal branches; beside the finest ones they are too thin to be seen.
    if value == Tissue.PORTAL_BRANCH and radius > 1.5:
        beside = points + rng.normal(0, 1.0, 3) + np.array([0.0, -0.9 * radius, 1.5])
        tissue_map.tube(beside, np.full(6, max(0.28 * radius, 0.7)), Tissue.HEPATIC_ARTERY, _ONLY_LIVER)
    if depth == 0 or radius < 1.0:
        return
    length = max(float(np.linalg.norm(end - start)), 1e-6)
    for _ in range(2 if depth > 1 else 3):
        # Not from the first third: branches would leave the hilum as a bush.
        at = points[int(rng.integers(2, 6))]
        heading = (end - start) / length + rng.normal(0, 0.75, 3)
        step = heading / np.linalg.norm(heading) * length * rng.uniform(0.55, 0.85)
        _paint_branch(tissue_map, (at, at + step), radius * float(rng.uniform(0.55, 0.75)), depth - 1, value, rng)
