"""Displacement of every block on a tree: min-sum belief propagation with a quadratic penalty (Heinrich et al., Sec. 3).

On a tree this is exact: no other choice of displacements costs less in all.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from livercascade.alignment.kernel import kernel
from livercascade.alignment.tree import Tree


def best_steps(
    cost: Float32[np.ndarray, "b n"], tree: Tree, prior: Float32[np.ndarray, "b 3"], weight: float
) -> Int64[np.ndarray, "b 3"]:
    """Steps (z, y, x) per block, of least total cost over the whole tree.

    The total is ``sum_i cost[i, l_i] + weight sum_i |l_i + prior_i - l_parent(i) - prior_parent(i)|^2``. Fractions of a
    step are not guessed from the costs beside the best one: they would move a pair that is aligned already.

    Args:
        cost: Per block and label, labels in order z, y, x round no displacement; overwritten.
        tree: Over the blocks.
        prior: Displacement already there, in steps (z, y, x).
        weight: Of the penalty per squared step.
    """
    _gather(cost, tree.order, tree.parent, prior, weight)
    labels = np.empty(len(cost), dtype=np.int64)
    _choose(cost, tree.order, tree.parent, prior, weight, labels)
    side = round(cost.shape[1] ** (1 / 3))
    return np.stack(np.unravel_index(labels, (side, side, side)), axis=-1) - side // 2


@kernel
def least_over_neighbour(
    one: Float32[np.ndarray, " n"],
    other: Float32[np.ndarray, " n"],
    weight: np.float32,
    gap: Float32[np.ndarray, " 3"],
) -> None:
    """Replace ``one[l]`` by ``min over k of one[k] + weight |k + gap - l|^2`` (separable min-convolution).

    Args:
        one: Per label (in order z, y, x); overwritten.
        other: Room for work.
        weight: Per squared step.
        gap: What the displacement of the sender has more than that of the receiver, in steps (z, y, x).
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
        least_over_neighbour(one, other, np.float32(weight), gap)
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
