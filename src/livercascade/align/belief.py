"""Displacement of every block on a tree: min-sum belief propagation with a quadratic penalty (Heinrich et al., Sec. 3).

On a tree this is exact. Costs become min-marginals: the least total cost of all assignments that give a block a label.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from livercascade.align.kernel import kernel


def best_steps(marginals: Float32[np.ndarray, "b n"], radius: int) -> Float32[np.ndarray, "b 3"]:
    """Label of least cost per block as steps (z, y, x), to a fraction by a parabola through its neighbours.

    Args:
        marginals: Min-marginals, labels in order z, y, x.
        radius: Labels go from ``-radius`` to ``radius`` along each axis.
    """
    out = np.empty((len(marginals), 3), dtype=np.float32)
    _best(marginals, radius, out)
    return out


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
def propagate(
    cost: Float32[np.ndarray, "b n"],
    order: Int64[np.ndarray, " b"],
    parent: Int64[np.ndarray, " b"],
    prior: Float32[np.ndarray, "b 3"],
    weight: float,
) -> None:
    """Turn costs into min-marginals, but for a constant per block.

    The total is ``sum_i cost[i, l_i] + weight sum_i |l_i + prior_i - l_parent(i) - prior_parent(i)|^2``.

    Args:
        cost: Per block and label (in order z, y, x); overwritten.
        order: Blocks from the root outwards.
        parent: Per block.
        prior: Displacement already there, in steps (z, y, x).
        weight: Of the penalty per squared step.
    """
    count = cost.shape[1]
    w = np.float32(weight)
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
        least_over_neighbour(one, other, w, gap)
        for k in range(count):
            into[k] += one[k] - least
    for i in range(1, len(order)):
        child, up = order[i], parent[order[i]]
        mine, above = cost[child], cost[up]
        for axis in range(3):
            gap[axis] = prior[child, axis] - prior[up, axis]
        for k in range(count):
            one[k] = mine[k]
        least_over_neighbour(one, other, w, gap)
        # What the child itself told its parent is taken out again.
        least = above[0] - one[0]
        for k in range(count):
            one[k] = above[k] - one[k]
            least = one[k] if one[k] < least else least
        for axis in range(3):
            gap[axis] = -gap[axis]
        least_over_neighbour(one, other, w, gap)
        for k in range(count):
            mine[k] += one[k] - least


@kernel
def _best(marginals: Float32[np.ndarray, "b n"], radius: int, out: Float32[np.ndarray, "b 3"]) -> None:
    side = 2 * radius + 1
    for i in range(marginals.shape[0]):
        row = marginals[i]
        at = np.argmin(row)
        stride = side * side
        for axis in range(3):
            place = at // stride % side
            fraction = np.float32(0)
            if 0 < place < side - 1:
                below, above = row[at - stride], row[at + stride]
                curve = below - np.float32(2) * row[at] + above
                if curve > 0:
                    fraction = np.float32(0.5) * (below - above) / curve
            out[i, axis] = np.float32(place - radius) + fraction
            stride //= side
