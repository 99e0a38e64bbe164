"""Radiological view of an array: the patient's right on the left of the picture, the front on top."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Shaped

from livercascade.data.grid import Grid, Shape, Triple
from livercascade.data.lesion import Box

_SUPERIOR, _POSTERIOR, _LEFT = 2, 1, 0


@dataclass(frozen=True, slots=True)
class View:
    """How array axes are turned so that they grow to the head, the back and the patient's left.

    Attributes:
        order: Array axes that lie closest to head-foot, front-back and right-left.
        flips: True for each of these that has to be mirrored.
        spacing: Voxel distances in mm along head-foot, front-back and right-left.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    spacing: Triple

    @classmethod
    def of(cls, grid: Grid) -> View:
        """View for a grid; an oblique grid is shown along its nearest axes."""
        along = np.asarray(grid.direction)[:, [_SUPERIOR, _POSTERIOR, _LEFT]]
        z, y, x = max(permutations(range(3)), key=lambda p: float(sum(abs(along[axis, i]) for i, axis in enumerate(p))))
        flips = (bool(along[z, 0] < 0), bool(along[y, 1] < 0), bool(along[x, 2] < 0))
        return cls((z, y, x), flips, (grid.spacing[z], grid.spacing[y], grid.spacing[x]))

    def axial(self, array: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "s p l"]:
        """The array, without a copy, as axial pictures from foot to head: first row in front, first column right."""
        steps = tuple(slice(None, None, -1 if flip else None) for flip in self.flips)
        return np.transpose(array, self.order)[steps]

    def box(self, box: Box, shape: Shape) -> Box:
        """Slices of an array of ``shape`` as slices of its axial pictures."""
        turned = [
            slice(shape[axis] - box[axis].stop, shape[axis] - box[axis].start) if flip else box[axis]
            for axis, flip in zip(self.order, self.flips, strict=True)
        ]
        return turned[0], turned[1], turned[2]

    def coronal(self, array: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "p s l"]:
        """The array, without a copy, as coronal pictures from front to back: first row at the head."""
        return np.transpose(self.axial(array)[::-1], (1, 0, 2))

    def source_slice(self, index: int, count: int) -> int:
        """Index, in the array as stored, of axial picture ``index`` of ``count``."""
        return count - 1 - index if self.flips[0] else index
