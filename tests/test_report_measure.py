import numpy as np
import pytest
from hypothesis import given, settings

from livercascade.data.grid import Grid
from livercascade.data.labels import LesionType, Organ, Phase
from livercascade.data.lesion import Lesion
from livercascade.data.scan import Scan
from livercascade.report.measure import axes, boundary, farthest, lesion_hu, liver_ring, measure_lesions, measure_liver
from livercascade.testing.example_results import (
    CASE_GRID,
    CASE_LESION_HU,
    CASE_LIVER_HU,
    example_candidate,
    example_case,
)
from livercascade.testing.phantoms import ellipsoid, lesion_of
from livercascade.testing.strategies import masks, spacings

FINE = Grid.axial((60, 80, 100), (1.0, 0.8, 0.6))


def bare(mask: np.ndarray, z0: int = 0) -> Lesion:
    z, y, x = mask.shape
    return Lesion(LesionType.HCC, 1.0, (0.0, 0.0, 0.0), (slice(z0, z0 + z), slice(0, y), slice(0, x)), mask)


def face_middles(plane: np.ndarray, spacing: tuple[float, float]) -> list[tuple[float, float]]:
    points = []
    for y, x in np.argwhere(plane):
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            inside = 0 <= y + dy < plane.shape[0] and 0 <= x + dx < plane.shape[1] and plane[y + dy, x + dx]
            if not inside:
                points.append(((y + dy / 2) * spacing[0], (x + dx / 2) * spacing[1]))
    return points


@settings(max_examples=60)
@given(masks(), spacings((0.5, 6.0), (0.5, 6.0)))
def test_long_axis_is_the_longest_of_all_pairs_in_one_slice(mask, spacing):
    longest = 0.0
    for plane in mask:
        points = face_middles(plane, spacing[1:])
        longest = max([longest, *(np.hypot(a[0] - b[0], a[1] - b[1]) for a in points for b in points)])
    assert axes(bare(mask), spacing).long_mm == pytest.approx(longest)


@settings(max_examples=60)
@given(masks(), spacings((0.5, 6.0), (0.5, 6.0)))
def test_axes_are_ordered_and_the_key_slice_is_the_largest(mask, spacing):
    found = axes(bare(mask, z0=7), spacing)
    assert 0 < found.short_mm <= found.long_mm * (1 + 1e-9)
    assert found.long_mm <= found.max3d_mm * (1 + 1e-9)
    areas = mask.sum(axis=(1, 2))
    assert areas[found.slice_index - 7] == areas.max()


@settings(max_examples=60)
@given(masks(), spacings((0.5, 6.0), (0.5, 6.0)))
def test_ends_of_both_axes_lie_that_far_apart_in_one_slice_at_right_angles(mask, spacing):
    found = axes(bare(mask, z0=7), spacing)
    long, short = (np.diff(ends, axis=0)[0] * spacing for ends in (found.long_ends, found.short_ends))
    assert np.linalg.norm(long) == pytest.approx(found.long_mm) and long[0] == 0
    assert np.linalg.norm(short) == pytest.approx(found.short_mm) and short[0] == 0
    assert long @ short == pytest.approx(0, abs=1e-6)
    assert found.long_ends[0, 0] == found.short_ends[0, 0]
    plane = face_middles(mask[int(found.long_ends[0, 0]) - 7], spacing[1:])
    for end in found.long_ends:
        assert min(np.hypot(*(end[1:] * spacing[1:] - point)) for point in plane) < 1e-9


@settings(max_examples=40)
@given(masks(), spacings((0.5, 6.0), (0.5, 6.0)))
def test_axes_do_not_change_when_the_array_is_mirrored_or_turned(mask, spacing):
    plain = axes(bare(mask), spacing)
    turned = axes(bare(np.ascontiguousarray(mask[:, ::-1].transpose(0, 2, 1))), (spacing[0], spacing[2], spacing[1]))
    assert turned.long_mm == pytest.approx(plain.long_mm)
    assert turned.max3d_mm == pytest.approx(plain.max3d_mm)


@pytest.mark.parametrize("radii", [(10.0, 12.0, 20.0), (15.0, 15.0, 15.0), (8.0, 22.0, 9.0)])
def test_ellipsoid_has_its_diameters(radii):
    found = axes(lesion_of(ellipsoid((30, 32, 30), radii, FINE), LesionType.HCC, FINE), FINE.spacing)
    low, high = sorted(radii[1:])
    assert found.long_mm == pytest.approx(2 * high, abs=1.0)
    assert found.short_mm == pytest.approx(2 * low, abs=1.0)
    assert found.craniocaudal_mm == pytest.approx(2 * radii[0], abs=1.0)
    assert found.max3d_mm == pytest.approx(2 * max(radii), abs=1.5)
    assert abs(found.slice_index - 30) <= 1


