"""Branching vessel trees inside the liver, painted straight into the fine map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from livercascade.virtual.canvas import Canvas
from livercascade.virtual.tissue import Tissue

Point = Float64[np.ndarray, " 3"]
_ONLY_LIVER = (Tissue.LIVER,)


def curve(start: Point, end: Point, count: int, sway: float, rng: np.random.Generator) -> Float64[np.ndarray, "n 3"]:
    """``count`` points from ``start`` to ``end`` (z, y, x mm) on a gentle bow of about ``sway`` mm."""
    t = np.linspace(0, 1, count)[:, None]
    bend = rng.normal(0, sway, 3) * 4 * t * (1 - t)
    return start + (end - start) * t + bend


@dataclass(frozen=True, slots=True)
class VesselTree:
    """Paints trees of portal branches, with arteries beside them, and of hepatic veins."""

    canvas: Canvas
    rng: np.random.Generator

    def portal(self, hilum: Point, goals: Sequence[Point]) -> None:
        """Portal branches from the hilum towards ``goals``, each dividing four times."""
        width = float(self.rng.uniform(5.0, 7.0))
        for goal in goals:
            self._branch(hilum, goal + self.rng.normal(0, 9, 3), width, 4, Tissue.PORTAL_BRANCH)

    def veins(self, confluence: Point, goals: Sequence[Point]) -> None:
        """Hepatic veins from their confluence with the IVC towards ``goals``, each dividing three times."""
        width = float(self.rng.uniform(4.0, 6.0))
        for goal in goals:
            self._branch(confluence, goal + self.rng.normal(0, 10, 3), width, 3, Tissue.HEPATIC_VEIN)

    def _branch(self, start: Point, end: Point, radius: float, depth: int, value: int) -> None:
        points = curve(start, end, 6, 5.0, self.rng)
        self.canvas.tube(points, np.linspace(radius, 0.75 * radius, 6), value, _ONLY_LIVER)
        if value == Tissue.PORTAL_BRANCH and radius > 1.5:
            beside = points + self.rng.normal(0, 1.0, 3) + np.array([0.0, -0.9 * radius, 1.5])
            self.canvas.tube(beside, np.full(6, max(0.28 * radius, 0.7)), Tissue.HEPATIC_ARTERY, _ONLY_LIVER)
        if depth == 0 or radius < 1.0:
            return
        length = max(float(np.linalg.norm(end - start)), 1e-6)
        for _ in range(2 if depth > 1 else 3):
            at = points[int(self.rng.integers(2, 6))]
            heading = (end - start) / length + self.rng.normal(0, 0.75, 3)
            step = heading / np.linalg.norm(heading) * length * self.rng.uniform(0.55, 0.85)
            self._branch(at, at + step, radius * float(self.rng.uniform(0.55, 0.75)), depth - 1, value)
