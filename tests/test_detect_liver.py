"""The main liver: strays go, a detached lobe stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.detect.liver import MIN_CONTACT, contact_share, liver_with_content, main_liver, without_strays
from livercascade.detect.sensitivity import SensitivityMap

GRID = Grid.axial((20, 60, 60), (5.0, 2.0, 2.0))


def body() -> np.ndarray:
    mask = np.zeros(GRID.shape, dtype=np.uint8)
    mask[4:16, 10:40, 5:35] = 7
    return mask


def test_lesions_in_the_liver_belong_to_it_and_strays_do_not() -> None:
    mask = body()
    mask[8:10, 20:24, 20:24] = 1
    mask[8:10, 50:54, 50:54] = 3
    mask[1, 50:54, 5:8] = 7
    kept = main_liver(mask, GRID)
    assert kept[9, 21, 21]
    assert not kept[9, 51, 51]
    assert not kept[1, 51, 6]
    clean = without_strays(mask, kept)
    assert set(np.unique(clean)) == {0, 1, 7}
    assert (liver_with_content(clean) == kept).all()


def test_a_large_detached_lobe_stays() -> None:
    mask = body()
    mask[4:16, 10:30, 40:56] = 7
    assert main_liver(mask, GRID)[8, 20, 50]


def test_a_detached_piece_far_away_goes() -> None:
    grid = Grid.axial((20, 60, 120), (5.0, 2.0, 2.0))
    mask = np.zeros(grid.shape, dtype=np.uint8)
    mask[4:16, 10:40, 5:35] = 7
    for gap_mm, stays in ((20, True), (40, False)):
        first = 35 + gap_mm // 2
        both = mask.copy()
        both[4:16, 10:30, first : first + 20] = 7
        assert main_liver(both, grid)[8, 20, first + 5] == stays


def test_a_lesion_that_hangs_on_by_a_corner_lies_outside() -> None:
    mask = body()
    mask[6:12, 20:32, 35:47] = 1
    inside = main_liver(mask, GRID)
    assert inside[8, 25, 40], "a face of six touches"
    mask = body()
    mask[6:12, 20:32, 36:48] = 1
    mask[8, 25, 35] = 1
    assert not main_liver(mask, GRID)[8, 25, 40]
    assert main_liver(mask, GRID, min_contact=0.0)[8, 25, 40]
    assert main_liver(mask, GRID)[4:16, 10:40, 5:35].all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.tuples(*[st.sampled_from([0.7, 2.0, 5.0])] * 3))
def test_contact_is_a_share_of_the_faces(seed: int, spacing: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=(5, 6, 7), p=[0.3, 0.3, 0.4])
    lesion, liver = labels == 1, labels == 2
    grid = Grid.axial(labels.shape, spacing)
    if not lesion.any():
        return
    box = ndimage.find_objects(lesion.astype(np.uint8))[0]
    surface = touching = 0.0
    for index in np.argwhere(lesion):
        for axis in range(3):
            for step in (-1, 1):
                beside = index.copy()
                beside[axis] += step
                if not 0 <= beside[axis] < labels.shape[axis] or lesion[tuple(beside)]:
                    continue
                area = np.prod(spacing) / spacing[axis]
                surface += area
                touching += area * liver[tuple(beside)]
    got = contact_share(box, lesion[box], liver, grid)
    assert got == pytest.approx(touching / surface if surface else 1.0)
    assert contact_share(box, lesion[box], ~lesion, grid) == 1.0


@pytest.mark.parametrize("sunk", [0.1, 0.2, 0.3, 1.0])
def test_a_ball_that_sinks_in_touches_by_its_cap(sunk: float) -> None:
    grid = Grid.axial((80, 80, 80), (1.0, 1.0, 1.0))
    z, y, x = np.meshgrid(*[np.arange(80) - 39.5] * 3, indexing="ij")
    ball = z**2 + y**2 + x**2 <= 30**2
    liver = (x > 30 * (1 - 2 * sunk)) & ~ball
    box = ndimage.find_objects(ball.astype(np.uint8))[0]
    # Archimedes: a cap has the share of the surface that it has of the diameter; faces overstate all slopes alike.
    assert contact_share(box, ball[box], liver, grid) == pytest.approx(sunk, abs=0.04)
    assert (sunk > MIN_CONTACT) == (contact_share(box, ball[box], liver, grid) > MIN_CONTACT) or sunk == 0.1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.25, 16.0))
def test_outside_a_region_every_sensitivity_is_background(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    whole = SensitivityMap.from_logits(rng.normal(size=(14, 3, 4, 5)).astype(np.float32))
    region = rng.random((3, 4, 5)) < 0.5
    inside = whole.only_in(region).mask(factor)
    assert (inside[~region] == 0).all()
    assert np.array_equal(inside[region], whole.mask(factor)[region])


@pytest.mark.parametrize("shape", [(1, 61, 61), (61, 1, 61), (61, 61, 1)])
def test_crumbs_in_a_flat_scan_are_pieces_like_any(shape: tuple[int, int, int]) -> None:
    mask = np.zeros(shape, dtype=np.uint8)
    mask[::2, ::2, ::2] = 7
    assert main_liver(mask, Grid.axial(shape, (5.0, 2.0, 2.0))).sum() == np.count_nonzero(mask)


def test_a_scan_without_liver_has_none() -> None:
    mask = np.zeros(GRID.shape, dtype=np.uint8)
    mask[3, 3, 3] = 2
    assert not main_liver(mask, GRID).any()
