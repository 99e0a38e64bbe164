"""Trilinear sampling of images and vector fields on voxel grids, in place and slice by slice."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16

from livercascade.align.kernel import kernel

EDGE = 0.5 + 1e-6
"""A position up to half a voxel outside the outermost voxel centres is inside the image."""


@kernel
def vectors_at(
    vectors: Float32[np.ndarray, "z y x 3"], index: Float64[np.ndarray, "n 3"], out: Float32[np.ndarray, "n 3"]
) -> None:
    """Vectors at fractional indices (z, y, x); outside, those of the nearest border."""
    nz, ny, nx = vectors.shape[:3]
    for n in range(index.shape[0]):
        z = min(max(index[n, 0], 0.0), nz - 1.0)
        y = min(max(index[n, 1], 0.0), ny - 1.0)
        x = min(max(index[n, 2], 0.0), nx - 1.0)
        z0, y0, x0 = min(int(z), max(nz - 2, 0)), min(int(y), max(ny - 2, 0)), min(int(x), max(nx - 2, 0))
        z1, y1, x1 = min(z0 + 1, nz - 1), min(y0 + 1, ny - 1), min(x0 + 1, nx - 1)
        fz, fy, fx = z - z0, y - y0, x - x0
        for k in range(3):
            near = (vectors[z0, y0, x0, k] * (1 - fx) + vectors[z0, y0, x1, k] * fx) * (1 - fy) + (
                vectors[z0, y1, x0, k] * (1 - fx) + vectors[z0, y1, x1, k] * fx
            ) * fy
            far = (vectors[z1, y0, x0, k] * (1 - fx) + vectors[z1, y0, x1, k] * fx) * (1 - fy) + (
                vectors[z1, y1, x0, k] * (1 - fx) + vectors[z1, y1, x1, k] * fx
            ) * fy
            out[n, k] = np.float32(near * (1 - fz) + far * fz)


@kernel
def vectors_on_grid(
    vectors: Float32[np.ndarray, "z y x 3"],
    index: Float64[np.ndarray, "4 4"],
    out: Float32[np.ndarray, "c h w 3"],
    start: int,
    stop: int,
) -> None:
    """Slices ``start`` to ``stop`` of a field sampled on another grid.

    Args:
        vectors: The field.
        index: Matrix from (z, y, x, 1) of ``out`` to (z, y, x, 1) of ``vectors``.
        out: Written.
        start: First slice to fill.
        stop: Slice after the last one.
    """
    nz, ny, nx = vectors.shape[:3]
    for c in range(start, stop):
        for h in range(out.shape[1]):
            for w in range(out.shape[2]):
                z = index[0, 0] * c + index[0, 1] * h + index[0, 2] * w + index[0, 3]
                y = index[1, 0] * c + index[1, 1] * h + index[1, 2] * w + index[1, 3]
                x = index[2, 0] * c + index[2, 1] * h + index[2, 2] * w + index[2, 3]
                z, y, x = min(max(z, 0.0), nz - 1.0), min(max(y, 0.0), ny - 1.0), min(max(x, 0.0), nx - 1.0)
                z0, y0, x0 = min(int(z), max(nz - 2, 0)), min(int(y), max(ny - 2, 0)), min(int(x), max(nx - 2, 0))
                z1, y1, x1 = min(z0 + 1, nz - 1), min(y0 + 1, ny - 1), min(x0 + 1, nx - 1)
                fz, fy, fx = np.float32(z - z0), np.float32(y - y0), np.float32(x - x0)
                gz, gy, gx = np.float32(1) - fz, np.float32(1) - fy, np.float32(1) - fx
                for k in range(3):
                    near = (vectors[z0, y0, x0, k] * gx + vectors[z0, y0, x1, k] * fx) * gy + (
                        vectors[z0, y1, x0, k] * gx + vectors[z0, y1, x1, k] * fx
                    ) * fy
                    far = (vectors[z1, y0, x0, k] * gx + vectors[z1, y0, x1, k] * fx) * gy + (
                        vectors[z1, y1, x0, k] * gx + vectors[z1, y1, x1, k] * fx
                    ) * fy
                    out[c, h, w, k] = near * gz + far * fz


@kernel
def displaced_hu(
    hu: Int16[np.ndarray, "z y x"],
    empty: Bool[np.ndarray, "y x"],
    index: Float64[np.ndarray, "4 4"],
    turn: Float64[np.ndarray, "3 3"],
    vectors: Float32[np.ndarray, "c h w 3"],
    out: Int16[np.ndarray, "c h w"],
    inside: Bool[np.ndarray, "c h w"],
    start: int,
    stop: int,
) -> None:
    """Slices ``start`` to ``stop`` of an image sampled at displaced positions, rounded to whole HU.

    Args:
        hu: The image.
        empty: Its columns that hold padding only, which count as outside.
        index: Matrix from (z, y, x, 1) of ``out`` to (z, y, x, 1) of ``hu``, without the displacement.
        turn: Matrix from LPS mm (x, y, z) to voxels (z, y, x) of ``hu``, for the displacement.
        vectors: Displacement in LPS mm (x, y, z) at each voxel of ``out``.
        out: Written where ``inside``; left as it is elsewhere.
        inside: Written: where the displaced position lies in the image.
        start: First slice to fill.
        stop: Slice after the last one.
    """
    nz, ny, nx = hu.shape
    for c in range(start, stop):
        for h in range(out.shape[1]):
            for w in range(out.shape[2]):
                vx, vy, vz = vectors[c, h, w, 0], vectors[c, h, w, 1], vectors[c, h, w, 2]
                z = index[0, 0] * c + index[0, 1] * h + index[0, 2] * w + index[0, 3]
                y = index[1, 0] * c + index[1, 1] * h + index[1, 2] * w + index[1, 3]
                x = index[2, 0] * c + index[2, 1] * h + index[2, 2] * w + index[2, 3]
                z += turn[0, 0] * vx + turn[0, 1] * vy + turn[0, 2] * vz
                y += turn[1, 0] * vx + turn[1, 1] * vy + turn[1, 2] * vz
                x += turn[2, 0] * vx + turn[2, 1] * vy + turn[2, 2] * vz
                inside[c, h, w] = (
                    -EDGE <= z <= nz - 1 + EDGE and -EDGE <= y <= ny - 1 + EDGE and -EDGE <= x <= nx - 1 + EDGE
                )
                if not inside[c, h, w]:
                    continue
                if empty[min(max(int(y + 0.5), 0), ny - 1), min(max(int(x + 0.5), 0), nx - 1)]:
                    inside[c, h, w] = False
                    continue
                z, y, x = min(max(z, 0.0), nz - 1.0), min(max(y, 0.0), ny - 1.0), min(max(x, 0.0), nx - 1.0)
                z0, y0, x0 = min(int(z), max(nz - 2, 0)), min(int(y), max(ny - 2, 0)), min(int(x), max(nx - 2, 0))
                z1, y1, x1 = min(z0 + 1, nz - 1), min(y0 + 1, ny - 1), min(x0 + 1, nx - 1)
                fz, fy, fx = z - z0, y - y0, x - x0
                near = (hu[z0, y0, x0] * (1 - fx) + hu[z0, y0, x1] * fx) * (1 - fy) + (
                    hu[z0, y1, x0] * (1 - fx) + hu[z0, y1, x1] * fx
                ) * fy
                far = (hu[z1, y0, x0] * (1 - fx) + hu[z1, y0, x1] * fx) * (1 - fy) + (
                    hu[z1, y1, x0] * (1 - fx) + hu[z1, y1, x1] * fx
                ) * fy
                out[c, h, w] = np.int16(np.rint(near * (1 - fz) + far * fz))


@kernel
def displaced_image(
    image: Float32[np.ndarray, "z y x"],
    shift: Float32[np.ndarray, "z y x 3"],
    out: Float32[np.ndarray, "z y x"],
    start: int,
    stop: int,
) -> None:
    """Slices ``start`` to ``stop`` of an image sampled ``shift`` voxels (z, y, x) away on its own grid, linear.

    Outside, the border is repeated.
    """
    nz, ny, nx = image.shape
    one = np.float32(1)
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nx):
                z = min(max(np.float32(i) + shift[i, j, k, 0], np.float32(0)), np.float32(nz - 1))
                y = min(max(np.float32(j) + shift[i, j, k, 1], np.float32(0)), np.float32(ny - 1))
                x = min(max(np.float32(k) + shift[i, j, k, 2], np.float32(0)), np.float32(nx - 1))
                z0, y0, x0 = min(int(z), max(nz - 2, 0)), min(int(y), max(ny - 2, 0)), min(int(x), max(nx - 2, 0))
                z1, y1, x1 = min(z0 + 1, nz - 1), min(y0 + 1, ny - 1), min(x0 + 1, nx - 1)
                fz, fy, fx = z - np.float32(z0), y - np.float32(y0), x - np.float32(x0)
                near = (image[z0, y0, x0] * (one - fx) + image[z0, y0, x1] * fx) * (one - fy) + (
                    image[z0, y1, x0] * (one - fx) + image[z0, y1, x1] * fx
                ) * fy
                far = (image[z1, y0, x0] * (one - fx) + image[z1, y0, x1] * fx) * (one - fy) + (
                    image[z1, y1, x0] * (one - fx) + image[z1, y1, x1] * fx
                ) * fy
                out[i, j, k] = near * (one - fz) + far * fz
