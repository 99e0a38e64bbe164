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


def paint_liver_vessels(tissue_map: TissueMap, rng: np.random.Generator) -> Float64[np.ndarray, " 3"]:
    """Paint portal and hepatic trees into a liver of any shape; returns the hilum, (z, y, x) mm."""
    # Every fourth voxel: goals of vessels need no more, and a search at full size takes longer than all else here.
    liver = np.argwhere(tissue_map.values[::4, ::4, ::4] == Tissue.LIVER) * 4
    if len(liver) == 0:
        return np.zeros(3)
    place = np.stack([tissue_map.z[liver[:, 0]], tissue_map.y[liver[:, 1]], tissue_map.x[liver[:, 2]]], axis=1).astype(
        np.float64
    )
    hilum = _nearest_contact(tissue_map, Tissue.PORTAL_TRUNK, place)
    goals = [place[int(i)] for i in rng.integers(len(place), size=9)]
    paint_portal_tree(tissue_map, hilum, goals[:4], rng)
    upper = place[place[:, 0] > np.quantile(place[:, 0], 0.7)]
    paint_hepatic_veins(tissue_map, _nearest_contact(tissue_map, Tissue.IVC, upper), goals[4:], rng)
    return hilum


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


def _nearest_contact(
    tissue_map: TissueMap, tissue: int, liver: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, " 3"]:
    """The liver point closest to a vessel, or the liver's centre where the vessel is not in the map."""
    vessel = np.argwhere(tissue_map.values[::4, ::4, ::4] == tissue) * 4
    if len(vessel) == 0:
        return liver.mean(axis=0)
    place = np.stack([tissue_map.z[vessel[:, 0]], tissue_map.y[vessel[:, 1]], tissue_map.x[vessel[:, 2]]], axis=1)
    # The table of distances below grows with both counts.
    if len(place) > 2000:
        place = place[:: len(place) // 2000]
    distance = np.linalg.norm(liver[:, None, :] - place[None, :, :], axis=2).min(axis=1)
    return liver[distance <= distance.min() + 3.0].mean(axis=0)
