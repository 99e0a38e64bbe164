"""Dense displacement sampling: coarse to fine, forth and back (Heinrich et al., MICCAI 2013, Sec. 3)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, UInt64

from livercascade.alignment.belief import best_steps
from livercascade.alignment.blocks import Blocks, Image, Vectors
from livercascade.alignment.cost import matching_cost
from livercascade.alignment.sampling import displaced_image
from livercascade.alignment.settings import Level
from livercascade.alignment.ssc import describe
from livercascade.alignment.tree import spanning_tree
from livercascade.alignment.workers import Workers

_CONSISTENCY_STEPS = 8
Codes = UInt64[np.ndarray, "z y x"]


def search(
    fixed: Image,
    moving: Image,
    levels: tuple[Level, ...],
    stiffness: float,
    workers: Workers,
    *,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Vectors, Vectors]:
    """Displacements that carry ``moving`` onto ``fixed`` and back, in voxels (z, y, x).

    Args:
        fixed: HU on an isotropic grid.
        moving: HU on the same grid.
        levels: From coarse to fine.
        stiffness: Differing bits that a squared voxel of difference between neighbouring blocks costs.
        workers: Share the work; the result does not depend on them.
        advance: Called after each level.
    """
    shape = (fixed.shape[0], fixed.shape[1], fixed.shape[2])
    forth = np.zeros((*shape, 3), dtype=np.float32)
    back = forth.copy()
    codes: dict[tuple[int, int], tuple[Codes, Codes]] = {}
    for level in levels:
        kind = (level.distance, level.patch)
        if kind not in codes:
            codes.clear()
            codes[kind] = (describe(fixed, *kind, workers), describe(moving, *kind, workers))
        still, other = codes[kind]
        blocks = Blocks.over(shape, level.block)
        # One direction after the other, since the costs of one fill most of the memory.
        found = [
            _best(image, mine, _moved(source, theirs, field, level, workers), field, level, stiffness, workers)
            for image, mine, source, theirs, field in (
                (fixed, still, moving, other, forth),
                (moving, other, fixed, still, back),
            )
        ]
        found = blocks.consistent(found[0], found[1], _CONSISTENCY_STEPS)
        forth, back = (blocks.dense(vectors, workers) for vectors in found)
        advance()
    return forth, back


def _moved(image: Image, codes: Codes, field: Vectors, level: Level, workers: Workers) -> Codes:
    """Descriptors of the displaced image; those of the image itself while nothing is displaced."""
    if not field.any():
        return codes
    return describe(displaced(image, field, workers), level.distance, level.patch, workers)


def _best(
    image: Image, codes: Codes, moved: Codes, field: Vectors, level: Level, stiffness: float, workers: Workers
) -> Float32[np.ndarray, "a b c 3"]:
    """Displacements at the centres of the blocks: those already there and the best steps on the image's tree."""
    blocks = Blocks.over((image.shape[0], image.shape[1], image.shape[2]), level.block)
    prior, step = blocks.sample(field), np.float32(level.step)
    cost = matching_cost(codes, moved, level, workers)
    steps = best_steps(cost, spanning_tree(blocks.means(image)), prior / step, stiffness * level.step**2)
    return (prior + steps.astype(np.float32) * step).reshape(*blocks.counts, 3)


def displaced(image: Image, shift: Vectors, workers: Workers) -> Image:
    """An image sampled at displaced places, its border repeated."""
    out = np.empty_like(image)
    workers.ranges(lambda start, stop: displaced_image(image, shift, out, start, stop), image.shape[0])
    return out
