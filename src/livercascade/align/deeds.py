"""Dense displacement sampling: coarse to fine, forth and back (Heinrich et al., MICCAI 2013, Sec. 3)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, UInt64

from livercascade.align.belief import best_steps
from livercascade.align.blocks import Blocks, Image, Vectors
from livercascade.align.cost import matching_cost
from livercascade.align.kernel import Workers
from livercascade.align.sampling import displaced_image
from livercascade.align.settings import Level
from livercascade.align.ssc import describe
from livercascade.align.tree import Tree, spanning_tree

_CONSISTENCY_STEPS = 8


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
    codes: dict[tuple[int, int], tuple[UInt64[np.ndarray, "z y x"], UInt64[np.ndarray, "z y x"]]] = {}
    for level in levels:
        blocks = Blocks.over(shape, level.block)
        kind = (level.distance, level.patch)
        if kind not in codes:
            codes = {kind: (describe(fixed, *kind, workers), describe(moving, *kind, workers))}
        of_fixed, of_moving = codes[kind]
        moved = describe(displaced(moving, forth, workers), *kind, workers) if forth.any() else of_moving
        costs = [matching_cost(of_fixed, moved, level, workers)]
        moved = describe(displaced(fixed, back, workers), *kind, workers) if back.any() else of_fixed
        costs.append(matching_cost(of_moving, moved, level, workers))
        priors = [blocks.sample(forth), blocks.sample(back)]
        trees = [spanning_tree(blocks.means(image)) for image in (fixed, moving)]
        jobs = [_job(c, t, p, level, stiffness) for c, t, p in zip(costs, trees, priors, strict=True)]
        found = [vectors.reshape(*blocks.counts, 3) for vectors in workers.each(jobs)]
        found = blocks.consistent(found[0], found[1], _CONSISTENCY_STEPS)
        forth, back = (blocks.dense(vectors, workers) for vectors in found)
        advance()
    return forth, back


def displaced(image: Image, shift: Vectors, workers: Workers) -> Image:
    """An image sampled at displaced places, its border repeated."""
    out = np.empty_like(image)
    workers.ranges(lambda start, stop: displaced_image(image, shift, out, start, stop), image.shape[0])
    return out


def _job(
    cost: Float32[np.ndarray, "b n"], tree: Tree, prior: Float32[np.ndarray, "b 3"], level: Level, stiffness: float
) -> Callable[[], Float32[np.ndarray, "b 3"]]:
    """Displacements of the blocks in voxels: those already there and the best step on the tree."""

    def run() -> Float32[np.ndarray, "b 3"]:
        step = np.float32(level.step)
        steps = best_steps(cost, tree, prior / step, stiffness * level.step**2)
        return prior + steps.astype(np.float32) * step

    return run
