"""The fine tissue map of one patient, and how shapes are written into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from livercascade.alignment.compiled_loops import kernel
from livercascade.data.lesion import Box

COARSE_MM = 4.0
"""Spacing of the coarse grid on which organ shapes are computed."""


@dataclass(frozen=True, slots=True)
class TissueMap:
    """Fine map of `Tissue` values over the field of view, in patient coordinates (LPS mm).

    Attributes:
        values: `Tissue` values, or parts of lesions and mimics, ``[z, y, x]``.
        z, y, x: Positions in mm of the voxel centres along each axis (z grows to the head).
    """

    values: UInt8[np.ndarray, "z y x"]
    z: Float32[np.ndarray, " z"]
    y: Float32[np.ndarray, " y"]
    x: Float32[np.ndarray, " x"]

    @property
    def voxel_ml(self) -> float:
        """Volume of one fine voxel in ml."""
        return float((self.z[1] - self.z[0]) * (self.y[1] - self.y[0]) * (self.x[1] - self.x[0])) / 1000.0

    @property
    def steps(self) -> tuple[float, float, float]:
        """Distance between voxel centres along z, y and x, mm."""
        return (float(self.z[1] - self.z[0]), float(self.y[1] - self.y[0]), float(self.x[1] - self.x[0]))

    def place(self, index: Sequence[int] | Int64[np.ndarray, " 3"]) -> tuple[float, float, float]:
        """Position (z, y, x) in mm of a voxel."""
        return (float(self.z[index[0]]), float(self.y[index[1]]), float(self.x[index[2]]))

    def box_round(self, centre: tuple[float, float, float], reach: float) -> Box:
        """Slices (z, y, x) of the voxels within ``reach`` mm of ``centre`` (z, y, x) along each axis; may be empty."""
        z, y, x = centre
        return self.box((z - reach, y - reach, x - reach), (z + reach, y + reach, x + reach))

    def box(self, low: tuple[float, float, float], high: tuple[float, float, float]) -> Box:
        """Slices (z, y, x) of the voxels between two corners given in mm (z, y, x); may be empty."""
        axes = (self.z, self.y, self.x)
        parts = [
            slice(int(np.searchsorted(axis, lo)), int(np.searchsorted(axis, hi, side="right")))
            for axis, lo, hi in zip(axes, low, high, strict=True)
        ]
        return parts[0], parts[1], parts[2]

    def offsets(
        self, box: Box, centre: tuple[float, float, float]
    ) -> tuple[Float32[np.ndarray, "z 1 1"], Float32[np.ndarray, "1 y 1"], Float32[np.ndarray, "1 1 x"]]:
        """Open grids of (z, y, x) distances in mm from ``centre`` (z, y, x) inside ``box``."""
        return (
            (self.z[box[0]] - np.float32(centre[0]))[:, None, None],
            (self.y[box[1]] - np.float32(centre[1]))[None, :, None],
            (self.x[box[2]] - np.float32(centre[2]))[None, None, :],
        )

    def tube(
        self,
        points: Float64[np.ndarray, "n 3"],
        radii: Float64[np.ndarray, " n"],
        value: int,
        only: tuple[int, ...] | None = None,
    ) -> None:
        """Fill a tube along ``points`` (z, y, x mm) with linearly changing ``radii`` in mm.

        Args:
            points: Centre line.
            radii: Radius at each point.
            value: Tissue to write.
            only: Tissues that may be overwritten; None means all.
        """
        for start, end, r0, r1 in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            self._segment(start, end, float(r0), float(r1), value, only)

    def _segment(
        self,
        start: Float64[np.ndarray, " 3"],
        end: Float64[np.ndarray, " 3"],
        r0: float,
        r1: float,
        value: int,
        only: tuple[int, ...] | None,
    ) -> None:
        # One mm more than the radius, so that rounding loses no voxel.
        margin = max(r0, r1) + 1.0
        low, high = np.minimum(start, end) - margin, np.maximum(start, end) + margin
        box = self.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        if any(s.stop <= s.start for s in box):
            return
        dz, dy, dx = self.offsets(box, (float(start[0]), float(start[1]), float(start[2])))
        axis = (end - start).astype(np.float32)
        length2 = max(float(axis @ axis), 1e-6)
        along = np.clip((dz * axis[0] + dy * axis[1] + dx * axis[2]) / np.float32(length2), 0.0, 1.0)
        distance2 = (dz - along * axis[0]) ** 2 + (dy - along * axis[1]) ** 2 + (dx - along * axis[2]) ** 2
        inside = distance2 <= (r0 + (r1 - r0) * along) ** 2
        self.write(box, inside, value, only)

    def write(
        self, box: Box, inside: Bool[np.ndarray, "z y x"], value: int, only: tuple[int, ...] | None = None
    ) -> None:
        """Write ``value`` where ``inside``, in ``box``; with ``only``, just over those tissues."""
        view = self.values[box]
        if only is not None:
            inside = inside & np.isin(view, only)
        view[inside] = value

    def fill(
        self, distance: Float32[np.ndarray, "z y x"], *layers: tuple[float, int], only: tuple[int, ...] | None = None
    ) -> None:
        """Write tissues where ``distance`` is at most a level; later layers lie inside earlier ones.

        Args:
            distance: Coarse signed distance in mm.
            layers: Pairs (level in mm, tissue), from the outside in.
            only: Tissues that may be overwritten; None means all.
        """
        levels = np.array([level for level, _ in layers], dtype=np.float32)
        hit = np.nonzero(distance <= levels.max() + COARSE_MM)
        if hit[0].size == 0:
            return
        coarse = [(max(int(h.min()) - 1, 0), int(h.max()) + 1) for h in hit]
        free = np.ones(256, dtype=bool)
        if only is not None:
            free[:] = False
            free[list(only)] = True
        field = np.ascontiguousarray(distance, dtype=np.float32)
        values = np.array([value for _, value in layers], dtype=np.uint8)
        fill_levels(self.values, field, self._fine_bounds(field.shape, coarse), levels, values, free)

    def _fine_bounds(self, lattice: tuple[int, ...], coarse: list[tuple[int, int]]) -> Int64[np.ndarray, "3 2"]:
        """First and last fine index (exclusive) of a box given by its first and last coarse index."""
        bounds = np.empty((3, 2), dtype=np.int64)
        for axis, (n_coarse, n_fine) in enumerate(zip(lattice, self.values.shape, strict=True)):
            step = (n_coarse - 1) / (n_fine - 1)
            # The slack keeps rounding from losing the outermost voxel.
            bounds[axis, 0] = int(np.ceil(coarse[axis][0] / step - 1e-6))
            bounds[axis, 1] = min(int(np.floor(min(coarse[axis][1], n_coarse - 1) / step + 1e-6)) + 1, n_fine)
        return bounds


@kernel
def fill_levels(
    tissue: UInt8[np.ndarray, "z y x"],
    distance: Float32[np.ndarray, "a b c"],
    bounds: Int64[np.ndarray, "3 2"],
    levels: Float32[np.ndarray, " n"],
    values: UInt8[np.ndarray, " n"],
    free: Bool[np.ndarray, " 256"],
) -> None:
    """Write the last of ``values`` whose level is at least the trilinear distance, where the tissue there is ``free``.

    Args:
        tissue: Fine map, changed in place.
        distance: Coarse field whose corner points lie on those of the fine map.
        bounds: First and last fine index (exclusive) along z, y, x.
        levels: Distances, from the outside in.
        values: Tissue for each level.
        free: Tissues that may be overwritten.
    """
    depth, height, width = tissue.shape
    a, b, c = distance.shape
    line = np.empty(c, dtype=np.float32)
    step_z, step_y, step_x = (a - 1) / (depth - 1), (b - 1) / (height - 1), (c - 1) / (width - 1)
    for k in range(bounds[0, 0], bounds[0, 1]):
        z0 = min(int(k * step_z), a - 2)
        wz = np.float32(k * step_z - z0)
        for j in range(bounds[1, 0], bounds[1, 1]):
            y0 = min(int(j * step_y), b - 2)
            wy = np.float32(j * step_y - y0)
            lowest = np.float32(1e9)
            for i in range(c):
                near = distance[z0, y0, i] + (distance[z0, y0 + 1, i] - distance[z0, y0, i]) * wy
                far = distance[z0 + 1, y0, i] + (distance[z0 + 1, y0 + 1, i] - distance[z0 + 1, y0, i]) * wy
                line[i] = near + (far - near) * wz
                lowest = min(lowest, line[i])
            # Most lines of the box miss the shape.
            if lowest > levels[0]:
                continue
            for i in range(bounds[2, 0], bounds[2, 1]):
                x0 = min(int(i * step_x), c - 2)
                value = line[x0] + (line[x0 + 1] - line[x0]) * np.float32(i * step_x - x0)
                if value <= levels[0] and free[tissue[k, j, i]]:
                    for n in range(levels.size):
                        if value <= levels[n]:
                            tissue[k, j, i] = values[n]
