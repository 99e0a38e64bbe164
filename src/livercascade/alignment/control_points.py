"""Control points of the field: the centres of the blocks into which a level divides the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from livercascade.alignment.compiled_loops import AlignmentThreads
from livercascade.alignment.sampling import vectors_at, vectors_on_grid
from livercascade.data.grid import Shape

Vectors = Float32[np.ndarray, "z y x 3"]
"""Displacements per voxel or per block, in voxels (z, y, x) of the registration grid."""


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """Cubes that cover an array; the last ones may reach over its end.

    Attributes:
        shape: Shape of the array.
        size: Voxels along each side of a block.
        counts: Number of blocks along z, y, x.
    """

    shape: Shape
    size: int
    counts: Shape

    @classmethod
    def over(cls, shape: Shape, size: int) -> BlockGrid:
        """Blocks of ``size`` voxels over an array."""
        nz, ny, nx = (-(-n // size) for n in shape)
        return cls(shape, size, (nz, ny, nx))

    @property
    def count(self) -> int:
        """Number of blocks."""
        return int(np.prod(self.counts))

    @property
    def centres(self) -> Float64[np.ndarray, "b 3"]:
        """Centre of each block in voxels (z, y, x)."""
        # The original puts control points at block corners, which shifts the field by half a block.
        return _indices(self.counts) * self.size + (self.size - 1) / 2

    def means(self, image: Float32[np.ndarray, "z y x"]) -> Float32[np.ndarray, "a b c"]:
        """Mean of an image over each block, its border repeated."""
        padding = [(0, n * self.size - s) for n, s in zip(self.counts, self.shape, strict=True)]
        a, b, c = self.counts
        cubes = np.pad(image, padding, mode="edge").reshape(a, self.size, b, self.size, c, self.size)
        return cubes.mean(axis=(1, 3, 5), dtype=np.float32)

    def sample(self, dense: Vectors) -> Float32[np.ndarray, "b 3"]:
        """Values of a dense field at the centres."""
        out = np.empty((self.count, 3), dtype=np.float32)
        vectors_at(dense, self.centres, out)
        return out

    def dense(self, vectors: Vectors, workers: AlignmentThreads) -> Float32[np.ndarray, "c h w 3"]:
        """Field at every voxel, linear between the centres."""
        index = np.diag([1 / self.size, 1 / self.size, 1 / self.size, 1.0])
        index[:3, 3] = -(self.size - 1) / 2 / self.size
        out = np.empty((*self.shape, 3), dtype=np.float32)
        workers.ranges(lambda start, stop: vectors_on_grid(vectors, index, out, start, stop), self.shape[0])
        return out

    def consistent(self, forth: Vectors, back: Vectors, steps: int) -> tuple[Vectors, Vectors]:
        """Two opposite fields at the centres, brought near to being each other's inverse.

        Each step is u ← (u − v∘u) / 2 and v ← (v − u∘v) / 2, where ∘ takes the other field at the displaced place.
        """
        places = _indices(self.counts)
        for _ in range(steps):
            seen_forth = _at_displaced(back, places, forth, self.size)
            seen_back = _at_displaced(forth, places, back, self.size)
            forth, back = (forth - seen_forth) / np.float32(2), (back - seen_back) / np.float32(2)
        return forth, back


def _at_displaced(field: Vectors, places: Float64[np.ndarray, "b 3"], shift: Vectors, size: int) -> Vectors:
    out = np.empty((len(places), 3), dtype=np.float32)
    vectors_at(np.ascontiguousarray(field), places + shift.reshape(-1, 3) / size, out)
    return out.reshape(shift.shape)


def _indices(counts: Shape) -> Float64[np.ndarray, "b 3"]:
    axes = np.meshgrid(*[np.arange(n, dtype=np.float64) for n in counts], indexing="ij")
    return np.ascontiguousarray(np.stack(axes, axis=-1).reshape(-1, 3))
