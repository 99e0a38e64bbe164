"""A tree over the blocks along which neighbours of like intensity move alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Spanning tree.

    Attributes:
        order: Nodes from the root outwards.
        parent: Per node, its neighbour towards the root; -1 for the root.
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


def spanning_tree(means: Float32[np.ndarray, "a b c"]) -> Tree:
    """Minimum spanning tree of the blocks, an edge costing the difference of their mean intensities.

    Args:
        means: Mean HU per block.
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
    return Tree(order.astype(np.int64), np.where(parent < 0, -1, parent).astype(np.int64))
