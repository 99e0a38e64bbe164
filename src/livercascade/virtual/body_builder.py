"""What the builders of a body share: its bent coarse grid, and distances to skin, inner wall and diaphragm."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from livercascade.data.grid import Shape
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.tissue_map import TissueMap

DistanceField = Float32[np.ndarray, "z y x"]
"""Signed distance in mm on the coarse grid, negative inside."""
ABDOMINAL = (Tissue.FAT, Tissue.BOWEL_WALL, Tissue.BOWEL_CONTENT, Tissue.BOWEL_GAS, Tissue.STOOL, Tissue.FLUID)
CREST_MM, SOCKET_MM, CROTCH_MM = -250.0, -395.0, -440.0
"""Height of the iliac crests, the hip joints and the crotch, z in mm (the dome of the liver is near 0)."""


def smooth_max(a: DistanceField, b: DistanceField, radius: float) -> DistanceField:
    """Intersection of two signed distances with edges rounded to ``radius`` mm."""
    h = np.clip(0.5 + 0.5 * (a - b) / radius, 0.0, 1.0)
    return (b + (a - b) * h + radius * h * (1.0 - h)).astype(np.float32)


def ease(share: DistanceField) -> DistanceField:
    """0 below 0, 1 above 1, smooth in between."""
    t = np.clip(share, 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


class BodyBuilder:
    """One body in the making: organs are signed distances on a coarse grid that the patient's own warp bends.

    Attributes:
        tissue_map: Fine map that organs are written into.
        habitus: Build to show.
        rng: Source of every draw, used in the order in which organs are painted.
        z, y, x: Bent positions of the coarse grid in mm, each ``[z, y, x]``.
        skin, cavity: Signed distances to skin and inner wall, mm, negative inside.
        diaphragm: Height of the diaphragm above each point minus z: positive below it.
        hilum: PositionMm where the portal vein enters the liver, (z, y, x) mm.
        right_kidney_mm: Height of the right kidney above its usual place: negative under a large liver.
    """

    right_kidney_mm = 0.0

    def __init__(
        self,
        tissue_map: TissueMap,
        habitus: Habitus,
        bent: tuple[DistanceField, DistanceField, DistanceField],
        calm: tuple[DistanceField, DistanceField, DistanceField],
        rng: np.random.Generator,
    ) -> None:
        """Start a body.

        Args:
            tissue_map: Map full of air.
            habitus: Build to show.
            bent: Positions z, y, x in mm that organs follow.
            calm: Positions that skin and wall follow: outlines differ less than organs.
            rng: Source of every draw.
        """
        self.tissue_map, self.habitus, self.rng = tissue_map, habitus, rng
        self.z, self.y, self.x = bent
        self.skin = self._skin(*calm)
        self.cavity = self._cavity(*calm)
        self.diaphragm = self._diaphragm()
        self.hilum = np.array([-95.0, -5.0, -28.0]) + rng.normal(0, 6, 3)

    @property
    def shape(self) -> Shape:
        """Shape of the coarse grid."""
        a, b, c = self.z.shape
        return (a, b, c)

    def ellipsoid(
        self, centre: tuple[float, float, float], radii: tuple[float, float, float], tilt: float = 0.0
    ) -> Float32[np.ndarray, "z y x"]:
        """Approximate signed distance in mm (negative inside) to an ellipsoid.

        Args:
            centre: (z, y, x) in mm.
            radii: (z, y, x) in mm.
            tilt: Rotation in the coronal plane in radians; positive moves the top to the left.
        """
        dz, dy, dx = self.z - centre[0], self.y - centre[1], self.x - centre[2]
        c, s = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
        dz, dx = c * dz + s * dx, -s * dz + c * dx
        rho = np.sqrt((dz / radii[0]) ** 2 + (dy / radii[1]) ** 2 + (dx / radii[2]) ** 2)
        return ((rho - 1.0) * min(radii)).astype(np.float32)

    def _skin(self, z: DistanceField, y: DistanceField, x: DistanceField) -> DistanceField:
        h = self.habitus
        trunk = superellipse(z, y, x, h.half_depth, h.half_width, 0.0)
        # A furrow along the spine and a flat back.
        groove = 9.0 * np.exp(-((x / 22.0) ** 2)) * ease((y - 0.5 * h.half_depth) / 30.0)
        trunk = np.maximum(trunk + groove, y - 0.97 * h.half_depth)
        leg = 0.49 * h.half_width
        legs = np.hypot((np.abs(x) - 1.02 * leg) / leg, y / (1.12 * leg))
        low = ease((CROTCH_MM + 25.0 - z) / 40.0)
        return ((1.0 - low) * trunk + low * (legs - 1.0) * leg).astype(np.float32)

    def _cavity(self, z: DistanceField, y: DistanceField, x: DistanceField) -> DistanceField:
        half_y, half_x = self.habitus.cavity
        narrow = 1.0 - 0.55 * ease((CREST_MM + 15.0 - z) / 170.0)
        inner = superellipse(z, y, x, half_y * narrow, half_x * narrow, -4.0)
        return np.maximum(inner, CROTCH_MM + 30.0 - z).astype(np.float32)

    def _diaphragm(self) -> DistanceField:
        half_y, half_x = self.habitus.cavity
        right = np.exp(-(((self.x + 0.48 * half_x) / (0.42 * half_x)) ** 2))
        left = np.exp(-(((self.x - 0.5 * half_x) / (0.4 * half_x)) ** 2))
        top = -16.0 + 16.0 * right + self.rng.uniform(-6, 6) * left
        rho2 = (self.x / half_x) ** 2 + ((self.y + 8.0) / half_y) ** 2
        flat, steep = self.rng.uniform(25, 40), self.rng.uniform(45, 80)
        drop = (flat * rho2 + steep * np.clip(rho2, 0, 1.4) ** 5) * (1.0 + 0.35 * np.tanh(self.y / 60.0))
        return (top - drop - self.z).astype(np.float32)


def superellipse(
    z: DistanceField,
    y: DistanceField,
    x: DistanceField,
    half_y: DistanceField | float,
    half_x: DistanceField | float,
    y0: float,
    power: float = 2.4,
) -> DistanceField:
    """Signed distance to a trunk of these half axes, round in its corners, that narrows towards the shoulders."""
    taper = 1.0 - 0.0006 * np.clip(z - 20.0, 0, 120)
    rho = (np.abs(x / (half_x * taper)) ** power + np.abs((y - y0) / (half_y * taper)) ** power) ** (1 / power)
    return ((rho - 1.0) * np.minimum(half_x, half_y)).astype(np.float32)
