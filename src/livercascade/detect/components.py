"""Connected parts of a region, as the paper joins pixels (eq. 4), from its runs along x.

Pixels of a slice that touch by edge or corner belong together; so do pixels straight above each other.
`scipy.ndimage.label` knows this neighbourhood by its ``structure`` and is the oracle of the tests. It looks at every
voxel of the air round a lesion; the runs are few, and what touches what among them is a search in sorted numbers,
which takes an eighth of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Shaped, UInt8

from livercascade.data.grid import Shape
from livercascade.data.lesion import Box

Region = Bool[np.ndarray, "z y x"] | UInt8[np.ndarray, "z y x"]


def components(region: Region, *, least: float = 1.0) -> Iterator[tuple[Box, Bool[np.ndarray, "a b c"]]]:
    """Box and mask inside the box of every connected part of one value but 0, in the order of their first voxel.

    Args:
        region: Parts of different values are never joined.
        least: Parts of fewer voxels are left out.
    """
    runs = _Runs.of(region)
    if not len(runs.first):
        return
    number = runs.joined()
    order = np.argsort(number, kind="stable")
    begin = np.flatnonzero(np.diff(number[order], prepend=-1))
    length = (runs.last - runs.first + 1)[order]
    keep = np.add.reduceat(length, begin) >= least
    low = np.stack(np.unravel_index(runs.first, runs.shape))[:, order]
    high = low.copy()
    high[2] += length - 1
    first, size = np.minimum.reduceat(low, begin, axis=1), np.maximum.reduceat(high, begin, axis=1)
    size += 1 - first
    # The masks of all boxes lie one behind the other; those of parts that are left out take no room.
    room = size.prod(axis=0) * keep
    start = np.cumsum(room) - room
    of = np.repeat(np.arange(len(begin)), np.diff(begin, append=len(order)))
    z, y, x = low - first[:, of]
    place = (start[of] + (z * size[1, of] + y) * size[2, of] + x)[keep[of]]
    masks = _filled(place, place + length[keep[of]], int(room.sum()))
    for part in np.argsort(order[begin]).tolist():
        if keep[part]:
            (bz, by, bx), (nz, ny, nx) = first[:, part].tolist(), size[:, part].tolist()
            mask = masks[start[part] : start[part] + room[part]].reshape(nz, ny, nx)
            yield (slice(bz, bz + nz), slice(by, by + ny), slice(bx, bx + nx)), mask.copy()


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Runs of one value but 0 along x, in the order of their voxels.

    Attributes:
        first, last: Flat indices of the first and last voxel of each.
        value: Value of each.
        shape: Shape of the region.
    """

    first: Int64[np.ndarray, " n"]
    last: Int64[np.ndarray, " n"]
    value: Shaped[np.ndarray, " n"]
    shape: Shape

    @classmethod
    def of(cls, region: Region) -> _Runs:
        """Runs of a region."""
        found = np.flatnonzero(region)
        values = region.reshape(-1)[found]
        z, y, x = region.shape
        ends = (np.diff(found) != 1) | (np.diff(values) != 0) | (found[1:] % x == 0)
        edge = np.ones(min(len(found), 1), dtype=np.bool_)
        first = np.concatenate((edge, ends))
        return cls(found[first], found[np.concatenate((ends, edge))], values[first], (z, y, x))

    def joined(self) -> Shaped[np.ndarray, " n"]:
        """Number of the connected part of each run, from 0 on."""
        # Not at the top: the command line's help would wait for it.
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        one, two = np.concatenate((self._touching_in_slice(), self._touching_above()), axis=1)
        same = self.value[one] == self.value[two]
        one, two, count = one[same], two[same], len(self.first)
        graph = coo_array((np.ones(len(one), dtype=np.int8), (one, two)), shape=(count, count))
        return connected_components(graph, directed=False)[1]

    def _touching_in_slice(self) -> Int64[np.ndarray, "2 m"]:
        """Pairs of runs of neighbouring rows of a slice that touch by edge or corner."""
        _, height, width = self.shape
        following = self.first // width + 1
        # One pixel further on either side, since corners touch too; cut at the ends of the row.
        low = np.maximum(self.first + width - 1, following * width)
        high = np.minimum(self.last + width + 1, (following + 1) * width - 1)
        # The row after the last of a slice belongs to the next slice: it meets none.
        return self._meeting(low, np.where(following % height == 0, -1, high))

    def _touching_above(self) -> Int64[np.ndarray, "2 m"]:
        """Pairs of runs of neighbouring slices that share a pixel."""
        area = self.shape[1] * self.shape[2]
        return self._meeting(self.first + area, self.last + area)

    def _meeting(self, low: Int64[np.ndarray, " n"], high: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "2 m"]:
        """Each run with every run that meets its stretch from ``low`` to ``high``."""
        begin = np.searchsorted(self.last, low)
        count = np.maximum(np.searchsorted(self.first, high, side="right") - begin, 0)
        one = np.repeat(np.arange(len(low)), count)
        return np.stack((one, np.arange(len(one)) + (begin - np.cumsum(count) + count)[one]))


def _filled(start: Int64[np.ndarray, " n"], stop: Int64[np.ndarray, " n"], size: int) -> Bool[np.ndarray, " size"]:
    """True in stretches that do not overlap."""
    level = np.zeros(size + 1, dtype=np.int8)
    level[start] += 1
    level[stop] -= 1
    return np.cumsum(level, dtype=np.int8, out=level)[:size].view(np.bool_)