def test_turned_ellipse_keeps_its_axes():
    y, x = np.mgrid[:120, :120] * 0.5 - 30
    u, v = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    found = axes(bare(((u / 20) ** 2 + (v / 9) ** 2 <= 1)[None]), (5.0, 0.5, 0.5))
    assert (found.long_mm, found.short_mm) == (pytest.approx(40, abs=0.8), pytest.approx(18, abs=0.8))


def test_single_voxel_has_the_voxels_size():
    found = axes(bare(np.ones((1, 1, 1), bool)), (5.0, 0.8, 0.7))
    assert (found.long_mm, found.short_mm) == (pytest.approx(0.8), pytest.approx(0.7))
    assert found.max3d_mm == pytest.approx(5.0)


def test_empty_mask_is_refused():
    with pytest.raises(ValueError, match="empty"):
        axes(bare(np.zeros((1, 2, 2), bool)), (1.0, 1.0, 1.0))


def test_farthest_pair_of_a_triangle():
    length, vector = farthest(np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]))
    assert length == pytest.approx(5)
    assert np.abs(vector).tolist() == [3, 4]
    assert len(boundary(np.ones((1, 1), bool))) == 4


def test_ring_is_liver_within_five_to_ten_mm():
    liver, mask = (ellipsoid((60, 96, 80), radii, CASE_GRID) for radii in ((45, 60, 60), (15, 14, 14)))
    labels = np.where(liver, Organ.LIVER, 0).astype(np.uint8)
    labels[:, :40][liver[:, :40]] = Organ.HEPATIC_VESSELS
    other = np.zeros_like(liver)
    other[:, :, :30] = True
    box, ring = liver_ring(lesion_of(mask, LesionType.HCC, CASE_GRID), labels, other, CASE_GRID.spacing)
    whole = np.zeros_like(liver)
    whole[box] = ring
    assert ring.sum() > 100
    assert not (whole & (mask | other | (labels != Organ.LIVER))).any()
    inside = np.argwhere(mask) * CASE_GRID.spacing
    nearest = [np.linalg.norm(inside - p, axis=1).min() for p in np.argwhere(whole) * CASE_GRID.spacing]
    assert min(nearest) >= 5.0 and max(nearest) <= 10.0


def test_hu_and_difference_from_liver_in_every_phase():
    scan, labels, candidates = example_case()
    record = measure_lesions(candidates, scan, labels)[0]
    for phase in Phase:
        hu = record.hu[phase]
        assert (hu.mean, hu.sd, hu.median) == (CASE_LESION_HU[phase], 0, CASE_LESION_HU[phase])
        assert hu.liver_median == CASE_LIVER_HU[phase]
        assert hu.delta == CASE_LESION_HU[phase] - CASE_LIVER_HU[phase]
        assert hu.n == candidates[0].lesion.mask.sum()


def test_phase_without_data_at_the_lesion_is_left_out():
    scan, labels, candidates = example_case()
    partial = Scan(CASE_GRID, scan.hu, scan.reference, {Phase.AP: np.zeros(CASE_GRID.shape, bool)})
    hu = lesion_hu(candidates[0].lesion, partial, labels, np.zeros(CASE_GRID.shape, bool))
    assert Phase.AP not in hu and Phase.VP in hu


def test_lesion_outside_the_liver_has_no_surrounding_liver():
    scan, labels, _ = example_case()
    far = example_candidate(ellipsoid((20, 20, 170), (8, 8, 8), CASE_GRID))
    assert measure_lesions([far], scan, labels)[0].hu[Phase.VP].delta is None


def test_liver_volume_holds_its_lesions_and_tells_when_it_is_cut():
    scan, labels, _ = example_case()
    liver = measure_liver(scan, labels)
    assert liver.volume_ml == pytest.approx(4 / 3 * np.pi * 4.5 * 6 * 6, rel=0.02)
    assert not liver.touches_border
    assert liver.hu_median == CASE_LIVER_HU
    labels[0, 50, 50] = Organ.LIVER
    assert measure_liver(scan, labels).touches_border
