import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.detect.seg2det import seg2det
from livercascade.labeler.contract.request_schemas import GrowRequest
from livercascade.labeler.editing.box_seeding import checked_box, from_intensity, from_prediction
from livercascade.labeler.editing.lesion_components import (
    ReportNumbers,
    component_at,
    diameter_mm,
    lesion_voxels,
    lesions_of,
)
from livercascade.labeler.editing.lesion_tools import copy, delete, fill_holes, relabel, split
from livercascade.labeler.editing.region_growing import grow
from livercascade.labeler.editing.slice_interpolation import interpolate
from livercascade.labeler.http.responses import component_info
from livercascade.labeler.label_error import LabelError

SPACING = (4.0, 1.0, 0.8)
GRID = Grid.axial((9, 30, 32), SPACING)


def liver():
    return np.full(GRID.shape, 7, np.uint8)


def done(mask, delta):
    out = mask.copy()
    delta.apply(out)
    assert np.count_nonzero(out != mask) == len(delta)
    assert np.all(np.diff(delta.index.astype(np.int64)) > 0)
    return out


def code_of(act, *args, **kwargs):
    with pytest.raises(LabelError) as caught:
        act(*args, **kwargs)
    assert caught.value.remedy
    return caught.value.code


@settings(max_examples=50)
@given(seed=st.integers(0, 9999))
def test_component_is_a_lesion_of_seg2det_or_a_part_of_an_organ(seed):
    rng = np.random.default_rng(seed)
    mask = np.where(rng.random((4, 6, 7)) < 0.4, rng.integers(1, 9, (4, 6, 7)), 0).astype(np.uint8)
    mask[1, 2, 3] = rng.integers(1, 9)
    label, box, part = component_at(mask, (1, 2, 3))
    whole = np.zeros(mask.shape, bool)
    whole[box] = part
    structure = np.zeros((3, 3, 3), bool)
    structure[1], structure[:, 1, 1] = True, True
    region = lesion_voxels(mask) if lesion_voxels(mask)[1, 2, 3] else mask == mask[1, 2, 3]
    numbers, count = ndimage.label(region, structure=structure)
    assert np.array_equal(whole, numbers == numbers[1, 2, 3])
    if lesion_voxels(mask)[1, 2, 3]:
        votes = np.bincount(mask[whole], minlength=7)
        assert votes[label] == votes.max() and len(lesions_of(mask)) == count
    else:
        assert label == mask[1, 2, 3]


def test_relabel_takes_all_that_touches_whatever_its_type():
    mask = liver()
    mask[2:5, 5:10, 5:10] = 6
    mask[2:5, 5:10, 10:14] = 1
    mask[2:5, 20:22, 20:22] = 1
    out = done(mask, relabel(mask, [(3, 6, 12)], 3))
    assert np.all(out[2:5, 5:10, 5:14] == 3) and np.all(out[2:5, 20:22, 20:22] == 1)
    both = done(mask, relabel(mask, [(3, 6, 6), (3, 6, 12), (4, 21, 21)], 2))
    assert np.count_nonzero(both == 2) == np.count_nonzero(lesion_voxels(mask))
    assert code_of(relabel, mask, [(3, 6, 6), (0, 0, 0)], 3) == "NO_COMPONENT"
    assert code_of(relabel, mask, [(9, 0, 0)], 3) == "NOT_FOUND"


def test_voxels_that_touch_by_an_edge_between_slices_are_two_lesions():
    mask = liver()
    mask[3, 5:8, 5:8] = 1
    mask[4, 8:11, 5:8] = 1
    out = done(mask, relabel(mask, [(3, 6, 6)], 2))
    assert np.all(out[3, 5:8, 5:8] == 2) and np.all(out[4, 8:11, 5:8] == 1)


def test_numbers_of_the_report_stay_with_their_lesions():
    mask = liver()
    mask[2:5, 5:10, 5:10] = 6
    mask[2:5, 5:10, 15:18] = 1
    mask[6, 20:22, 20:22] = 3
    report = np.zeros(mask.shape, np.int32)
    report[2:5, 5:10, 5:10], report[2:5, 5:10, 15:18], report[0, 0, :2] = 4, 2, 7
    numbers = ReportNumbers.of_map(report)
    assert numbers.of_lesions(lesions_of(mask)) == [4, 2, 8]
    mask[2:5, 5:10, 5:10] = 1
    mask[2:5, 5:10, 5] = 7
    mask[2:5, 5:10, 7] = 7
    # The larger of the two parts of L4 keeps its number.
    assert numbers.of_lesions(lesions_of(mask)) == [2, 4, 8, 9]
    assert ReportNumbers.of_map(np.zeros_like(report)) is None


