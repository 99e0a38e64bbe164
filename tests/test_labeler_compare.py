import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from livercascade.labeler.contract.request_schemas import VerdictRequest
from livercascade.labeler.editing.mask_comparison import DifferenceKind, compare
from livercascade.labeler.editing.review_verdicts import verdict_change

SHAPE = (5, 9, 10)


def lesions(mask):
    """Literal definition: lesion voxels that touch in the slice, or lie straight above each other; type by vote."""
    structure = np.zeros((3, 3, 3), bool)
    structure[1], structure[:, 1, 1] = True, True
    numbers, count = ndimage.label(np.isin(mask, range(1, 7)), structure=structure)
    parts = [numbers == n for n in range(1, count + 1)]
    return [(int(np.bincount(mask[part]).argmax()), part) for part in parts]


def literal_items(old, new):
    """Groups by repeated merging of lesions that share a voxel."""
    groups = [([lesion], []) for lesion in lesions(old)] + [([], [lesion]) for lesion in lesions(new)]

    def region(group):
        return np.any([part for side in group for _, part in side], axis=0)

    merged = True
    while merged:
        merged = False
        for i in range(len(groups)):
            for j in range(i):
                if np.any(region(groups[i]) & region(groups[j])):
                    a, b = groups.pop(i), groups.pop(j)
                    groups.append((a[0] + b[0], a[1] + b[1]))
                    merged = True
                    break
            if merged:
                break
    return [(region(g), *(sorted((lab, int(p.sum())) for lab, p in side) for side in g)) for g in groups]


def kind_of(region, old_side, new_side, old, new):
    if not old_side or not new_side:
        return DifferenceKind.ADDED if new_side else DifferenceKind.REMOVED
    if np.array_equal(old[region], new[region]):
        return DifferenceKind.SAME
    if len(old_side) != len(new_side):
        return DifferenceKind.SPLIT if len(new_side) > len(old_side) else DifferenceKind.MERGED
    same_types = [lab for lab, _ in old_side] == [lab for lab, _ in new_side]
    one, other = (np.isin(m, range(1, 7)) & region for m in (old, new))
    moved = not np.array_equal(one, other)
    return DifferenceKind.BOUNDARY if same_types and moved else DifferenceKind.RELABELLED


@st.composite
def mask_pairs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    old = np.full(SHAPE, 7, np.uint8)
    for _ in range(draw(st.integers(0, 5))):
        z, y, x = (rng.integers(0, n - 1) for n in SHAPE)
        d, h, w = rng.integers(1, 4, 3)
        old[z : z + d, y : y + h, x : x + w] = rng.integers(1, 7)
    new = old.copy()
    for _ in range(draw(st.integers(0, 4))):
        z, y, x = (rng.integers(0, n - 1) for n in SHAPE)
        d, h, w = rng.integers(1, 4, 3)
        new[z : z + d, y : y + h, x : x + w] = rng.choice([0, 1, 3, 6, 7, 8])
    return old, new


@settings(max_examples=120)
@given(pair=mask_pairs())
def test_items_are_those_of_the_literal_definition(pair):
    old, new = pair
    found = [item for item in compare(old, new) if item.id != "organs"]
    wanted = literal_items(old, new)
    assert len(found) == len(wanted)
    by_first = {f"d{np.flatnonzero(region)[0]}": (region, a, b) for region, a, b in wanted}
    for item in found:
        region, old_side, new_side = by_first[item.id]
        whole = np.zeros(SHAPE, bool)
        whole[item.box] = item.region
        assert np.array_equal(whole, region)
        assert sorted(item.old) == old_side and sorted(item.new) == new_side
        assert item.kind is kind_of(region, old_side, new_side, old, new)
        assert item.changed == np.count_nonzero((old != new) & region)
        one, other = (np.isin(m, range(1, 7)) & region for m in (old, new))
        assert item.dice == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()))


@settings(max_examples=80)
@given(pair=mask_pairs(), seed=st.integers(0, 999))
def test_verdicts_in_any_order_give_new_or_old_and_touch_nothing_else(pair, seed):
    old, new = pair
    items = compare(old, new)
    rng = np.random.default_rng(seed)
    mask, wanted = old.copy(), old.copy()
    for place in rng.permutation(len(items)):
        item = items[place]
        verdict = VerdictRequest(difference=item.id, verdict=str(rng.choice(["accept", "keep"])))
        verdict_change(mask, (old, new), item, verdict).apply(mask)
        if verdict.verdict == "accept":
            region = np.zeros(SHAPE, bool)
            region[item.box] = item.region
            wanted[region] = new[region]
        assert np.array_equal(mask, wanted)
    for item in items:
        verdict_change(mask, (old, new), item, VerdictRequest(difference=item.id, verdict="accept")).apply(mask)
    assert np.array_equal(mask, new)


def planted():
    old = np.full((8, 40, 60), 7, np.uint8)
    old[1:4, 5:10, 5:10] = 1  # removed
    old[1:4, 5:10, 20:26] = 6  # relabelled
    old[1:4, 5:12, 35:45] = 3  # split
    old[5:7, 25:30, 5:9] = old[5:7, 25:30, 11:15] = 2  # merged
    old[5:7, 25:30, 25:30] = 4  # boundary
    old[5:7, 25:30, 40:45] = 5  # same
    new = old.copy()
    new[1:4, 5:10, 5:10] = 7
    new[1:4, 5:10, 20:26] = 1
    new[1:4, 5:12, 39:41] = 7
    new[5:7, 25:30, 5:15] = 2
    new[5:7, 25:31, 25:30] = 4
    new[1:3, 30:35, 50:56] = 3  # added
    new[0, 0, 0] = 8  # organ
    return old, new


def test_every_planted_change_is_listed_once_with_its_kind():
    items = compare(*planted())
    kinds = [item.kind.value for item in items]
    assert kinds == ["added", "removed", "relabelled", "split", "merged", "boundary", "boundary", "same"]
    assert [len(items[3].old), len(items[3].new), len(items[4].old), len(items[4].new)] == [1, 2, 2, 1]
    assert items[6].id == "organs" and items[6].changed == 1
    assert items[5].changed == 2 * 5


@pytest.mark.parametrize(("shape", "kind"), [(None, "relabelled"), ("old", "boundary"), (None, "removed")])
def test_relabel_takes_the_named_outline(shape, kind):
    old, new = planted()
    item = next(one for one in compare(old, new) if one.kind.value == kind)
    verdict = VerdictRequest(difference=item.id, verdict="relabel", label=2, shape=shape)
    mask = old.copy()
    verdict_change(mask, (old, new), item, verdict).apply(mask)
    source = old if shape == "old" or kind == "removed" else new
    region = np.zeros(old.shape, bool)
    region[item.box] = item.region
    wanted = np.where(region, np.where(np.isin(source, range(1, 7)), 2, source), old)
    assert np.array_equal(mask, wanted)


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(ValueError):
        compare(np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 5), np.uint8))
