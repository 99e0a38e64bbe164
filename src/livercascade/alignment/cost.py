"""Matching cost of every displacement of every block: mean number of differing bits of self-similarity."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64, UInt64

from livercascade.alignment.blocks import Blocks
from livercascade.alignment.kernel import kernel, popcount
from livercascade.alignment.settings import Level
from livercascade.alignment.workers import Workers


def matching_cost(
    fixed: UInt64[np.ndarray, "z y x"], moving: UInt64[np.ndarray, "z y x"], level: Level, workers: Workers
) -> Float32[np.ndarray, "b n"]:
    """Mean differing bits, 0 to 60, per block and displacement, both in order z, y, x; 0 for a block without samples.

    Args:
        fixed: Descriptors.
        moving: Descriptors on the same grid; outside, the border is repeated.
        level: Size of the blocks, displacements and samples.
        workers: Share the rows of blocks.
    """
    blocks = Blocks.over((fixed.shape[0], fixed.shape[1], fixed.shape[2]), level.block)
    out = np.empty((blocks.count, level.side**3), dtype=np.float32)
    lattice = _lattice(moving, level.radius * level.step, level.stride)
    thin = np.ascontiguousarray(fixed[:: level.stride, :: level.stride, :: level.stride])
    ends = [
        np.array([-(-min(i * level.block, length) // level.stride) for i in range(n + 1)], dtype=np.int64)
        for n, length in zip(blocks.counts, fixed.shape, strict=True)
    ]

    def rows(start: int, stop: int) -> None:
        _costs(thin, lattice, ends[0], ends[1], ends[2], level.side, level.step, level.stride, out, start, stop)

    workers.ranges(rows, blocks.counts[0] * blocks.counts[1])
    return out


def _lattice(codes: UInt64[np.ndarray, "z y x"], reach: int, stride: int) -> UInt64[np.ndarray, "s s s c h w"]:
    """Every ``stride``-th voxel from each start, the border repeated by ``reach``: rows of samples are contiguous."""
    padded = np.pad(codes, reach, mode="edge")
    shape = [-(-n // stride) for n in padded.shape]
    out = np.zeros((stride, stride, stride, *shape), dtype=np.uint64)
    for z, y, x in np.ndindex(stride, stride, stride):
        part = padded[z::stride, y::stride, x::stride]
        out[z, y, x, : part.shape[0], : part.shape[1], : part.shape[2]] = part
    return out


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
