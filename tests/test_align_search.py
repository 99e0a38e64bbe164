"""BlockGrid, costs, trees and beliefs against literal definitions."""

import itertools

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.alignment.align_settings import SearchLevel
from livercascade.alignment.belief_propagation import SpanningTree, best_steps, edges, min_convolution, spanning_tree
from livercascade.alignment.compiled_loops import AlignmentThreads
from livercascade.alignment.control_points import BlockGrid
from livercascade.alignment.self_similarity import matching_cost


@pytest.mark.parametrize(
    "level",
    [
        SearchLevel(block=3, radius=2, step=1),
        SearchLevel(block=4, radius=1, step=3),
        SearchLevel(block=2, radius=1, step=1, stride=1),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_cost_is_the_mean_of_differing_bits(level, threads):
    rng = np.random.default_rng(level.block)
    # In blocks of 3, the last of 10 slices is a block of its own that no second voxel falls into.
    fixed, moving = rng.integers(0, 2**60, (2, 10, 8, 9), dtype=np.uint64)
    with AlignmentThreads.of(threads) as workers:
        cost = matching_cost(fixed, moving, level, workers)
    blocks = BlockGrid.over(fixed.shape, level.block)
    padded = np.pad(moving, level.radius * level.step, mode="edge")
    for block, corner in enumerate(np.ndindex(*blocks.counts)):
        ranges = [
            range(c * level.block, min((c + 1) * level.block, n)) for c, n in zip(corner, fixed.shape, strict=True)
        ]
        samples = [p for p in itertools.product(*ranges) if all(c % level.stride == 0 for c in p)]
        for label, steps in enumerate(np.ndindex(level.side, level.side, level.side)):
            bits = [
                int(fixed[p] ^ padded[tuple(np.add(p, np.multiply(steps, level.step)))]).bit_count() for p in samples
            ]
            assert cost[block, label] == pytest.approx(np.mean(bits) if bits else 0.0, abs=1e-5)


def test_blocks_give_back_a_linear_field_and_cover_the_array():
    blocks = BlockGrid.over((9, 10, 11), 3)
    assert blocks.counts == (3, 4, 4) and blocks.count == len(blocks.centres) == 48
    assert blocks.centres[0] == pytest.approx([1, 1, 1])
    slope = np.array([[0.1, 0.0, 0.2], [0.0, -0.1, 0.0], [0.3, 0.0, 0.1]])
    vectors = (blocks.centres @ slope).astype(np.float32).reshape(*blocks.counts, 3)
    with AlignmentThreads.of(2) as workers:
        dense = blocks.dense(vectors, workers)
    inside = np.stack(np.meshgrid(*[np.arange(1, n - 2) for n in blocks.shape], indexing="ij"), axis=-1)
    assert np.allclose(dense[1:-2, 1:-2, 1:-2], inside @ slope, atol=1e-5)
    means = blocks.means(np.arange(9 * 10 * 11, dtype=np.float32).reshape(9, 10, 11))
    assert means[0, 0, 0] == pytest.approx(np.arange(990).reshape(9, 10, 11)[:3, :3, :3].mean())


def test_consistency_brings_opposite_fields_near_each_other():
    blocks = BlockGrid.over((40, 40, 40), 5)
    rng = np.random.default_rng(0)
    forth = np.full((*blocks.counts, 3), 2.0, dtype=np.float32) + rng.normal(0, 0.1, (*blocks.counts, 3)).astype(
        np.float32
    )
    back = np.full((*blocks.counts, 3), -3.0, dtype=np.float32)
    one, other = blocks.consistent(forth, back, 8)
    assert np.abs(one + other).max() < 0.2 and one.mean() == pytest.approx(2.5, abs=0.1)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), weight=st.floats(0.01, 3.0))
def test_min_convolution_by_brute_force(seed, weight):
    rng = np.random.default_rng(seed)
    side = 3
    message = rng.random(side**3).astype(np.float32)
    gap = rng.normal(0, 1, 3).astype(np.float32)
    steps = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    apart = ((steps[:, None] + gap - steps[None]) ** 2).sum(axis=-1)
    expected = (message[:, None] + weight * apart).min(axis=0)
    min_convolution(message, np.empty_like(message), np.float32(weight), gap)
    assert np.allclose(message, expected, atol=1e-4)


def test_steps_on_a_tree_cost_least_of_all_choices():
    rng = np.random.default_rng(2)
    tree = SpanningTree(np.arange(4), np.array([-1, 0, 0, 1]))
    cost = rng.random((4, 27)).astype(np.float32)
    prior = rng.normal(0, 1, (4, 3)).astype(np.float32)
    steps = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    total = np.zeros((27,) * 4, dtype=np.float32)
    for i in range(4):
        total = total + cost[i].reshape([27 if a == i else 1 for a in range(4)])
        if i:
            up = tree.parent[i]
            apart = ((steps[None] + prior[i] - steps[:, None] - prior[up]) ** 2).sum(axis=-1)
            total = total + 0.2 * apart.reshape([27 if a in (i, up) else 1 for a in range(4)])
    best = np.unravel_index(total.argmin(), total.shape)
    assert np.array_equal(best_steps(cost.copy(), tree, prior, 0.2), steps[list(best)])


def test_tree_weighs_as_little_as_that_of_networkx():
    means = np.random.default_rng(4).normal(0, 50, (3, 4, 5)).astype(np.float32)
    means[1, 1] = 7.0
    tree = spanning_tree(means)
    flat = means.ravel().astype(float)
    graph = networkx.Graph()
    for a, b in edges(means.shape):
        graph.add_edge(int(a), int(b), weight=abs(flat[a] - flat[b]) + 1.0)
    expected = networkx.minimum_spanning_tree(graph).size(weight="weight")
    mine = sum(abs(flat[i] - flat[p]) + 1.0 for i, p in enumerate(tree.parent) if p >= 0)
    assert mine == pytest.approx(expected)
    assert sorted(tree.order) == list(range(60)) and tree.parent[tree.order[0]] == -1
    seen = set()
    for node in tree.order:
        assert tree.parent[node] in seen or tree.parent[node] == -1
        seen.add(node)
