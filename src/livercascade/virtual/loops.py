"""Compiled loops over the fine tissue map: the steps that touch every voxel."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from livercascade.alignment.kernel import kernel


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
            if lowest > levels[0]:
                continue
            for i in range(bounds[2, 0], bounds[2, 1]):
                x0 = min(int(i * step_x), c - 2)
                value = line[x0] + (line[x0 + 1] - line[x0]) * np.float32(i * step_x - x0)
                if value <= levels[0] and free[tissue[k, j, i]]:
                    for n in range(levels.size):
                        if value <= levels[n]:
                            tissue[k, j, i] = values[n]


@kernel
def slice_means(
    tissue: UInt8[np.ndarray, "fine y x"],
    table: Float32[np.ndarray, " 256"],
    shift: Int64[np.ndarray, " 3"],
    subslices: int,
    out: Float32[np.ndarray, "z y x"],
) -> None:
    """Mean of a value per tissue over each slice's thickness, of the map displaced by ``shift`` fine voxels.

    What moves in repeats the border.
    """
    depth, height, width = tissue.shape
    share = np.float32(1.0 / subslices)
    for k in range(out.shape[0]):
        out[k] = 0.0
        for s in range(subslices):
            z = min(max(k * subslices + s - shift[0], 0), depth - 1)
            for j in range(height):
                y = min(max(j - shift[1], 0), height - 1)
                for i in range(width):
                    x = min(max(i - shift[2], 0), width - 1)
                    out[k, j, i] += table[tissue[z, y, x]]
        out[k] *= share


@kernel
def slice_modes(
    tissue: UInt8[np.ndarray, "fine y x"],
    table: UInt8[np.ndarray, " 256"],
    favoured: Bool[np.ndarray, " 256"],
    subslices: int,
    out: UInt8[np.ndarray, "z y x"],
) -> None:
    """Value of ``table`` that fills most of each slice's thickness; favoured values win ties, then the lowest."""
    votes = np.zeros(256, dtype=np.int32)
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            for i in range(out.shape[2]):
                first = table[tissue[k * subslices, j, i]]
                alike = True
                for s in range(1, subslices):
                    if table[tissue[k * subslices + s, j, i]] != first:
                        alike = False
                if alike:
                    out[k, j, i] = first
                    continue
                best, most = 0, -1
                for s in range(subslices):
                    votes[table[tissue[k * subslices + s, j, i]]] = 0
                for s in range(subslices):
                    votes[table[tissue[k * subslices + s, j, i]]] += 2
                for s in range(subslices):
                    value = table[tissue[k * subslices + s, j, i]]
                    count = votes[value] + (1 if favoured[value] else 0)
                    if count > most or (count == most and value < best):
                        best, most = value, count
                out[k, j, i] = best
