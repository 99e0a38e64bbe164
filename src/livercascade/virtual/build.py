"""What the builders of a body share: coarse distances to skin, inner wall and diaphragm."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from livercascade.virtual.canvas import Sculptor
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.tissue import Tissue

Field = Float32[np.ndarray, "z y x"]
ABDOMINAL = (Tissue.FAT, Tissue.BOWEL_WALL, Tissue.BOWEL_CONTENT, Tissue.BOWEL_GAS, Tissue.STOOL, Tissue.FLUID)
CREST_MM, SOCKET_MM, CROTCH_MM = -250.0, -395.0, -440.0
"""Height of the iliac crests, the hip joints and the crotch, z in mm (the dome of the liver is near 0)."""


def smooth_max(a: Field, b: Field, radius: float) -> Field:
    """Intersection of two signed distances with edges rounded to ``radius`` mm."""
    h = np.clip(0.5 + 0.5 * (a - b) / radius, 0.0, 1.0)
    return (b + (a - b) * h + radius * h * (1.0 - h)).astype(np.float32)


def ease(share: Field) -> Field:
    """0 below 0, 1 above 1, smooth in between."""
    t = np.clip(share, 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


class Build:
    """One body in the making.

    Attributes:
        s: Coarse grid, bent by the patient's warp.
        h: The build.
        rng: Source of every draw, used in the order in which organs are painted.
        skin, cavity: Signed distances to skin and inner wall, mm, negative inside.
        diaphragm: Height of the diaphragm above each point minus z: positive below it.
        hilum: Where the portal vein enters the liver, (z, y, x) mm.
    """

    def __init__(
        self, sculptor: Sculptor, calm: tuple[Field, Field, Field], habitus: Habitus, rng: np.random.Generator
    ) -> None:
        self.s, self.h, self.rng = sculptor, habitus, rng
        self.skin = self._skin(*calm)
        self.cavity = self._cavity(*calm)
        self.diaphragm = self._diaphragm()
        self.hilum = np.array([-95.0, -5.0, -28.0]) + rng.normal(0, 6, 3)

    def _skin(self, z: Field, y: Field, x: Field) -> Field:
        h = self.h
        trunk = _superellipse(z, y, x, h.half_depth, h.half_width, 0.0)
        # A furrow along the spine and a flat back.
        groove = 9.0 * np.exp(-((x / 22.0) ** 2)) * ease((y - 0.5 * h.half_depth) / 30.0)
        trunk = np.maximum(trunk + groove, y - 0.97 * h.half_depth)
        leg = 0.49 * h.half_width
        legs = np.hypot((np.abs(x) - 1.02 * leg) / leg, y / (1.12 * leg))
        low = ease((CROTCH_MM + 25.0 - z) / 40.0)
        return ((1.0 - low) * trunk + low * (legs - 1.0) * leg).astype(np.float32)

    def _cavity(self, z: Field, y: Field, x: Field) -> Field:
        half_y, half_x = self.h.cavity
        narrow = 1.0 - 0.55 * ease((CREST_MM + 15.0 - z) / 170.0)
        inner = _superellipse(z, y, x, half_y * narrow, half_x * narrow, -4.0)
        return np.maximum(inner, CROTCH_MM + 30.0 - z).astype(np.float32)

    def _diaphragm(self) -> Field:
        half_y, half_x = self.h.cavity
        s = self.s
        right = np.exp(-(((s.x + 0.48 * half_x) / (0.42 * half_x)) ** 2))
        left = np.exp(-(((s.x - 0.5 * half_x) / (0.4 * half_x)) ** 2))
        top = -16.0 + 16.0 * right + self.rng.uniform(-6, 6) * left
        rho2 = (s.x / half_x) ** 2 + ((s.y + 8.0) / half_y) ** 2
        flat, steep = self.rng.uniform(25, 40), self.rng.uniform(45, 80)
        drop = (flat * rho2 + steep * np.clip(rho2, 0, 1.4) ** 5) * (1.0 + 0.35 * np.tanh(s.y / 60.0))
        return (top - drop - s.z).astype(np.float32)


def _superellipse(
    z: Field, y: Field, x: Field, half_y: Field | float, half_x: Field | float, y0: float, power: float = 2.4
) -> Field:
    taper = 1.0 - 0.0006 * np.clip(z - 20.0, 0, 120)
    rho = (np.abs(x / (half_x * taper)) ** power + np.abs((y - y0) / (half_y * taper)) ** power) ** (1 / power)
    return ((rho - 1.0) * np.minimum(half_x, half_y)).astype(np.float32)
