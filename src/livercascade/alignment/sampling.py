"""Sampling of phases and vector fields: where a phase has data, antialiasing, and trilinear interpolation by slices.

Outside an image or a field its border is repeated.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16, Shaped
from scipy import ndimage

from livercascade.alignment.compiled_loops import kernel
from livercascade.data.grid import Grid
from livercascade.data.scan import OUTSIDE_HU, PhaseVolume

EDGE = 0.5 + 1e-6
"""A position up to half a voxel outside the outermost voxel centres is inside the image."""
# Spacings that differ by rounding of the header count as equal.
_SAME_SPACING = 1 + 1e-3


def empty_columns(hu: Int16[np.ndarray, "z y x"]) -> Bool[np.ndarray, "y x"]:
    """Columns (y, x) that are -1024 or less in every slice and touch the border of the image: padding round a circle.

    Air carries noise and is not -1024 in every slice.
    """
    low = np.all(hu <= OUTSIDE_HU, axis=0)
    if not low.any() or low.all():
        return np.zeros(low.shape, dtype=np.bool_)
    return np.asarray(ndimage.binary_propagation(_border(low.shape) & low, mask=low))


def extended(volume: PhaseVolume) -> PhaseVolume:
    """The phase with its padding filled by the nearest column that has data, so that no edge is made up."""
    empty = empty_columns(volume.hu)
    if not empty.any():
        return volume
    rows, columns = np.asarray(ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True))
    return replace(volume, hu=np.ascontiguousarray(volume.hu[:, rows, columns]))


def averaged(volume: PhaseVolume, grid: Grid) -> Int16[np.ndarray, "z y x"]:
    """HU from -1024 up, averaged over boxes of another grid's voxels along each axis on which the phase is the finer.

    The array stays on the phase's own grid.
    """
    hu = np.ascontiguousarray(np.maximum(volume.hu, OUTSIDE_HU))
    turns = np.abs(np.asarray(volume.grid.direction) @ np.asarray(grid.direction).T)
    ratios = (turns * np.asarray(grid.spacing)).max(axis=1) / np.asarray(volume.grid.spacing)
    if float(ratios.max()) <= _SAME_SPACING:
        return hu
    mixed = hu.astype(np.float32)
    for axis, ratio in enumerate(ratios):
        if ratio > _SAME_SPACING:
            ndimage.correlate1d(mixed, _box(float(ratio)), axis=axis, output=mixed, mode="nearest")
    return np.rint(mixed).astype(np.int16)


def _border(shape: tuple[int, ...]) -> Bool[np.ndarray, "y x"]:
    border = np.ones(shape, dtype=np.bool_)
    border[1:-1, 1:-1] = False
    return border


def _box(width: float) -> Float64[np.ndarray, " k"]:
    """Weights of a centred box of fractional width in voxels; odd length, sum 1."""
    reach = int(np.ceil((width - 1) / 2))
    weights = np.ones(2 * reach + 1)
    weights[[0, -1]] -= (2 * reach + 1 - width) / 2
    return weights / weights.sum()


@kernel
def linear_at(image: Shaped[np.ndarray, "z y x"], z: float, y: float, x: float) -> float:
    """Image at a fractional index, in kernels only."""
    nz, ny, nx = image.shape
    z, y, x = min(max(z, 0.0), nz - 1.0), min(max(y, 0.0), ny - 1.0), min(max(x, 0.0), nx - 1.0)
    z0, y0, x0 = int(z), int(y), int(x)
    z1, y1, x1 = min(z0 + 1, nz - 1), min(y0 + 1, ny - 1), min(x0 + 1, nx - 1)
    fz, fy, fx = np.float32(z - z0), np.float32(y - y0), np.float32(x - x0)
    gz, gy, gx = np.float32(1) - fz, np.float32(1) - fy, np.float32(1) - fx
    near = (image[z0, y0, x0] * gx + image[z0, y0, x1] * fx) * gy + (
        image[z0, y1, x0] * gx + image[z0, y1, x1] * fx
    ) * fy
    far = (image[z1, y0, x0] * gx + image[z1, y0, x1] * fx) * gy + (
        image[z1, y1, x0] * gx + image[z1, y1, x1] * fx
    ) * fy
    return near * gz + far * fz


@kernel
def _vector_at(
    vectors: Float32[np.ndarray, "z y x 3"], z: float, y: float, x: float, out: Float32[np.ndarray, " 3"]
) -> None:
    nz, ny, nx = vectors.shape[:3]
    z, y, x = min(max(z, 0.0), nz - 1.0), min(max(y, 0.0), ny - 1.0), min(max(x, 0.0), nx - 1.0)
    z0, y0, x0 = int(z), int(y), int(x)
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
        out[k] = near * gz + far * fz


@kernel
def vectors_at(
    vectors: Float32[np.ndarray, "z y x 3"], index: Float64[np.ndarray, "n 3"], out: Float32[np.ndarray, "n 3"]
) -> None:
    """Vectors at fractional indices (z, y, x)."""
    for n in range(index.shape[0]):
        _vector_at(vectors, index[n, 0], index[n, 1], index[n, 2], out[n])


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
        vectors: Field to sample.
        index: Matrix from (z, y, x, 1) of ``out`` to (z, y, x, 1) of ``vectors``.
        out: Array to fill.
        start: First slice to fill.
        stop: Slice after the last one.
    """
    for c in range(start, stop):
        for h in range(out.shape[1]):
            for w in range(out.shape[2]):
                z = index[0, 0] * c + index[0, 1] * h + index[0, 2] * w + index[0, 3]
                y = index[1, 0] * c + index[1, 1] * h + index[1, 2] * w + index[1, 3]
                x = index[2, 0] * c + index[2, 1] * h + index[2, 2] * w + index[2, 3]
                _vector_at(vectors, z, y, x, out[c, h, w])


