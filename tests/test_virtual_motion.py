"""Known motion between phases: invertible, free of folds, and what images, labels and stored fields show."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from livercascade.alignment.displacement_field import read_field
from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, Phase
from livercascade.data.scan import PhaseVolume
from livercascade.io.nifti import read_labels
from livercascade.virtual.breathing import MAX_SLOPE, breathe
from livercascade.virtual.motion import Motion, follow_slices, moved_tissue_map
from livercascade.virtual.patient_folders import make_cohort, write_patient
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.tissue_map import TissueMap
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import PhaseMotion, VirtualSettings

BREATHING = VirtualSettings(matrix=128, subslices=2, motion=PhaseMotion.BREATHING)
STILL = BREATHING.model_copy(update={"motion": PhaseMotion.NONE})
MOVED = (Phase.NC, Phase.AP, Phase.DP)
CORNERS = ((-40.0, -60.0, -60.0), (40.0, 60.0, 60.0))


@pytest.fixture(scope="module")
def patient():
    return make_patient(5, BREATHING)


@pytest.fixture(scope="module")
def still():
    return make_patient(5, STILL)


def in_liver(labels):
    return (labels >= 1) & (labels <= 8)


def limited(lattice, slope):
    """Lattice of 8 x 12 x 12 mm cells with slopes below a limit in sum over the axes."""
    return (lattice / (2 * np.abs(lattice).max()) * slope * 8.0 / 3).astype(np.float32)


def plain_motion(slide_mm=0.0, drift_mm=(0.0, 0.0, 0.0)):
    lattice = np.ones((11, 11, 11), np.float32)
    return Motion(lattice * np.float32(slide_mm), np.stack([lattice * np.float32(d) for d in drift_mm]), *CORNERS)


def plain_tissue_map():
    rng = np.random.default_rng(0)
    z, y, x = (np.linspace(a, b, n, dtype=np.float32) for a, b, n in zip(*CORNERS, (41, 61, 61), strict=True))
    return TissueMap(rng.integers(0, 200, (41, 61, 61), dtype=np.uint8), z, y, x)


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.floats(0.05, 0.9))
def test_every_motion_can_be_undone(seed, slope):
    rng = np.random.default_rng(seed)
    drift = np.stack([limited(rng.standard_normal((11, 11, 11)), slope / 2) for _ in range(3)])
    motion = Motion(limited(rng.standard_normal((11, 11, 11)), slope), drift, *CORNERS)
    places = rng.uniform(-35, 35, (200, 3)).astype(np.float32)
    np.testing.assert_allclose(motion.at_rest(motion.moved(places)), places, atol=0.01)
    np.testing.assert_allclose(motion.moved(motion.at_rest(places)), places, atol=0.05)


def test_at_rest_nothing_moves():
    tissue_map, motion = plain_tissue_map(), plain_motion()
    np.testing.assert_array_equal(motion.sources(tissue_map).ravel(), np.arange(tissue_map.values.size))
    grid = Grid.axial((20, 30, 30), (4.0, 4.0, 4.0), (-60.0, -60.0, -40.0))
    assert not motion.displacement(grid).any()


def test_a_plain_shift_moves_voxels_by_whole_numbers():
    tissue_map = plain_tissue_map()
    # Tissue seen at p lies at p + 6 mm along z and p - 4 mm along x in VP: three voxels up, two to the right.
    motion = plain_motion(6.0, (0.0, 0.0, -4.0))
    moved = moved_tissue_map(tissue_map, motion.sources(tissue_map)).values
    np.testing.assert_array_equal(moved[:-3, :, 2:], tissue_map.values[3:, :, :-2])
    assert (moved[-3:, :, 2:] == tissue_map.values[-1:, :, :-2]).all()
    grid = Grid.axial((5, 5, 5), (4.0, 4.0, 4.0), (-8.0, -8.0, -8.0))
    np.testing.assert_allclose(motion.displacement(grid).reshape(-1, 3), [[4.0, 0.0, -6.0]] * 125, atol=2e-3)


def test_slice_values_go_along_in_fine_slices():
    tissue_map = plain_tissue_map()
    values = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((1, 61, 61), np.float32)
    even = TissueMap(tissue_map.values[:40], tissue_map.z[:40], tissue_map.y, tissue_map.x)
    # One fine slice of two: each slice is half itself, half the next.
    got = follow_slices(values, plain_motion(2.0).sources(even), 2)
    np.testing.assert_allclose(got[:-1, 30, 30], np.arange(19) + 0.5)


def test_motion_does_not_change_the_patient(patient, still):
    residual = make_patient(5, BREATHING.model_copy(update={"motion": PhaseMotion.RESIDUAL}))
    for other in (still, residual):
        np.testing.assert_array_equal(other.labels, patient.labels)
        np.testing.assert_array_equal(other.hu[Phase.VP], patient.hu[Phase.VP])
        assert other.lesions == patient.lesions and not other.motions and not other.moved_labels
    assert not still.true_field(Phase.AP).vectors_mm.any()
    assert not patient.true_field(Phase.VP).vectors_mm.any()


def test_seeds_repeat(patient):
    tiny = BREATHING.model_copy(update={"matrix": 64})
    first, again = make_patient(5, tiny), make_patient(5, tiny)
    assert again.breaths == first.breaths and len(set(again.breaths.values())) == 3
    for phase in PHASES:
        np.testing.assert_array_equal(again.hu[phase], first.hu[phase])
    np.testing.assert_array_equal(again.true_field(Phase.NC).vectors_mm, first.true_field(Phase.NC).vectors_mm)


@pytest.mark.parametrize("phase", MOVED)
def test_the_true_field_undoes_the_motion(patient, still, phase):
    field = patient.true_field(phase)
    assert field.folded == 0 and field.jacobian().min() > 0.2
    # Labels correspond.
    carried = field.warp_labels(patient.moved_labels[phase], patient.grid)
    liver = in_liver(patient.labels)
    agree = (carried == patient.labels)[liver].mean()
    assert agree > 0.93 and agree > (patient.moved_labels[phase] == patient.labels)[liver].mean() + 0.1
    # HU correspond, within the noise of both images, away from edges that interpolation softens.
    hu, valid = field.warp(PhaseVolume(phase, patient.hu[phase], patient.grid))
    inner = ndimage.binary_erosion(liver & valid & (carried == patient.labels))
    apart = hu[inner].astype(np.float64) - still.hu[phase][inner]
    noise = patient.scanner.noise_hu[phase.index]
    assert abs(np.median(apart)) < 0.2 * noise and np.percentile(np.abs(apart), 68) < 1.6 * noise


def test_organs_move_and_the_skeleton_stays(patient):
    bone = patient.hu[Phase.NC] > 400
    for phase in MOVED:
        length = patient.true_field(phase).length_mm
        dome = abs(patient.breaths[phase].dome_mm)
        assert length[bone].mean() < 0.1 * dome + 0.5
        assert 0.3 * dome < length[in_liver(patient.labels)].mean() < 1.1 * dome + 10


@pytest.mark.parametrize("seed", range(3))
def test_slopes_are_limited(seed):
    z, y, x = (np.linspace(-a, a, n, dtype=np.float32) for a, n in ((150, 60), (120, 48), (180, 60)))
    tissue = np.full((60, 48, 60), Tissue.AIR, np.uint8)
    tissue[:, 4:44, 4:56] = Tissue.FAT
    tissue[:, 12:36, 12:48] = Tissue.LIVER
    tissue[20:24, 10:12] = Tissue.CORTICAL_BONE
    motions, breaths = breathe(TissueMap(tissue, z, y, x), np.random.default_rng(seed))
    assert set(motions) == set(breaths) == set(MOVED)
    for motion in motions.values():
        steps = [(h - low) / (n - 1) for low, h, n in zip(motion.low, motion.high, motion.slide.shape, strict=True)]
        assert np.abs(np.diff(motion.slide, axis=0)).max() / steps[0] <= MAX_SLOPE + 1e-4
        for axis, step in enumerate(steps, start=1):
            assert np.abs(np.diff(motion.drift, axis=axis)).max() / step <= MAX_SLOPE + 1e-4


def test_field_labels_and_numbers_are_stored(patient, tmp_path):
    place = write_patient(patient, BREATHING, tmp_path)
    record = json.loads((place / "virtual.json").read_text())
    assert set(record["motion"]) == {"NC", "AP", "DP"} and record["settings"]["motion"] == "breathing"
    assert record["motion"]["AP"]["dome_mm"] == patient.breaths[Phase.AP].dome_mm
    assert 0 < record["motion"]["AP"]["liver_mm"]["mean"] < record["motion"]["AP"]["liver_mm"]["p95"]
    field = read_field(place / "field_ap.nii.gz")
    assert field.grid.matches(patient.grid)
    np.testing.assert_array_equal(field.vectors_mm, patient.true_field(Phase.AP).vectors_mm)
    labels, _ = read_labels(place / "labels_dp.nii.gz")
    np.testing.assert_array_equal(labels, patient.moved_labels[Phase.DP])
    assert not (place / "field_vp.nii.gz").exists()


def test_records_from_before_motion_are_kept(tmp_path):
    tiny = VirtualSettings(matrix=64, subslices=2)
    (place,) = make_cohort([1], tiny, tmp_path)
    record = json.loads((place / "virtual.json").read_text())
    del record["settings"]["motion"]
    (place / "virtual.json").write_text(json.dumps(record))
    before = hashlib.sha256((place / "virtual.json").read_bytes()).hexdigest()
    list(make_cohort([1], tiny, tmp_path))
    assert hashlib.sha256((place / "virtual.json").read_bytes()).hexdigest() == before
    list(make_cohort([1], tiny.model_copy(update={"motion": PhaseMotion.BREATHING}), tmp_path))
    assert (place / "field_nc.nii.gz").is_file()
