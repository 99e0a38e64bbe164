"""Body, lungs and spine follow the image: they turn with it, the table is no part of them, a crop keeps them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.detect.trunk import Trunk, coarse_mean
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import VirtualSettings
from trunk_phantom import GRID, SPACING, trunk_phantom


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    scan, _ = trunk_phantom()
    return scan.hu[scan.reference]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.tuples(*[st.integers(1, 7)] * 3), st.tuples(*[st.integers(1, 3)] * 3))
def test_blocks_average_to_their_own_means(seed: int, shape: tuple[int, ...], factor: tuple[int, int, int]) -> None:
    values = np.random.default_rng(seed).normal(size=shape)
    out = coarse_mean(values, factor)
    for index in np.ndindex(*out.shape):
        block = tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factor, strict=True))
        assert out[index] == pytest.approx(values[block].mean(), abs=1e-5)


def test_the_trunk_shows_body_lungs_and_spine(hu: np.ndarray) -> None:
    trunk = Trunk.of(hu, GRID)
    assert trunk.body.sum() * trunk.voxel_ml == pytest.approx(np.pi * 11.5 * 16.5 * 30, rel=0.03)
    assert trunk.spine_share == 1
    assert np.nanmean(trunk.spine()[:, 0]) == pytest.approx(40 + 70 / 4, abs=1)
    assert np.nanmean(trunk.spine()[:, 1]) == pytest.approx(48, abs=1)
    section = trunk.lung_cm2()
    assert section[:20].max() == 0 and section[-10:].min() > 150
    assert trunk.odd_share < 0.1 and trunk.soft_skin_share > 0.95


def test_left_and_right_do_not_matter_to_it_and_front_and_back_do(hu: np.ndarray) -> None:
    trunk, mirrored, turned = (Trunk.of(np.ascontiguousarray(a), GRID) for a in (hu, hu[:, :, ::-1], hu[:, ::-1]))
    assert np.array_equal(trunk.body[:, :, ::-1], mirrored.body)
    assert np.array_equal(trunk.lung[:, :, ::-1], mirrored.lung)
    assert np.array_equal(trunk.body[:, ::-1], turned.body)
    assert mirrored.spine_share == 1 and turned.spine_share == 0


def test_a_table_and_a_blanket_are_no_part_of_the_body(hu: np.ndarray) -> None:
    alone = Trunk.of(hu, GRID)
    for row in (70, 71, 74):
        # The back of the body ends in row 68.
        furnished = hu.copy()
        furnished[:, row, 10:86] = 150
        assert np.array_equal(Trunk.of(furnished, GRID).body, alone.body)


def test_a_crop_keeps_lungs_that_it_opens(hu: np.ndarray) -> None:
    cut = np.ascontiguousarray(hu[:, :, 24:])
    whole, part = Trunk.of(hu, GRID), Trunk.of(cut, Grid.axial(cut.shape, SPACING))
    kept = part.lung.sum() / whole.lung[:, :, 24:].sum()
    assert kept > 0.9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_body_on_the_scan_holds_tissue_and_what_it_encloses(seed: int) -> None:
    scan, liver = trunk_phantom()
    rng = np.random.default_rng(seed)
    hu = scan.hu[scan.reference].copy()
    far = rng.integers(0, 10, 2)
    # Something dense in the air beside the patient.
    hu[:, far[0] : far[0] + 3, far[1] : far[1] + 3] = 60
    body = Trunk.of(hu, GRID).body_in(hu)
    assert not body[:, far[0] : far[0] + 3, far[1] : far[1] + 3].any()
    assert body[liver].all()
    filled = np.stack([ndimage.binary_fill_holes(plane > -300) for plane in scan.hu[scan.reference]])
    assert (body & ~filled).sum() == 0
    assert (body & filled).sum() / filled.sum() > 0.97


@pytest.mark.parametrize("seed", [1, 2])
def test_livers_of_virtual_patients_lie_in_their_bodies(seed: int) -> None:
    patient = make_patient(seed, VirtualSettings(matrix=128, subslices=1))
    liver = (patient.labels >= 1) & (patient.labels <= 8)
    for hu in patient.hu.values():
        assert Trunk.of(hu, patient.grid).body_in(hu)[liver].mean() > 0.999


def test_an_empty_scan_has_no_body() -> None:
    air = np.full((12, 40, 40), -1000, np.int16)
    trunk = Trunk.of(air, Grid.axial(air.shape, (5.0, 3.0, 3.0)))
    assert not trunk.body.any() and trunk.spine_share == 0 and trunk.odd_share == 1 and trunk.soft_skin_share == 0