@kernel
def image_on_grid(
    hu: Int16[np.ndarray, "z y x"],
    index: Float64[np.ndarray, "4 4"],
    out: Float32[np.ndarray, "c h w"],
    start: int,
    stop: int,
) -> None:
    """Slices ``start`` to ``stop`` of an image sampled on another grid; arguments as of `vectors_on_grid`."""
    for c in range(start, stop):
        for h in range(out.shape[1]):
            for w in range(out.shape[2]):
                z = index[0, 0] * c + index[0, 1] * h + index[0, 2] * w + index[0, 3]
                y = index[1, 0] * c + index[1, 1] * h + index[1, 2] * w + index[1, 3]
                x = index[2, 0] * c + index[2, 1] * h + index[2, 2] * w + index[2, 3]
                out[c, h, w] = linear_at(hu, z, y, x)


@kernel
def displaced_image(
    image: Float32[np.ndarray, "z y x"],
    shift: Float32[np.ndarray, "z y x 3"],
    out: Float32[np.ndarray, "z y x"],
    start: int,
    stop: int,
) -> None:
    """Slices ``start`` to ``stop`` of an image sampled ``shift`` voxels (z, y, x) away on its own grid."""
    for z in range(start, stop):
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                dz, dy, dx = shift[z, y, x, 0], shift[z, y, x, 1], shift[z, y, x, 2]
                out[z, y, x] = linear_at(image, float(z + dz), float(y + dy), float(x + dx))


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
        hu: Image to sample.
        empty: Columns of it that hold padding only, which count as outside.
        index: Matrix from (z, y, x, 1) of ``out`` to (z, y, x, 1) of ``hu``, without the displacement.
        turn: Matrix from LPS mm (x, y, z) to voxels (z, y, x) of ``hu``, for the displacement.
        vectors: Displacement in LPS mm (x, y, z) at each voxel of ``out``.
        out: Array to fill where ``inside``; left as it is elsewhere.
        inside: Mask to fill: True where the displaced position lies in the image.
        start: First slice to fill.
        stop: Slice after the last one.
    """
    nz, ny, nx = hu.shape
    for c in range(start, stop):
        for h in range(out.shape[1]):
            for w in range(out.shape[2]):
                v = vectors[c, h, w]
                z = index[0, 0] * c + index[0, 1] * h + index[0, 2] * w + index[0, 3]
                y = index[1, 0] * c + index[1, 1] * h + index[1, 2] * w + index[1, 3]
                x = index[2, 0] * c + index[2, 1] * h + index[2, 2] * w + index[2, 3]
                z += turn[0, 0] * v[0] + turn[0, 1] * v[1] + turn[0, 2] * v[2]
                y += turn[1, 0] * v[0] + turn[1, 1] * v[1] + turn[1, 2] * v[2]
                x += turn[2, 0] * v[0] + turn[2, 1] * v[1] + turn[2, 2] * v[2]
                covered = -EDGE <= z <= nz - 1 + EDGE and -EDGE <= y <= ny - 1 + EDGE and -EDGE <= x <= nx - 1 + EDGE
                if covered:
                    covered = not empty[min(max(int(y + 0.5), 0), ny - 1), min(max(int(x + 0.5), 0), nx - 1)]
                if covered:
                    out[c, h, w] = np.int16(np.rint(linear_at(hu, z, y, x)))
                inside[c, h, w] = covered
