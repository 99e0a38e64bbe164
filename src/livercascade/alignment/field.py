"""A dense displacement in LPS mm on a grid: from each point of the fixed phase to its place in the moving one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int16, UInt8
from scipy import ndimage

from livercascade.alignment.coverage import averaged, empty_columns
from livercascade.alignment.workers import Workers
from livercascade.data.grid import Grid
from livercascade.data.scan import OUTSIDE_HU, PhaseVolume

_INVERSE_STEPS = 30
_INVERSE_MM = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class DisplacementField:
    """Displacement ``u``: the point p of the fixed phase lies at p + u(p) in the moving one.

    Attributes:
        grid: Grid of the fixed phase.
        vectors_mm: ``[z, y, x]`` of vectors (x, y, z) in LPS mm, as ITK's displacement fields hold them.
    """

    grid: Grid
    vectors_mm: Float32[np.ndarray, "z y x 3"]

    @classmethod
    def zero(cls, grid: Grid) -> DisplacementField:
        """Field that moves nothing."""
        return cls.along_z(grid, 0.0)

    @classmethod
    def along_z(cls, grid: Grid, mm: float) -> DisplacementField:
        """Field that moves everything along z, in mm."""
        vectors = np.zeros((*grid.shape, 3), dtype=np.float32)
        vectors[..., 2] = mm
        return cls(grid, vectors)

    @property
    def length_mm(self) -> Float32[np.ndarray, "z y x"]:
        """Length of each vector in mm."""
        return np.sqrt(np.einsum("zyxk,zyxk->zyx", self.vectors_mm, self.vectors_mm, dtype=np.float32))

    def at(self, points: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
        """Displacement in mm at LPS points (x, y, z), linear between voxels; outside, that of the nearest border."""
        from livercascade.alignment.sampling import vectors_at

        out = np.empty((len(points), 3), dtype=np.float32)
        vectors_at(np.ascontiguousarray(self.vectors_mm), np.ascontiguousarray(self.grid.voxel(points)), out)
        return out

    def on(self, grid: Grid, *, threads: int = 1) -> DisplacementField:
        """The same displacement sampled on another grid."""
        from livercascade.alignment.sampling import vectors_on_grid

        if grid == self.grid:
            return self
        index = np.linalg.inv(self.grid.affine) @ grid.affine
        vectors = np.ascontiguousarray(self.vectors_mm)
        out = np.empty((*grid.shape, 3), dtype=np.float32)
        with Workers.of(threads) as workers:
            workers.ranges(lambda start, stop: vectors_on_grid(vectors, index, out, start, stop), grid.shape[0])
        return DisplacementField(grid, out)

    def warp(
        self, volume: PhaseVolume, *, threads: int = 1
    ) -> tuple[Int16[np.ndarray, "z y x"], Bool[np.ndarray, "z y x"]]:
        """HU of a moving phase on the field's grid, and where that phase had data.

        Linear between voxels, -1024 where the phase has none: outside its box, and in the padding round a circular
        field of view. A phase of thinner slices or smaller pixels is averaged over the fixed voxel first.
        """
        from livercascade.alignment.sampling import displaced_hu

        to_moving = np.linalg.inv(volume.grid.affine)
        source = averaged(volume, self.grid)
        empty = empty_columns(volume.hu)
        vectors = np.ascontiguousarray(self.vectors_mm)
        hu = np.full(self.grid.shape, OUTSIDE_HU, dtype=np.int16)
        inside = np.zeros(self.grid.shape, dtype=np.bool_)
        index, turn = to_moving @ self.grid.affine, np.ascontiguousarray(to_moving[:3, :3])

        def slices(start: int, stop: int) -> None:
            displaced_hu(source, empty, index, turn, vectors, hu, inside, start, stop)

        with Workers.of(threads) as workers:
            workers.ranges(slices, self.grid.shape[0])
        return hu, inside

    def warp_labels(self, labels: UInt8[np.ndarray, "a b c"], grid: Grid) -> UInt8[np.ndarray, "z y x"]:
        """Label map of the moving phase on the field's grid, by nearest neighbour; 0 outside."""
        out = np.zeros(self.grid.shape, dtype=np.uint8)
        for z in range(self.grid.shape[0]):
            rows = np.stack(np.meshgrid(*[np.arange(n) for n in self.grid.shape[1:]], indexing="ij"), axis=-1)
            index = np.concatenate([np.full((*rows.shape[:2], 1), z), rows], axis=-1).astype(np.float64)
            at = grid.voxel((self.grid.world(index) + self.vectors_mm[z]).reshape(-1, 3))
            out[z] = ndimage.map_coordinates(labels, at.T, order=0, mode="constant", cval=0).reshape(rows.shape[:2])
        return out

    def after(self, first: DisplacementField) -> DisplacementField:
        """Field of ``p -> self(first(p))`` on the grid of ``first``."""
        points = _points(first.grid) + first.vectors_mm.reshape(-1, 3)
        total = first.vectors_mm + self.at(points).reshape(first.vectors_mm.shape)
        return DisplacementField(first.grid, total)

    def inverse(self, grid: Grid | None = None) -> DisplacementField:
        """Field ``v`` with v(p) = -u(p + v(p)), by fixed-point iteration; exact to 0.02 mm where u does not fold.

        Args:
            grid: Where to give it, usually that of the moving phase; the field's own if absent.
        """
        where = grid or self.grid
        points = _points(where)
        found = np.zeros((len(points), 3), dtype=np.float32)
        for _ in range(_INVERSE_STEPS):
            step = -self.at(points + found) - found
            # A damped step also converges where the field stretches by up to three.
            found += np.float32(0.7) * step
            if float(np.abs(step).max()) < _INVERSE_MM:
                break
        return DisplacementField(where, found.reshape(*where.shape, 3))

    def jacobian(self, *, threads: int = 1) -> Float32[np.ndarray, "z y x"]:
        """Determinant of d(p + u)/dp per voxel by central differences: 1 keeps volume, 0 or less folds."""
        from livercascade.alignment.jacobian import jacobian

        with Workers.of(threads) as workers:
            return jacobian(self.vectors_mm, self.grid, workers)

    @property
    def folded(self) -> float:
        """Share of voxels where the field folds (Jacobian at or below 0), 0 to 1."""
        return float((self.jacobian() <= 0).mean())

    def unfolded(self, *, threads: int = 1) -> DisplacementField:
        """The field itself if it does not fold; else smoothed round the folds until none is left."""
        from livercascade.alignment.jacobian import without_folds

        with Workers.of(threads) as workers:
            return DisplacementField(self.grid, without_folds(self.vectors_mm, self.grid, workers))


def _points(grid: Grid) -> Float64[np.ndarray, "n 3"]:
    index = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float64) for n in grid.shape], indexing="ij"), axis=-1)
    return grid.world(index.reshape(-1, 3))
