"""seg2det equals the paper's slice-wise procedure, written down literally."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from livercascade import seg2det
from livercascade.data.grid import Grid
from livercascade.data.labels import LesionType
from livercascade.detect.components import components

LAWS = settings(max_examples=60)
SPACING = (5.0, 0.8, 0.7)


def flood(pixels):
    """Components of a set of (y, x) pixels with eight neighbours."""
    left, parts = set(pixels), []
    while left:
        part, todo = set(), [left.pop()]
        while todo:
            y, x = todo.pop()
            part.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            todo.extend(near)
        parts.append(part)
    return parts


def slicewise(region):
    """2D components of each slice, united where neighbouring slices share a pixel."""
    slices = [flood(map(tuple, np.argwhere(s).tolist())) for s in region]
    nodes = [(z, i) for z, parts in enumerate(slices) for i in range(len(parts))]
    parent = {n: n for n in nodes}

    def root(n):
        while parent[n] != n:
            n = parent[n]
        return n

    for z in range(len(slices) - 1):
        for i, a in enumerate(slices[z]):
            for j, b in enumerate(slices[z + 1]):
                if a & b:
                    parent[root((z, i))] = root((z + 1, j))
    groups = {}
    for z, i in nodes:
        groups.setdefault(root((z, i)), set()).update((z, y, x) for y, x in slices[z][i])
    return {frozenset(g) for g in groups.values()}


def voxels(lesion):
    first = [s.start for s in lesion.bbox]
    return frozenset(map(tuple, (np.argwhere(lesion.mask) + first).tolist()))


def random_mask(seed, density=0.35, shape=(4, 7, 8)):
    rng = np.random.default_rng(seed)
    mask = rng.integers(1, 14, shape).astype(np.uint8)
    mask[mask > 7] = 1
    mask[rng.random(shape) > density] = 0
    return mask


@LAWS
@given(st.integers(0, 10**6), st.floats(0.05, 0.7))
def test_lesions_are_those_of_the_slicewise_procedure(seed, density):
    mask = random_mask(seed, density)
    lesion = (mask >= 1) & (mask <= 6)
    found = seg2det(mask, SPACING, min_volume_ml=0.0)
    assert {voxels(x) for x in found} == slicewise(lesion) and len(found) == len(slicewise(lesion))
    apart = seg2det(mask, SPACING, min_volume_ml=0.0, per_label=True)
    assert {(x.label, voxels(x)) for x in apart} == {(t, g) for t in LesionType for g in slicewise(mask == t)}


@LAWS
@given(st.integers(0, 10**6), st.floats(0.05, 0.9))
def test_lesions_are_the_pieces_that_scipy_labels(seed, density):
    mask = random_mask(seed, density)
    plane = np.ones((3, 3), dtype=bool)
    above = np.zeros((3, 3), dtype=bool)
    above[1, 1] = True
    pieces, count = ndimage.label((mask >= 1) & (mask <= 6), structure=np.stack([above, plane, above]))
    expected = {frozenset(map(tuple, np.argwhere(pieces == n).tolist())) for n in range(1, count + 1)}
    assert {voxels(lesion) for lesion in seg2det(mask, SPACING, min_volume_ml=0.0)} == expected


@LAWS
@given(st.integers(0, 10**6), st.floats(0.05, 0.95), st.tuples(*3 * [st.integers(1, 7)]))
def test_they_are_in_maps_of_every_shape_in_the_order_of_their_first_voxel(seed, density, shape):
    lesion = random_mask(seed, density, shape) == 1
    parts = [frozenset(map(tuple, (np.argwhere(p) + [s.start for s in b]).tolist())) for b, p in components(lesion)]
    assert parts == sorted(slicewise(lesion), key=min)


@LAWS
@given(st.integers(0, 10**6), st.floats(0.05, 0.95), st.integers(1, 9))
def test_parts_left_out_for_their_size_change_nothing_for_the_others(seed, density, least):
    region = random_mask(seed, density)
    every, some = list(components(region)), list(components(region, least=float(least)))
    wanted = [(box, part) for box, part in every if np.count_nonzero(part) >= least]
    assert [box for box, _ in some] == [box for box, _ in wanted]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(some, wanted, strict=True))
    assert all(part.base is None for _, part in some)


@LAWS
@given(st.integers(0, 10**6), st.tuples(*3 * [st.integers(1, 7)]))
def test_values_are_kept_apart_and_all_neighbours_of_one_value_are_found(seed, shape):
    region = random_mask(seed, 0.8, shape)
    found = [frozenset(map(tuple, (np.argwhere(p) + [s.start for s in b]).tolist())) for b, p in components(region)]
    assert set(found) == {group for value in range(1, 8) for group in slicewise(region == value)}


@pytest.mark.parametrize("shape", [(1, 1, 6), (6, 1, 1), (1, 5, 3), (1, 61, 61), (5, 61, 61)])
def test_as_many_lesions_as_a_map_can_hold(shape):
    mask = np.zeros(shape, dtype=np.uint8)
    mask[::2, ::2, ::2] = 1
    assert len(seg2det(mask, SPACING, min_volume_ml=0.0)) == np.count_nonzero(mask)


@LAWS
@given(st.integers(0, 10**6), st.booleans())
def test_every_lesion_tells_its_type_volume_place_and_box(seed, per_label):
    mask = random_mask(seed)
    grid = Grid.axial((4, 7, 8), SPACING, (10.0, -20.0, 30.0))
    found = seg2det(mask, grid, min_volume_ml=0.0, per_label=per_label)
    volumes = [x.volume_ml for x in found]
    assert volumes == sorted(volumes, reverse=True)
    for lesion in found:
        inside = mask[lesion.bbox][lesion.mask]
        counts = [(inside == t).sum() for t in LesionType]
        assert lesion.label == 1 + int(np.argmax(counts))
        assert lesion.volume_ml == pytest.approx(inside.size * grid.voxel_ml)
        assert sum(lesion.type_volumes.values()) == pytest.approx(lesion.volume_ml)
        centre = np.mean([(10 + 0.7 * x, -20 + 0.8 * y, 30 + 5 * z) for z, y, x in voxels(lesion)], axis=0)
        assert np.allclose(lesion.centroid, centre)
        assert all(lesion.mask.any(axis=a).any() for a in range(3))
        assert [s.stop - s.start for s in lesion.bbox] == list(lesion.mask.shape)
    whole = found.instances() > 0
    assert np.array_equal(whole, (mask >= 1) & (mask <= 6))


@LAWS
@given(st.integers(0, 10**6), st.tuples(*3 * [st.integers(0, 7)]), st.tuples(*3 * [st.integers(0, 8)]))
def test_the_map_of_a_box_is_that_part_of_the_map_of_all(seed, low, high):
    found = seg2det(random_mask(seed, 0.3), SPACING, min_volume_ml=0.0)
    z, y, x = (slice(min(a, b, n), min(max(a, b), n)) for a, b, n in zip(low, high, found.shape, strict=True))
    assert np.array_equal(found.instances((z, y, x)), found.instances()[z, y, x])


@LAWS
@given(st.integers(0, 10**6), st.integers(1, 20))
def test_small_lesions_are_dropped_and_the_limit_itself_is_kept(seed, least):
    mask = random_mask(seed)
    limit = least * Grid.axial((4, 7, 8), SPACING).voxel_ml
    every = seg2det(mask, SPACING, min_volume_ml=0.0)
    kept = seg2det(mask, SPACING, min_volume_ml=limit)
    assert [x.volume_ml for x in kept] == [x.volume_ml for x in every if x.mask.sum() >= least]


def test_corners_join_in_the_slice_but_not_between_slices():
    mask = np.zeros((2, 4, 4), dtype=np.uint8)
    mask[0, 0, 0] = mask[0, 1, 1] = 1
    mask[1, 2, 2] = 1
    assert [x.mask.sum() for x in seg2det(mask, SPACING, min_volume_ml=0.0)] == [2, 1]


def test_a_tie_of_types_goes_to_the_higher_priority():
    mask = np.zeros((1, 1, 4), dtype=np.uint8)
    mask[0, 0] = [6, 2, 6, 2]
    assert seg2det(mask, SPACING, min_volume_ml=0.0)[0].label is LesionType.ICC


def test_no_lesion_gives_an_empty_set_and_bad_input_an_error():
    mask = np.full((2, 3, 4), 7, dtype=np.uint8)
    empty = seg2det(mask, SPACING)
    assert len(empty) == 0 and empty.shape == (2, 3, 4)
    with pytest.raises(ValueError, match="shape"):
        seg2det(mask, Grid.axial((2, 3, 5), SPACING))
    with pytest.raises(ValueError, match="above 0"):
        seg2det(mask, (0.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="at least 0"):
        seg2det(mask, SPACING, min_volume_ml=-1.0)