def test_deleted_voxels_take_the_nearest_label_that_is_no_lesion():
    mask = np.zeros(GRID.shape, np.uint8)
    mask[:, :15] = 7
    mask[3:6, 10:20, 10:20] = 1
    mask[3:6, 12:14, 21:23] = 6
    out = done(mask, delete(mask, [(4, 12, 12)]))
    assert not np.any(out == 1) and np.array_equal(out == 6, mask == 6)
    assert out[4, 12, 12] == 7 and out[4, 19, 15] == 0
    free = np.argwhere(~lesion_voxels(mask))
    for place in np.argwhere(mask == 1)[::17]:
        nearest = np.square(free - place).sum(axis=1)
        closest = {int(mask[tuple(p)]) for p in free[nearest == nearest.min()]}
        assert int(out[tuple(place)]) in closest
    full = np.full((2, 3, 3), 4, np.uint8)
    assert not done(full, delete(full, [(0, 0, 0)])).any()


def test_copy_of_a_lesion_and_of_one_slice():
    other, mask = liver(), liver()
    other[2:5, 5:10, 5:10] = 3
    mask[2, 5, 5] = 1
    out = done(mask, copy(mask, other, (3, 6, 6), label=None))
    assert out[2, 5, 5] == 1 and np.count_nonzero(out == 3) == 3 * 25 - 1
    one = done(mask, copy(mask, other, (3, 6, 6), label=2, planes=(3, 7)))
    assert np.array_equal(one[7] == 2, other[3] == 3) and not np.any(one[:7] == 2)
    assert code_of(copy, mask, other, (3, 6, 6), label=2, planes=(6, 7)) == "BAD_REQUEST"


def test_copy_keeps_the_types_of_the_voxels():
    other, mask = liver(), liver()
    other[2:5, 5:10, 5:10] = 3
    other[2:5, 5:7, 5:10] = 6
    out = done(mask, copy(mask, other, (3, 6, 6), label=None))
    assert np.array_equal(out, other)
    assert np.count_nonzero(done(mask, copy(mask, other, (3, 6, 6), label=1)) == 1) == 3 * 25


def test_split_makes_two_lesions_of_one():
    mask = liver()
    mask[2:5, 5:11, 5:15] = 3
    out = done(mask, split(mask, (3, 6, 6), [[0.0, 9.5], [20.0, 9.5]], 1))
    assert np.all(out[2:5, 5:11, 5:10] == 1) and np.all(out[2:5, 5:11, 11:15] == 3)
    assert np.all(out[2:5, 5:11, 10] == 7)
    assert [int(lesion.label) for lesion in seg2det(out, GRID, min_volume_ml=0.0)] == [1, 3]
    assert code_of(split, mask, (3, 6, 9), [[0.0, 9.0], [20.0, 9.0]], 1) == "BAD_REQUEST"
    assert code_of(split, mask, (3, 6, 9), [[0.0, 9.0], [0.0, 9.0]], 1) == "BAD_REQUEST"


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 9999))
def test_a_slanted_split_parts_the_lesion_and_keeps_the_side_of_the_point(seed):
    rng = np.random.default_rng(seed)
    mask = liver()
    mask[2:6, 5:25, 5:25] = 3
    (y0, x0), (y1, x1) = rng.uniform(6, 24, (2, 2))
    point = (3, int(rng.integers(5, 25)), int(rng.integers(5, 25)))
    out = done(mask, split(mask, point, [[y0, x0], [y1, x1]], 1))
    y, x = np.ogrid[:30, :32]
    sides = np.sign((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0))
    own = lesion_voxels(mask) & (sides == sides[point[1], point[2]])
    assert np.all(out[own] == 1) and not np.any(out[lesion_voxels(mask) & ~own] == 1)
    for lesion in lesions_of(out):
        assert len(np.unique(out[lesion.bbox][lesion.mask])) == 1


def test_fill_holes_fills_every_slice_but_not_other_lesions():
    mask = liver()
    mask[2:5, 5:13, 5:13] = 3
    mask[2:5, 6:12, 6:12] = 7
    mask[3, 8, 8] = 1
    out = done(mask, fill_holes(mask, (3, 5, 5)))
    assert np.count_nonzero(out == 3) == 3 * 64 - 1 and out[3, 8, 8] == 1


@settings(max_examples=40)
@given(seed=st.integers(0, 9999), volume=st.booleans(), radius=st.floats(2, 20))
def test_grow_is_the_connected_part_within_range_and_radius(seed, volume, radius):
    rng = np.random.default_rng(seed)
    hu = rng.integers(0, 100, GRID.shape).astype(np.int16)
    mask = np.where(rng.random(GRID.shape) < 0.1, 2, 7).astype(np.uint8)
    point = tuple(int(rng.integers(0, n)) for n in GRID.shape)
    mask[point], hu[point] = 7, 50
    asked = GrowRequest(at=point, label=4, phase="VP", low=20.0, high=80.0, radius_mm=radius, volume=volume)
    out = done(mask, grow(mask, hu, SPACING, asked))
    offsets = (np.indices(GRID.shape).T - point).T * np.reshape(SPACING, (3, 1, 1, 1))
    allowed = (hu >= 20) & (hu <= 80) & (mask == 7) & (np.square(offsets).sum(axis=0) <= radius**2)
    if not volume:
        allowed[np.arange(GRID.shape[0]) != point[0]] = False
    numbers, _ = ndimage.label(allowed, structure=np.ones((3, 3, 3)))
    assert np.array_equal(out == 4, numbers == numbers[point])
    narrow = asked.model_copy(update={"low": 60.0})
    assert code_of(grow, mask, hu, SPACING, narrow) == "OUTSIDE_RANGE"


