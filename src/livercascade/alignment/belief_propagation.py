"""Displacement of every block on a tree: min-sum belief propagation with a quadratic penalty (Heinrich et al., Sec. 3).

The tree joins neighbouring blocks of similar intensity, which are likely to move together. On a tree min-sum is exact:
no other choice of displacements costs less in all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from livercascade.alignment.compiled_loops import kernel


@dataclass(frozen=True, slots=True, eq=False)
class SpanningTree:
    """Spanning tree of the blocks.

    Attributes:
        order: Blocks from the root outwards.
        parent: Neighbour of each block towards the root; -1 for the root.
    """

    order: Int64[np.ndarray, " b"]
    parent: Int64[np.ndarray, " b"]


def edges(blocks: tuple[int, int, int]) -> Int64[np.ndarray, "e 2"]:
    """Pairs of blocks that share a face, blocks numbered in order z, y, x."""
    number = np.arange(int(np.prod(blocks))).reshape(blocks)
    pairs = [
        np.stack([number[:-1].ravel(), number[1:].ravel()], axis=1),
        np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], axis=1),
        np.stack([number[:, :, :-1].ravel(), number[:, :, 1:].ravel()], axis=1),
    ]
    return np.concatenate(pairs)


def spanning_tree(means: Float32[np.ndarray, "a b c"]) -> SpanningTree:
    """Minimum spanning tree of the blocks, an edge costing the difference of their mean intensities.

    Args:
        means: Mean HU of each block.
    """
    pairs = edges((means.shape[0], means.shape[1], means.shape[2]))
    flat = means.ravel().astype(np.float64)
    # One is added because a sparse graph holds no edges of weight zero.
    weights = np.abs(flat[pairs[:, 0]] - flat[pairs[:, 1]]) + 1.0
    size = flat.size
    graph = coo_array((weights, (pairs[:, 0], pairs[:, 1])), shape=(size, size)).tocsr()
    tree = minimum_spanning_tree(graph)
    root = int(np.ravel_multi_index(tuple(n // 2 for n in means.shape), means.shape))
    order, parent = breadth_first_order(tree, root, directed=False)
    return SpanningTree(order.astype(np.int64), np.where(parent < 0, -1, parent).astype(np.int64))


def best_steps(
    cost: Float32[np.ndarray, "b n"], tree: SpanningTree, prior: Float32[np.ndarray, "b 3"], weight: float
) -> Int64[np.ndarray, "b 3"]:
    """Displacement of each block in steps (z, y, x), of least total cost over the whole tree.

    The total is ``sum_i cost[i, l_i] + weight sum_i |l_i + prior_i - l_parent(i) - prior_parent(i)|^2``. Fractions of a
    step are not guessed from the costs beside the best one: they would move a pair that is aligned already.

    Args:
        cost: Matching cost per block and displacement, in order z, y, x, no displacement in the middle; overwritten.
        tree: Tree over the blocks.
        prior: Displacement of each block so far, in steps (z, y, x).
        weight: Penalty per squared step.
    """
    _gather(cost, tree.order, tree.parent, prior, weight)
    labels = np.empty(len(cost), dtype=np.int64)
    _choose(cost, tree.order, tree.parent, prior, weight, labels)
    side = round(cost.shape[1] ** (1 / 3))
    return np.stack(np.unravel_index(labels, (side, side, side)), axis=-1) - side // 2


@kernel
def min_convolution(
    one: Float32[np.ndarray, " n"],
    other: Float32[np.ndarray, " n"],
    weight: np.float32,
    gap: Float32[np.ndarray, " 3"],
) -> None:
    """Replace ``one[l]`` by ``min over k of one[k] + weight |k + gap - l|^2`` (separable min-convolution).

    Args:
        one: Value per displacement, in order z, y, x; overwritten.
        other: Scratch array of the same size.
        weight: Penalty per squared step.
        gap: Displacement of the sender so far minus that of the receiver, in steps (z, y, x).
    """
    count = one.shape[0]
    side = round(count ** (1.0 / 3.0))
    square = side * side
    for axis in range(3):
        # Least over the first axis, whose rows are contiguous; then turned so that the next axis comes first.
        for to in range(side):
            row = other[to * square : (to + 1) * square]
            d = gap[axis] - np.float32(to)
            p = weight * d * d
            for r in range(square):
                row[r] = one[r] + p
            for source in range(1, side):
                d = np.float32(source) + gap[axis] - np.float32(to)
                p = weight * d * d
                part = one[source * square : (source + 1) * square]
                for r in range(square):
                    v = part[r] + p
                    row[r] = v if v < row[r] else row[r]
        for r in range(square):
            for to in range(side):
                one[r * side + to] = other[to * square + r]


@kernel
def _gather(
    cost: Float32[np.ndarray, "b n"],
    order: Int64[np.ndarray, " b"],
    parent: Int64[np.ndarray, " b"],
    prior: Float32[np.ndarray, "b 3"],
    weight: float,
) -> None:
    """From the leaves to the root: add to each block's cost what its best branches cost, but for a constant."""
    count = cost.shape[1]
    one, other = np.empty(count, dtype=np.float32), np.empty(count, dtype=np.float32)
    gap = np.empty(3, dtype=np.float32)
    for i in range(len(order) - 1, 0, -1):
        child, up = order[i], parent[order[i]]
        for axis in range(3):
            gap[axis] = prior[child, axis] - prior[up, axis]
        mine, into = cost[child], cost[up]
        least = mine[0]
        for k in range(count):
            one[k] = mine[k]
            least = mine[k] if mine[k] < least else least
        min_convolution(one, other, np.float32(weight), gap)
        for k in range(count):
            into[k] += one[k] - least


@kernel
def _choose(
    cost: Float32[np.ndarray, "b n"],
    order: Int64[np.ndarray, " b"],
    parent: Int64[np.ndarray, " b"],
    prior: Float32[np.ndarray, "b 3"],
    weight: float,
    labels: Int64[np.ndarray, " b"],
) -> None:
    """From the root to the leaves: the best label of each block given that of its parent; the first of equals."""
    side = round(cost.shape[1] ** (1.0 / 3.0))
    square = side * side
    w = np.float32(weight)
    labels[order[0]] = np.argmin(cost[order[0]])
    for i in range(1, len(order)):
        child, up = order[i], parent[order[i]]
        at = labels[up]
        lowest = np.float32(np.inf)
        for z in range(side):
            dz = np.float32(z - at // square) + prior[child, 0] - prior[up, 0]
            for y in range(side):
                dy = np.float32(y - at // side % side) + prior[child, 1] - prior[up, 1]
                for x in range(side):
                    dx = np.float32(x - at % side) + prior[child, 2] - prior[up, 2]
                    label = (z * side + y) * side + x
                    v = cost[child, label] + w * (dz * dz + dy * dy + dx * dx)
                    if v < lowest:
                        lowest = v
                        labels[child] = label
