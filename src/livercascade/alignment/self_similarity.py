"""Self-similarity context of two images, and the matching cost of displacements between them.

The descriptor tells how similar the neighbours of a voxel are to each other, as 60 bits (Heinrich et al., MICCAI 2013,
Sec. 2). The six neighbours of a voxel at distance ``q`` form twelve pairs that are not opposite each other. The mean
squared difference of the patches of a pair, relative to that of the others, does not change when contrast does. The
distance of two descriptors is the number of bits in which they differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt64
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from livercascade.alignment.align_settings import SearchLevel
from livercascade.alignment.compiled_loops import AlignmentThreads, kernel
from livercascade.alignment.control_points import BlockGrid

PAIRS, BITS = 12, 5
"""Pairs of neighbours, and bits for each of them."""
FLOOR_HU2 = 25.0
"""Smallest variance in HU² by which patch distances are divided, so that noise in even tissue stays small."""
_LEVELS = BITS + 1
THRESHOLDS = tuple(float(-np.log((k + 1.5) / _LEVELS)) for k in range(BITS))
"""Bit k of a pair is set where its patch distance is below this multiple of the mean distance."""
# The patches of two neighbours n1 and n2 differ by the shift n2 - n1 wherever the pair is centred, so that six shifted
# images serve twelve pairs, each at two places n1 (z, y, x in units of q).
SHIFTS = ((-1, 1, 0), (1, 1, 0), (-1, 0, 1), (1, 0, 1), (0, -1, 1), (0, 1, 1))
PLACES = (
    ((1, 0, 0), (0, -1, 0)),
    ((0, -1, 0), (-1, 0, 0)),
    ((1, 0, 0), (0, 0, -1)),
    ((0, 0, -1), (-1, 0, 0)),
    ((0, 1, 0), (0, 0, -1)),
    ((0, 0, -1), (0, -1, 0)),
)


def self_similarity_codes(
    image: Float32[np.ndarray, "z y x"], distance: int, radius: int, workers: AlignmentThreads
) -> UInt64[np.ndarray, "z y x"]:
    """Descriptor of every voxel as one word: bits ``5 k`` to ``5 k + 4`` are the thermometer code of pair k.

    Args:
        image: HU on an isotropic grid.
        distance: Voxels ``q`` from the centre to its neighbours.
        radius: Radius of the patches, cubes of ``2 radius + 1`` voxels; the border is repeated outside.
        workers: Threads, which share the slices.
    """
    nz, ny, nx = image.shape
    maps = np.empty((len(SHIFTS), nz, ny, nx + 2 * distance), dtype=np.float32)
    shifts = np.array(SHIFTS, dtype=np.int64) * distance
    workers.ranges(lambda a, b: _patch_distances(image, shifts, radius, distance, maps, a, b), nz)
    places = np.array(PLACES, dtype=np.int64).reshape(PAIRS, 3) * distance
    codes = np.empty(image.shape, dtype=np.uint64)
    thresholds = np.array(THRESHOLDS, dtype=np.float32)
    workers.ranges(lambda a, b: _codes(maps, places, thresholds, distance, codes, a, b), nz)
    return codes


def matching_cost(
    fixed: UInt64[np.ndarray, "z y x"],
    moving: UInt64[np.ndarray, "z y x"],
    level: SearchLevel,
    workers: AlignmentThreads,
) -> Float32[np.ndarray, "b n"]:
    """Mean number of differing bits, 0 to 60, per block and displacement, both in order z, y, x.

    A block at the border that is too thin to hold a sample costs 0 everywhere.

    Args:
        fixed: Descriptors of the fixed image.
        moving: Descriptors of the moving one on the same grid; outside, the border is repeated.
        level: Size of the blocks, displacements tried, and spacing of the samples.
        workers: Threads, which share the rows of blocks.
    """
    blocks = BlockGrid.over((fixed.shape[0], fixed.shape[1], fixed.shape[2]), level.block)
    out = np.empty((blocks.count, level.side**3), dtype=np.float32)
    interleaved = _interleaved(moving, level.radius * level.step, level.stride)
    thin = np.ascontiguousarray(fixed[:: level.stride, :: level.stride, :: level.stride])
    ends = [
        np.array([-(-min(i * level.block, length) // level.stride) for i in range(n + 1)], dtype=np.int64)
        for n, length in zip(blocks.counts, fixed.shape, strict=True)
    ]

    def rows(start: int, stop: int) -> None:
        _costs(thin, interleaved, ends[0], ends[1], ends[2], level.side, level.step, level.stride, out, start, stop)

    workers.ranges(rows, blocks.counts[0] * blocks.counts[1])
    return out


def _interleaved(codes: UInt64[np.ndarray, "z y x"], reach: int, stride: int) -> UInt64[np.ndarray, "s s s c h w"]:
    """Every ``stride``-th voxel from each start, the border repeated by ``reach``: rows of samples are contiguous."""
    padded = np.pad(codes, reach, mode="edge")
    shape = [-(-n // stride) for n in padded.shape]
    out = np.zeros((stride, stride, stride, *shape), dtype=np.uint64)
    for z, y, x in np.ndindex(stride, stride, stride):
        part = padded[z::stride, y::stride, x::stride]
        out[z, y, x, : part.shape[0], : part.shape[1], : part.shape[2]] = part
    return out


@kernel
def _squares(
    image: Float32[np.ndarray, "z y x"],
    z: int,
    shift: Int64[np.ndarray, " 3"],
    radius: int,
    out: Float32[np.ndarray, "y w"],
) -> None:
    """Squared differences of slice ``z`` and the shifted image; each row goes on by ``radius`` at both ends."""
    nz, ny, nx = image.shape
    dx = shift[2]
    z = min(max(z, 0), nz - 1)
    other = min(max(z + shift[0], 0), nz - 1)
    first, last = max(0, -dx), min(nx, nx - dx)
    for y in range(ny):
        here, there = image[z, y], image[other, min(max(y + shift[1], 0), ny - 1)]
        row = out[y, radius : radius + nx]
        for x in range(first):
            d = here[x] - there[0]
            row[x] = d * d
        a, b, inner = here[first:last], there[first + dx : last + dx], row[first:last]
        for x in range(last - first):
            d = a[x] - b[x]
            inner[x] = d * d
        for x in range(last, nx):
            d = here[x] - there[nx - 1]
            row[x] = d * d
        for x in range(radius):
            out[y, x] = row[0]
            out[y, radius + nx + x] = row[nx - 1]


@kernel
def _add(total: Float32[np.ndarray, " n"], part: Float32[np.ndarray, " n"]) -> None:
    for i in range(len(total)):
        total[i] += part[i]


@kernel
def _patch_distances(
    image: Float32[np.ndarray, "z y x"],
    shifts: Int64[np.ndarray, "6 3"],
    radius: int,
    pad: int,
    out: Float32[np.ndarray, "6 z y w"],
    start: int,
    stop: int,
) -> None:
    """Box means of squared differences of the image and its shifted selves, for slices ``start`` to ``stop``."""
    ny, nx = image.shape[1:]
    width = 2 * radius + 1
    scale = np.float32(1.0 / width**3)
    squares = np.empty((width, ny, nx + 2 * radius), dtype=np.float32)
    columns = np.empty((ny + 2 * radius, nx + 2 * radius), dtype=np.float32)
    row = np.empty(nx + 2 * radius, dtype=np.float32)
    for m in range(shifts.shape[0]):
        filled = start - radius
        for z in range(start, stop):
            # A ring holds the slices of the box, so that each is made once.
            while filled <= z + radius:
                _squares(image, filled, shifts[m], radius, squares[filled % width])
                filled += 1
            for y in range(ny):
                columns[y + radius] = squares[0, y]
                for k in range(1, width):
                    _add(columns[y + radius], squares[k, y])
            for k in range(radius):
                columns[k] = columns[radius]
                columns[ny + radius + k] = columns[ny + radius - 1]
            for y in range(ny):
                row[:] = columns[y]
                for k in range(1, width):
                    _add(row, columns[y + k])
                target = out[m, z, y, pad : pad + nx]
                target[:] = row[:nx]
                for k in range(1, width):
                    _add(target, row[k : k + nx])
                for x in range(nx):
                    target[x] *= scale
                out[m, z, y, :pad] = target[0]
                out[m, z, y, pad + nx :] = target[nx - 1]


@kernel
def _codes(
    maps: Float32[np.ndarray, "6 z y w"],
    places: Int64[np.ndarray, "12 3"],
    thresholds: Float32[np.ndarray, " 5"],
    pad: int,
    out: UInt64[np.ndarray, "z y x"],
    start: int,
    stop: int,
) -> None:
    """Thermometer codes of the twelve pairs, for slices ``start`` to ``stop``."""
    nz, ny, nx = out.shape
    least = np.empty(nx, dtype=np.float32)
    mean = np.empty(nx, dtype=np.float32)
    values = np.empty((PAIRS, nx), dtype=np.float32)
    one = np.uint64(1)
    for z in range(start, stop):
        for y in range(ny):
            for k in range(PAIRS):
                zz = min(max(z + places[k, 0], 0), nz - 1)
                yy = min(max(y + places[k, 1], 0), ny - 1)
                from_x = pad + places[k, 2]
                part = maps[k // 2, zz, yy, from_x : from_x + nx]
                mine = values[k]
                if k == 0:
                    for x in range(nx):
                        mine[x] = part[x]
                        least[x] = part[x]
                        mean[x] = part[x]
                else:
                    for x in range(nx):
                        v = part[x]
                        mine[x] = v
                        mean[x] += v
                        least[x] = v if v < least[x] else least[x]
            word = out[z, y]
            for x in range(nx):
                m = mean[x] * np.float32(1.0 / PAIRS) - least[x]
                mean[x] = m if m > np.float32(FLOOR_HU2) else np.float32(FLOOR_HU2)
                word[x] = np.uint64(0)
            for k in range(PAIRS):
                mine = values[k]
                for b in range(BITS):
                    bit = one << np.uint64(BITS * k + b)
                    limit = thresholds[b]
                    for x in range(nx):
                        word[x] |= bit if mine[x] - least[x] < limit * mean[x] else np.uint64(0)


def _popcount(_: Any, value: Any) -> Any:
    def codegen(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        count = builder.module.declare_intrinsic("llvm.ctpop", [word], ir.FunctionType(word, [word]))
        return builder.call(count, arguments)

    return types.uint64(value), codegen


popcount: Any = intrinsic(_popcount)
"""Number of set bits of a uint64, inside kernels only."""


@kernel
def _costs(
    fixed: UInt64[np.ndarray, "z y x"],
    moving: UInt64[np.ndarray, "s s s c h w"],
    ends_z: Int64[np.ndarray, " a"],
    ends_y: Int64[np.ndarray, " b"],
    ends_x: Int64[np.ndarray, " d"],
    side: int,
    step: int,
    stride: int,
    out: Float32[np.ndarray, "e n"],
    start: int,
    stop: int,
) -> None:
    """Costs of the rows of blocks along x from ``start`` to ``stop``."""
    columns = len(ends_x) - 1
    nx = fixed.shape[2]
    total = np.empty(nx, dtype=np.uint64)
    for row in range(start, stop):
        bz, by = row // (len(ends_y) - 1), row % (len(ends_y) - 1)
        z0, z1, y0, y1 = ends_z[bz], ends_z[bz + 1], ends_y[by], ends_y[by + 1]
        for label in range(side**3):
            oz, oy, ox = label // (side * side) * step, label // side % side * step, label % side * step
            shifted = moving[oz % stride, oy % stride, ox % stride]
            first = ox // stride
            for x in range(nx):
                total[x] = 0
            for z in range(z0, z1):
                for y in range(y0, y1):
                    here = fixed[z, y]
                    there = shifted[z + oz // stride, y + oy // stride, first : first + nx]
                    # The compiler turns this loop into vector popcounts; it decides the speed of the whole search.
                    for x in range(nx):
                        total[x] += popcount(here[x] ^ there[x])
            for column in range(columns):
                bits = np.uint64(0)
                for x in range(ends_x[column], ends_x[column + 1]):
                    bits += total[x]
                samples = (z1 - z0) * (y1 - y0) * (ends_x[column + 1] - ends_x[column])
                # A block at the border may be too thin to hold a sample: its neighbours decide.
                out[row * columns + column, label] = np.float32(bits) / np.float32(max(samples, 1))