def disc(radius, y=15, x=16):
    rows, columns = np.ogrid[:30, :32]
    return ((rows - y) * SPACING[1]) ** 2 + ((columns - x) * SPACING[2]) ** 2 <= radius**2


def test_interpolation_between_equal_slices_repeats_them():
    mask = liver()
    mask[1][disc(6)] = mask[6][disc(6)] = 3
    out = done(mask, interpolate(mask, SPACING, point=(1, 15, 16), label=3))
    for z in range(1, 7):
        assert np.array_equal(out[z] == 3, disc(6))


@settings(max_examples=30)
@given(low=st.floats(2.5, 9), high=st.floats(2.5, 9), gap=st.integers(2, 7))
def test_interpolated_discs_have_radii_between(low, high, gap):
    mask = liver()
    mask[0][disc(low)] = mask[gap][disc(high)] = 3
    out = done(mask, interpolate(mask, SPACING, point=(0, 15, 16), label=3))
    for z in range(1, gap):
        radius = low + (high - low) * z / gap
        assert np.all(out[z][disc(radius - 1.3)] == 3) and not np.any(out[z][~disc(radius + 1.3)] == 3)
    assert np.array_equal(out[0], mask[0]) and np.array_equal(out[gap], mask[gap])


def test_interpolation_keeps_to_its_object_and_spares_lesions():
    mask = liver()
    mask[1][disc(4, 8, 8)] = mask[5][disc(4, 8, 8)] = 3
    mask[2][disc(4, 22, 24)] = mask[6][disc(4, 22, 24)] = 3
    mask[3, 8, 8] = 1
    out = done(mask, interpolate(mask, SPACING, point=(1, 8, 8), label=3))
    assert out[3, 8, 8] == 1 and out[3, 8, 9] == 3 and out[4, 22, 24] == 7
    assert code_of(interpolate, mask, SPACING, point=(1, 8, 8), label=3, max_gap=2) == "NOTHING_CHANGED"
    assert code_of(interpolate, mask, SPACING, point=(1, 25, 8), label=3) == "NO_COMPONENT"


def test_box_takes_what_was_predicted_inside_or_asks_for_drawing():
    mask, predicted = liver(), liver()
    predicted[2:6, 8:14, 8:14] = 6
    box = checked_box([[3, 6], [10, 20], [0, 32]], mask.shape)
    out = done(mask, from_prediction(mask, predicted, box, 1))
    assert np.array_equal(
        out == 1, (predicted == 6) & (np.indices(mask.shape)[0] >= 3) & (np.indices(mask.shape)[1] >= 10)
    )
    assert (
        code_of(from_prediction, mask, predicted, checked_box([[7, 9], [0, 5], [0, 5]], mask.shape), 1)
        == "NEEDS_DRAWING"
    )
    assert code_of(checked_box, [[3, 3], [0, 5], [0, 5]], mask.shape) == "BAD_REQUEST"


def test_box_finds_a_dark_ball_by_its_hu():
    rng = np.random.default_rng(3)
    z, y, x = np.ogrid[:9, :30, :32]
    ball = ((z - 4) * 4.0) ** 2 + (y - 15) ** 2 + ((x - 16) * 0.8) ** 2 <= 8**2
    hu = (np.where(ball, 60, 110) + rng.normal(0, 8, GRID.shape)).astype(np.int16)
    box = checked_box([[2, 7], [7, 24], [6, 27]], GRID.shape)
    out = done(liver(), from_intensity(liver(), hu, SPACING, box=box, label=1))
    dice = 2 * np.count_nonzero((out == 1) & ball) / (np.count_nonzero(out == 1) + np.count_nonzero(ball))
    assert dice > 0.9
    flat = rng.normal(100, 5, GRID.shape).astype(np.int16)
    assert code_of(from_intensity, liver(), flat, SPACING, box=box, label=1) == "NEEDS_DRAWING"


def test_size_and_place_of_a_lesion():
    mask = liver()
    mask[2:5, 5:11, 5:15] = 3
    mask[4, 5:11, 5:10] = 7
    label, box, part = component_at(mask, (2, 5, 5))
    row = component_info(label, part, box, GRID)
    assert row.voxels == 150 and row.volume_ml == pytest.approx(150 * 3.2 / 1000)
    assert row.slices == (2, 4) and row.slice == 2 and row.box == ((2, 5), (5, 11), (5, 15))
    assert mask[row.at] == 3 and row.first == np.ravel_multi_index((2, 5, 5), mask.shape)
    # Between the middles of the short sides of 6 x 8 mm.
    assert diameter_mm(part, GRID) == pytest.approx(np.hypot(5, 8), abs=0.2)
