"""Lesion detections: one connected finding with its mask, type, size and place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from jaxtyping import Bool, Int32

from livercascade.data.grid import Shape, Triple
from livercascade.data.labels import LesionType

Box = tuple[slice, slice, slice]


def grown(box: Box, margin: Shape, shape: Shape) -> Box:
    """The box widened by ``margin`` voxels on every side, cut at the array's edges."""
    low = [max(0, int(s.start) - m) for s, m in zip(box, margin, strict=True)]
    high = [min(n, int(s.stop) + m) for s, m, n in zip(box, margin, shape, strict=True)]
    return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))


# Compared by identity: arrays have no single truth value.
@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """One detection (``Det`` in the paper).

    Attributes:
        label: Lesion type by volume vote over the mask.
        volume_ml: Volume in ml.
        centroid: Centre of mass in LPS mm (x, y, z).
        bbox: Slices (z, y, x) of the box round the lesion in the whole array.
        mask: Voxels of the lesion inside ``bbox``.
        type_volumes: ml of each type inside the mask.
    """

    label: LesionType
    volume_ml: float
    centroid: Triple
    bbox: Box
    mask: Bool[np.ndarray, "z y x"]
    type_volumes: Mapping[LesionType, float] = field(default_factory=dict[LesionType, float])


@dataclass(frozen=True, slots=True, eq=False)
class LesionSet(Sequence[Lesion]):
    """Lesions of one label map, largest first; they never overlap.

    Attributes:
        lesions: The lesions.
        shape: Shape of the whole array.
        spacing: Voxel spacing (z, y, x) in mm.
    """

    lesions: tuple[Lesion, ...]
    shape: Shape
    spacing: Triple

    def __len__(self) -> int:
        return len(self.lesions)

    @overload
    def __getitem__(self, index: int) -> Lesion: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Lesion, ...]: ...
    def __getitem__(self, index: int | slice) -> Lesion | tuple[Lesion, ...]:
        return self.lesions[index]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(np.prod(self.spacing)) / 1000.0

    def instances(self, box: Box | None = None) -> Int32[np.ndarray, "z y x"]:
        """Map with 0 outside and ``i + 1`` in lesion ``i``; with a box, that part of the map alone."""
        whole = box or tuple(slice(0, n) for n in self.shape)
        out = np.zeros([side.stop - side.start for side in whole], dtype=np.int32)
        for number, lesion in enumerate(self.lesions, start=1):
            common = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(whole, lesion.bbox, strict=True)]
            if all(low < high for low, high in common):
                here, there = (
                    tuple(slice(low - s.start, high - s.start) for (low, high), s in zip(common, sides, strict=True))
                    for sides in (whole, lesion.bbox)
                )
                out[here][lesion.mask[there]] = number
        return out

    def where(self, keep: Sequence[bool]) -> LesionSet:
        """The lesions whose entry in ``keep`` is true, in the same order.

        Raises:
            ValueError: ``keep`` has another length.
        """
        chosen = tuple(lesion for lesion, k in zip(self.lesions, keep, strict=True) if k)
        return LesionSet(chosen, self.shape, self.spacing)


def with_margin(
    lesion: Lesion, shape: tuple[int, ...], spacing: Triple, margin_mm: float
) -> tuple[Box, Bool[np.ndarray, "z y x"]]:
    """The lesion's box widened by a margin as far as the array goes, and the lesion in it.

    Args:
        lesion: The lesion.
        shape: Shape of the whole array (z, y, x).
        spacing: Voxel spacing (z, y, x) in mm.
        margin_mm: Width on every side.
    """
    margin = tuple(math.ceil(margin_mm / s) for s in spacing)
    box = grown(lesion.bbox, (margin[0], margin[1], margin[2]), (shape[0], shape[1], shape[2]))
    inside = np.zeros([side.stop - side.start for side in box], dtype=np.bool_)
    place = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(lesion.bbox, box, strict=True))
    inside[place] = lesion.mask
    return box, inside
