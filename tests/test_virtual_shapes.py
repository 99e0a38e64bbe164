"""Tissue map and slices: equal to their literal definitions."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.labels import Phase
from livercascade.virtual.habitus import draw_habitus
from livercascade.virtual.physiology import draw_physiology
from livercascade.virtual.randomness import enlarge
from livercascade.virtual.scanner import Scanner, develop, expose_phases
from livercascade.virtual.slice_averaging import true_labels
from livercascade.virtual.tissue import Tissue, TissueTable
from livercascade.virtual.tissue_map import TissueMap
from livercascade.virtual.virtual_settings import VirtualSettings

QUIET = Scanner((0.0,) * 4, 0.3, 0.0, ((0, 0, 0),) * 4, 0.0)
SEEDS = st.integers(0, 2**32 - 1)


def scan(tissue_map, tissue_table, scanner, subslices=2, seed=0):
    settings = VirtualSettings(matrix=64, subslices=subslices)
    images, _ = expose_phases(tissue_map, tissue_table, scanner, settings, seed)
    return develop(images, tissue_map, scanner, settings, seed)


def blank(shape=(20, 24, 28), spacing=(2.0, 1.5, 1.5)):
    axes = [((np.arange(n) - (n - 1) / 2) * s).astype(np.float32) for n, s in zip(shape, spacing, strict=True)]
    return TissueMap(np.zeros(shape, np.uint8), *axes)


@given(SEEDS)
@settings(max_examples=25)
def test_tube_holds_the_voxels_near_its_line(seed):
    rng = np.random.default_rng(seed)
    tissue_map = blank()
    ends, radii = rng.uniform(-18, 18, (2, 3)), rng.uniform(2, 6, 2)
    tissue_map.tube(ends, radii, 9)
    at = np.stack(np.meshgrid(tissue_map.z, tissue_map.y, tissue_map.x, indexing="ij"), axis=-1).astype(float)
    axis = ends[1] - ends[0]
    t = np.clip((at - ends[0]) @ axis / (axis @ axis), 0, 1)
    slack = np.linalg.norm(at - ends[0] - t[..., None] * axis, axis=-1) - (radii[0] + (radii[1] - radii[0]) * t)
    sure = np.abs(slack) > 1e-3
    np.testing.assert_array_equal((tissue_map.values == 9)[sure], (slack <= 0)[sure])


def test_tube_spares_other_tissues():
    tissue_map = blank()
    tissue_map.values[:, :, 14:] = 3
    tissue_map.tube(np.array([[0.0, 0, -15], [0, 0, 15]]), np.array([4.0, 4.0]), 9, (0,))
    assert (tissue_map.values[:, :, 14:] == 3).all() and (tissue_map.values[:, :, :14] == 9).any()


@given(SEEDS)
@settings(max_examples=25)
def test_fill_is_trilinear_enlargement_up_to_the_border(seed):
    rng = np.random.default_rng(seed)
    tissue_map = blank((17, 23, 29))
    distance = rng.normal(0, 3, (9, 9, 9)).astype(np.float32) + np.float32(rng.uniform(-4, 4))
    full = enlarge(distance, tissue_map.values.shape)
    tissue_map.fill(distance, (1.0, 5), (-1.0, 6))
    want = np.where(full <= -1, 6, np.where(full <= 1, 5, 0))
    sure = (np.abs(full - 1) > 1e-3) & (np.abs(full + 1) > 1e-3)
    np.testing.assert_array_equal(tissue_map.values[sure], want[sure])


@given(SEEDS, st.integers(1, 5), st.booleans())
@settings(max_examples=40)
def test_true_labels_are_the_literal_mode(seed, subslices, lesions_win):
    rng = np.random.default_rng(seed)
    tissue_map = blank((3 * subslices, 4, 5))
    tissue_map.values[:] = rng.integers(0, 14, tissue_map.values.shape)
    favoured = (1, 2, 3, 4, 5, 6) if lesions_win else ()
    found = true_labels(tissue_map, np.arange(256).astype(np.uint8) % 14, subslices, favoured=favoured)
    for z, y, x in np.ndindex(found.shape):
        votes = Counter(tissue_map.values[z * subslices : (z + 1) * subslices, y, x].tolist())
        top = [k for k, n in votes.items() if n == max(votes.values())]
        assert found[z, y, x] == min([k for k in top if k in favoured] or top)


def test_a_slice_is_the_mean_over_its_thickness():
    tissue_map = blank((16, 24, 28))
    tissue_map.values[6:] = 1
    hu = np.zeros((4, 256), np.float32)
    hu[:, 1] = [100, 40, 60, -80]
    phases = scan(tissue_map, TissueTable(hu), QUIET, subslices=4)
    for phase, image in phases.items():
        # The slow unevenness is the liver's alone, and there is none here.
        np.testing.assert_allclose(image[:, 12, 14], np.array([0, 0.5, 1, 1]) * hu[phase.index, 1], atol=1)


def test_noise_is_correlated_in_plane_and_of_the_stated_strength():
    noisy = Scanner((10.0,) * 4, 1.0, 0.0, ((0, 0, 0),) * 4, 0.0)
    tissue_map = blank((24, 200, 200), (2.5, 1.0, 1.0))
    tissue_map.values[:] = Tissue.FAT
    images = scan(tissue_map, TissueTable(np.zeros((4, 256), np.float32)), noisy)
    for image in images.values():
        # The middle of the body, where the stated strength holds.
        values = image.astype(float)[:, 85:115, 85:115]
        assert values.std() == pytest.approx(10, rel=0.1)
        assert np.corrcoef(values[..., 1:].ravel(), values[..., :-1].ravel())[0, 1] > 0.5
        assert abs(np.corrcoef(values[..., 8:].ravel(), values[..., :-8].ravel())[0, 1]) < 0.1
        assert 0.05 < np.corrcoef(values[1:].ravel(), values[:-1].ravel())[0, 1] < 0.4


def test_a_lesion_shows_the_mottle_of_the_liver_and_its_own_patches():
    tissue_map = blank((24, 64, 64), (2.5, 1.0, 1.0))
    tissue_map.values[:] = Tissue.LIVER
    tissue_table = TissueTable(np.full((4, 256), 60, np.float32))
    solid = tissue_table.add(np.full(4, 60, np.float32), 1, patchy_hu=4.0)
    fluid = tissue_table.add(np.full(4, 60, np.float32), 6, solid=False)
    tissue_map.values[:, :20], tissue_map.values[:, 44:] = solid, fluid
    mottled = Scanner((0.0,) * 4, 0.5, 3.0, ((0, 0, 0),) * 4, 0.0)
    image = scan(tissue_map, tissue_table, mottled, seed=2)
    hu = image[Phase.VP].astype(float)
    assert hu[:, :18].std() > hu[:, 22:42].std() > 1.5 > hu[:, 46:].std()


@given(SEEDS)
@settings(max_examples=25)
def test_early_arterial_phase_has_less_of_a_lesions_enhancement(seed):
    rng = np.random.default_rng(seed)
    habitus = draw_habitus(VirtualSettings(), False, rng)
    physiology = draw_physiology(habitus, VirtualSettings(), rng)
    curve = (46.0, 105.0, 88.0, 71.0)
    lesion, textbook = physiology.enhance_lesion(curve), physiology.enhance(curve)
    np.testing.assert_array_equal(lesion[[0, 2, 3]], textbook[[0, 2, 3]])
    wanted = {"early": textbook[0] < lesion[1] < textbook[1], "too late": textbook[2] < lesion[1] < textbook[1]}
    assert wanted.get(physiology.bolus.timing, lesion[1] == textbook[1])
