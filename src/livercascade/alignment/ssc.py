"""Self-similarity context: how alike the neighbours of a voxel are, as 60 bits (Heinrich et al., MICCAI 2013, Sec. 2).

The six neighbours of a voxel at distance ``q`` form twelve pairs that are not opposite each other. The mean squared
difference of the patches of a pair, against that of the others, does not change when contrast does. Distances between
two descriptors are counts of differing bits.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64, UInt64

from livercascade.alignment.kernel import kernel
from livercascade.alignment.workers import Workers

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


def describe(
    image: Float32[np.ndarray, "z y x"], distance: int, radius: int, workers: Workers
) -> UInt64[np.ndarray, "z y x"]:
    """SSC of an image as one word per voxel: bits ``5 k`` to ``5 k + 4`` are the thermometer code of pair k.

    Args:
        image: HU on an isotropic grid.
        distance: ``q``, voxels from the centre to its neighbours.
        radius: Of the patches, which are cubes of ``2 radius + 1`` voxels; the border is repeated outside.
        workers: Share the slices.
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
