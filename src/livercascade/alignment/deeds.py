"""DEEDS, dense displacement sampling: coarse to fine, forth and back (Heinrich et al., MICCAI 2013, Sec. 3)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, UInt64

from livercascade.alignment.align_settings import SearchLevel
from livercascade.alignment.belief_propagation import best_steps, spanning_tree
from livercascade.alignment.compiled_loops import AlignmentThreads
from livercascade.alignment.control_points import BlockGrid, Vectors
from livercascade.alignment.sampling import displaced_image
from livercascade.alignment.self_similarity import matching_cost, self_similarity_codes

HuImage = Float32[np.ndarray, "z y x"]
Codes = UInt64[np.ndarray, "z y x"]
# The mean of both directions converges fast: after eight steps they agree to a fraction of a voxel.
_CONSISTENCY_STEPS = 8


def search_displacements(
    fixed: HuImage,
    moving: HuImage,
    levels: tuple[SearchLevel, ...],
    stiffness: float,
    workers: AlignmentThreads,
    *,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Vectors, Vectors]:
    """Displacements that carry ``moving`` onto ``fixed`` and back, in voxels (z, y, x).

    Args:
        fixed: HU on an isotropic grid.
        moving: HU on the same grid.
        levels: Levels of the search from coarse to fine.
        stiffness: Differing bits that a squared voxel of difference between neighbouring blocks costs.
        workers: Threads; the result does not depend on their number.
        advance: Called after each level.
    """
    shape = (fixed.shape[0], fixed.shape[1], fixed.shape[2])
    forth = np.zeros((*shape, 3), dtype=np.float32)
    back = forth.copy()
    codes: dict[tuple[int, int], tuple[Codes, Codes]] = {}
    for level in levels:
        kind = (level.distance, level.patch)
        # Levels of one distance share the descriptors; those of the last one are dropped to save memory.
        if kind not in codes:
            codes.clear()
            codes[kind] = (self_similarity_codes(fixed, *kind, workers), self_similarity_codes(moving, *kind, workers))
        still, other = codes[kind]
        blocks = BlockGrid.over(shape, level.block)
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


def _moved(image: HuImage, codes: Codes, field: Vectors, level: SearchLevel, workers: AlignmentThreads) -> Codes:
    """Descriptors of the displaced image; those of the image itself while nothing is displaced."""
    if not field.any():
        return codes
    return self_similarity_codes(displaced(image, field, workers), level.distance, level.patch, workers)


def _best(
    image: HuImage,
    codes: Codes,
    moved: Codes,
    field: Vectors,
    level: SearchLevel,
    stiffness: float,
    workers: AlignmentThreads,
) -> Float32[np.ndarray, "a b c 3"]:
    """Displacements at the centres of the blocks: those already there and the best steps on the image's tree."""
    blocks = BlockGrid.over((image.shape[0], image.shape[1], image.shape[2]), level.block)
    prior, step = blocks.sample(field), np.float32(level.step)
    cost = matching_cost(codes, moved, level, workers)
    steps = best_steps(cost, spanning_tree(blocks.means(image)), prior / step, stiffness * level.step**2)
    return (prior + steps.astype(np.float32) * step).reshape(*blocks.counts, 3)


def displaced(image: HuImage, shift: Vectors, workers: AlignmentThreads) -> HuImage:
    """An image sampled at displaced places, its border repeated."""
    out = np.empty_like(image)
    workers.ranges(lambda start, stop: displaced_image(image, shift, out, start, stop), image.shape[0])
    return out
