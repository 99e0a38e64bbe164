"""From fine slices to slices of the scan: mean of a value, and the label that fills most of the thickness."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from livercascade.alignment.compiled_loops import kernel
from livercascade.data.labels import LESION_TYPES
from livercascade.virtual.tissue_map import TissueMap

SliceValues = Float32[np.ndarray, "z y x"]
"""A value at every voxel of the scan's grid."""
AT_REST = (0, 0, 0)
"""No displacement, in fine voxels (z, y, x)."""


def true_labels(
    tissue_map: TissueMap, table: UInt8[np.ndarray, " 256"], subslices: int, *, favoured: tuple[int, ...] = LESION_TYPES
) -> UInt8[np.ndarray, "z y x"]:
    """Value that fills most of each slice's thickness.

    Args:
        tissue_map: Fine tissue map; its depth is a multiple of ``subslices``.
        table: Value of each tissue.
        subslices: Fine slices per slice.
        favoured: Values that win ties, lesions by default; between others the lowest wins.
    """
    depth, height, width = tissue_map.values.shape
    out = np.empty((depth // subslices, height, width), dtype=np.uint8)
    wins = np.zeros(256, dtype=bool)
    wins[list(favoured)] = True
    slice_modes(tissue_map.values, table, wins, subslices, out)
    return out


def averaged(
    tissue_map: TissueMap, table: Float32[np.ndarray, " 256"], subslices: int, shift: tuple[int, int, int] = AT_REST
) -> SliceValues:
    """Mean of a value per tissue over each slice's thickness, of the map displaced by ``shift`` fine voxels."""
    depth, height, width = tissue_map.values.shape
    out = np.empty((depth // subslices, height, width), dtype=np.float32)
    values = np.ascontiguousarray(table, dtype=np.float32)
    slice_means(tissue_map.values, values, np.array(shift, dtype=np.int64), subslices, out)
    return out


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
                # Most voxels lie inside one tissue, and need no count.
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
                # Two for each vote and one for a favoured value: it wins ties, and nothing else.
                for s in range(subslices):
                    votes[table[tissue[k * subslices + s, j, i]]] += 2
                for s in range(subslices):
                    value = table[tissue[k * subslices + s, j, i]]
                    count = votes[value] + (1 if favoured[value] else 0)
                    if count > most or (count == most and value < best):
                        best, most = value, count
                out[k, j, i] = best
