"""The builder of bodies from head to thighs: outlines, and painters that each work on their own part of the height.

The coarse grid's slices lie on every few fine slices, so that any run of them is a body of its own: a painter sees and
computes only the slab that its organ can lie in. The trunk is painted by the painters of the procedural anatomies.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from livercascade.virtual.bodies.body_plan import Arms, BodyPlan
from livercascade.virtual.body_builder import BodyBuilder, DistanceField, ease, smooth_max
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue_map import COARSE_MM, TissueMap
from livercascade.virtual.virtual_settings import VirtualSettings

APEX_MM = 228.0
"""Height of the tips of the lungs over the dome of the liver, mm."""
SHOULDER_MM = 190.0
"""Height of the shoulder joints with the arms down, mm."""
# Organs bend, and their slabs must hold them all the same.
_MARGIN_MM = 36.0
_LEAST_SLICES, _MOST_SLICES = 12, 320
_CALM = 0.35


class WholeBody(BodyBuilder):
    """A body from head to thighs in the making, or a slab of one.

    Attributes:
        plan: What it is to be.
        straight: Positions z, y, x in mm of the coarse grid before it was bent.
        calm: Positions that outlines and bones follow, a little bent.
        liver_field: Signed distance to a liver of real shape; None for a procedural one.
    """

    def __init__(
        self,
        canvas: TissueMap,
        habitus: Habitus,
        grids: tuple[DistanceField, DistanceField, DistanceField],
        plan: BodyPlan,
        rng: np.random.Generator,
    ) -> None:
        """Start a body on a canvas full of air; ``grids`` are the straight positions of its coarse grid."""
        self.plan, self.straight = plan, grids
        wave, ripple = 45.0 / COARSE_MM, 20.0 / COARSE_MM
        a, b, c = grids[0].shape
        waves = [habitus.warp * coarse_noise((a, b, c), (wave, wave, wave), rng) for _ in grids]
        ripples = [1.5 * coarse_noise((a, b, c), (ripple, ripple, ripple), rng) for _ in grids]
        bent = [g + w + r for g, w, r in zip(grids, waves, ripples, strict=True)]
        calm = [(g + _CALM * w).astype(np.float32) for g, w in zip(grids, waves, strict=True)]
        self.calm = (calm[0], calm[1], calm[2])
        self.liver_field: DistanceField | None = None
        super().__init__(canvas, habitus, (bent[0], bent[1], bent[2]), self.calm, rng)

    def slab(self, low: float, high: float) -> WholeBody | None:
        """The part between two heights in mm, with room for what bends; None if the scan does not reach it."""
        heights = self.straight[0][:, 0, 0]
        rows = np.flatnonzero((heights >= low - _MARGIN_MM) & (heights <= high + _MARGIN_MM))
        inside = (float(heights[0]) < high) and (float(heights[-1]) > low)
        if rows.size < 2 or not inside:
            return None
        first, last = int(rows[0]), int(rows[-1])
        step = (self.tissue_map.values.shape[0] - 1) // (len(heights) - 1)
        fine = slice(first * step, last * step + 1)
        part = copy.copy(self)
        whole = self.tissue_map
        part.tissue_map = TissueMap(whole.values[fine], whole.z[fine], whole.y, whole.x)
        cut = slice(first, last + 1)
        part.z, part.y, part.x = self.z[cut], self.y[cut], self.x[cut]
        part.straight = (self.straight[0][cut], self.straight[1][cut], self.straight[2][cut])
        part.calm = (self.calm[0][cut], self.calm[1][cut], self.calm[2][cut])
        part.skin, part.cavity, part.diaphragm = self.skin[cut], self.cavity[cut], self.diaphragm[cut]
        part.liver_field = None if self.liver_field is None else self.liver_field[cut]
        return part

    def paint(self, low: float, high: float, *painters: Callable[[WholeBody], None]) -> None:
        """Let painters work on the part between two heights; nothing if the scan does not reach it."""
        part = self.slab(low, high)
        if part is not None:
            for painter in painters:
                painter(part)

    def calm_ellipsoid(
        self, centre: tuple[float, float, float], radii: tuple[float, float, float]
    ) -> Float32[np.ndarray, "z y x"]:
        """As `ellipsoid`, bent no more than outlines are: for bones, head and heart."""
        z, y, x = self.calm
        rho = np.sqrt(
            ((z - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 + ((x - centre[2]) / radii[2]) ** 2
        )
        return ((rho - 1.0) * min(radii)).astype(np.float32)

    @property
    def neck_y(self) -> float:
        """Position of the cervical spine, y in mm."""
        return self.habitus.spine_y - 22.0

    def _skin(self, z: DistanceField, y: DistanceField, x: DistanceField) -> DistanceField:
        h = self.habitus
        trunk = super()._skin(z, y, x)
        legs = ease((-560.0 - z) / 300.0)
        trunk = trunk + 14.0 * legs
        # Shoulders slope to the neck; in front and behind the chest grows thinner.
        thin = 0.45 * h.half_depth * ease((z - 120.0) / 140.0)
        trunk = np.maximum(trunk, np.abs(y - 12.0 * ease((z - 140.0) / 90.0)) - (h.half_depth - thin))
        top = z - 246.0 + 0.34 * np.abs(x)
        skin = smooth_max(trunk.astype(np.float32), top.astype(np.float32), 24.0)
        skin = union(skin, self._shoulders(z, y, x), 16.0)
        neck = np.hypot((x) / 1.08, (y - self.neck_y + 26.0 + 0.10 * (z - 250.0)) / 1.05) - 0.34 * h.half_width
        neck = np.maximum(neck, np.maximum(z - 350.0, 190.0 - z)).astype(np.float32)
        skin = union(skin, neck, 18.0)
        if self.plan.female:
            skin = union(skin, self._breasts(z, y, x), 12.0)
        return skin

    def _shoulders(self, z: DistanceField, y: DistanceField, x: DistanceField) -> DistanceField:
        h = self.habitus
        up = self.plan.arms is Arms.UP
        out, height = (0.74, SHOULDER_MM + 22.0) if up else (0.93, SHOULDER_MM - 8.0)
        balls = [
            np.sqrt(
                ((z - height) / 46.0) ** 2 + ((y - 10.0) / 50.0) ** 2 + ((x - side * out * h.half_width) / 46.0) ** 2
            )
            for side in (-1.0, 1.0)
        ]
        return ((np.minimum(balls[0], balls[1]) - 1.0) * 46.0).astype(np.float32)

    def _breasts(self, z: DistanceField, y: DistanceField, x: DistanceField) -> DistanceField:
        size, low = self.breast_size, 62.0
        balls = [
            np.sqrt(
                ((z - low) / (52.0 * size)) ** 2
                + ((y + 0.88 * self.habitus.half_depth) / (34.0 * size)) ** 2
                + ((x - side * 78.0) / (58.0 * size)) ** 2
            )
            for side in (-1.0, 1.0)
        ]
        return ((np.minimum(balls[0], balls[1]) - 1.0) * 34.0 * size).astype(np.float32)

    @property
    def breast_size(self) -> float:
        """Linear scale of the breasts, from the fat under the skin."""
        return float(np.clip(0.75 + 0.014 * self.habitus.fat_front, 0.75, 1.35))

    def _cavity(self, z: DistanceField, y: DistanceField, x: DistanceField) -> DistanceField:
        inner = super()._cavity(z, y, x)
        # The rib cage closes over the tips of the lungs.
        half_y, half_x = self.habitus.cavity
        high = ease((z - 70.0) / 160.0)
        cone = np.hypot(np.abs(x) / (half_x * (1.0 - 0.62 * high)), (y - 6.0 * high) / (half_y * (1.0 - 0.45 * high)))
        closed = (cone - 1.0) * half_y * (1.0 - 0.5 * high)
        begun = 16.0 * (1.0 - ease((z - 60.0) / 80.0))
        return np.maximum(inner, np.maximum(closed - begun, z - APEX_MM)).astype(np.float32)

    def _diaphragm(self) -> DistanceField:
        half_x = self.habitus.cavity[1]
        right = np.exp(-(((self.x + 0.48 * half_x) / (0.5 * half_x)) ** 2))
        both = 0.45 + 0.55 * right
        return (super()._diaphragm() + self.plan.dome_mm * both).astype(np.float32)


def start_body(habitus: Habitus, plan: BodyPlan, settings: VirtualSettings, rng: np.random.Generator) -> WholeBody:
    """An empty body over the scan's range; its map may be a few fine slices longer than the scan."""
    slices = int(np.clip(round((habitus.top - habitus.bottom) / settings.slice_mm), _LEAST_SLICES, _MOST_SLICES))
    fine_z = settings.slice_mm / settings.subslices
    step = max(1, round(COARSE_MM / fine_z))
    nodes = -(-(slices * settings.subslices - 1) // step) + 1
    depth, n = (nodes - 1) * step + 1, settings.matrix
    z = (habitus.bottom + fine_z * (np.arange(depth) + 0.5)).astype(np.float32)
    flat = (np.arange(n) - (n - 1) / 2) * habitus.fov / n
    y, x = ((flat + off).astype(np.float32) for off in plan.off_centre)
    canvas = TissueMap(np.zeros((depth, n, n), dtype=np.uint8), z, y, x)
    in_plane = [np.linspace(a[0], a[-1], max(round(float(a[-1] - a[0]) / COARSE_MM) + 1, 8)) for a in (y, x)]
    grids = np.meshgrid(z[::step], *(a.astype(np.float32) for a in in_plane), indexing="ij")
    return WholeBody(canvas, habitus, (grids[0], grids[1], grids[2]), plan, rng)


def scanned(body: WholeBody, settings: VirtualSettings) -> TissueMap:
    """The body's map as long as the scan: whole slices."""
    whole = body.tissue_map
    depth = whole.values.shape[0] // settings.subslices * settings.subslices
    return TissueMap(whole.values[:depth], whole.z[:depth], whole.y, whole.x)


def union(a: DistanceField, b: DistanceField, radius: float) -> DistanceField:
    """Union of two signed distances with the crease between them filled to ``radius`` mm."""
    return -smooth_max(-a, -b, radius)
