"""Windows inside a lesion that is too large to be moved, or to fit a patch; an extension of the paper."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from livercascade.data.lesion import Lesion
from livercascade.reclassification.patches import PATCH_SHAPE, Patch, PatchVolume, Scheme, cut_patch

CORE = 0.75
"""Share of a window, along each axis, in which lesion is judged: nearer to the border the network sees too little."""
MOST = 3
"""Windows along an axis, unless cores side by side need more to cover the lesion."""


def lesion_windows(lesion: Lesion, volume: PatchVolume) -> Iterator[Patch]:
    """Patches whose cores cover the lesion, each voxel by one or more; nothing is moved and nothing is random.

    Cores begin half a core apart or nearer, so that a lesion that fits into one is seen at several places of it.

    Args:
        lesion: The lesion, with its box in the array of ``volume``.
        volume: Image and patch classes of the patient.
    """
    cores = [round(CORE * n) for n in PATCH_SHAPE]
    voxels = np.argwhere(lesion.mask) + [s.start for s in lesion.bbox]
    along = [_starts(s.start, s.stop, core) for s, core in zip(lesion.bbox, cores, strict=True)]
    for first in itertools.product(*along):
        inside = ((voxels >= first) & (voxels < np.add(first, cores))).all(axis=1)
        if inside.any():
            yield _window(voxels[inside], volume, np.array(first) - (np.array(PATCH_SHAPE) - cores) // 2)


def _starts(low: int, high: int, core: int) -> list[int]:
    """First voxels of the cores along one axis, evenly from one that ends with the lesion to one that begins with it,
    or the other way round where the lesion is the longer.
    """
    length = high - low
    count = min(math.ceil(2 * length / core), max(MOST, math.ceil(length / core)))
    first, last = sorted((low, high - core))
    return sorted({round(v) for v in np.linspace(first, last, count).tolist()})


def _window(voxels: Int[np.ndarray, "n 3"], volume: PatchVolume, start: Int[np.ndarray, " 3"]) -> Patch:
    z, y, x = (int(v) for v in start)
    image, labels = cut_patch(volume, (z, y, x))
    mask = np.zeros(PATCH_SHAPE, dtype=bool)
    mask[tuple((voxels - start).T)] = True
    return Patch(image, labels, mask, Scheme.ORIGINAL_POSITIVE, (z, y, x))
