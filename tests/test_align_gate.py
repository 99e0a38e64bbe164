"""The quality gate: what is measured, what passes, and why something fails."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livercascade.alignment.align_settings import RegistrationLimits
from livercascade.alignment.aligner import PairAlignment
from livercascade.alignment.displacement_field import DisplacementField
from livercascade.alignment.registration_quality import BeforeAfter, assess_registration, poor_registration
from livercascade.alignment.similarity import body_tissue, dice
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import PhaseMotion, VirtualSettings


@pytest.fixture(scope="module")
def patient():
    return make_patient(5, VirtualSettings(matrix=128, subslices=2, motion=PhaseMotion.BREATHING))


def volume(patient, phase):
    return PhaseVolume(phase, patient.hu[phase], patient.grid)


def pair_of(patient, phase, field, **changes):
    moved, valid = field.warp(volume(patient, phase))
    return replace(PairAlignment(moved, valid, field), **changes)


def judged(patient, phase, pair, **options):
    unaligned = (patient.hu[phase], np.ones(patient.grid.shape, bool))
    return assess_registration(volume(patient, Phase.VP), unaligned, pair, **options)


def test_a_pair_that_was_aligned_passes_unchanged(patient):
    quality = judged(patient, Phase.VP, pair_of(patient, Phase.VP, DisplacementField.zero(patient.grid)))
    assert quality.good and quality.max_mm == 0
    assert quality.similarity.before == quality.similarity.after > 0
    assert quality.body_overlap.before == quality.body_overlap.after == 1


@pytest.mark.parametrize("phase", [Phase.NC, Phase.AP, Phase.DP])
def test_the_true_field_passes_and_its_opposite_fails(patient, phase):
    field = patient.true_field(phase)
    right = judged(patient, phase, pair_of(patient, phase, field))
    assert right.good, right.reasons
    assert right.similarity.after > right.similarity.before
    assert right.body_overlap.after > right.body_overlap.before and right.body_overlap.after > 0.95
    assert 0 < right.mean_mm < right.p95_mm < right.max_mm
    wrong = judged(patient, phase, pair_of(patient, phase, DisplacementField(patient.grid, -field.vectors_mm)))
    assert not wrong.good and any("similarity fell" in reason for reason in wrong.reasons)


def test_livers_are_compared_where_masks_are_given(patient):
    field, labels = patient.true_field(Phase.AP), patient.moved_labels[Phase.AP]
    after = field.warp_labels(labels, patient.grid)
    fixed, before, moved = ((x >= 1) & (x <= 8) for x in (patient.labels, labels, after))
    livers = BeforeAfter(dice(fixed, before), dice(fixed, moved))
    pair = pair_of(patient, Phase.AP, field)
    overlap = judged(patient, Phase.AP, pair, liver_overlap=livers).liver_overlap
    assert overlap is not None and overlap.before < 0.9 < 0.96 < overlap.after
    strict = judged(patient, Phase.AP, pair, liver_overlap=livers, limits=RegistrationLimits(min_liver_overlap=0.999))
    assert [r for r in strict.reasons if r.startswith("the liver overlaps")]


def test_folds_and_far_fields_fail(patient):
    folded = judged(patient, Phase.AP, pair_of(patient, Phase.AP, patient.true_field(Phase.AP), folded=0.01))
    assert folded.reasons == ("the field folds in 1.00% of the voxels",)
    far = DisplacementField(patient.grid, np.full((*patient.grid.shape, 3), 40.0, np.float32))
    assert any("moves the body by" in r for r in judged(patient, Phase.AP, pair_of(patient, Phase.AP, far)).reasons)


def test_another_person_fails(patient):
    other = make_patient(8, VirtualSettings(matrix=128, subslices=2))
    moving = PhaseVolume(Phase.AP, other.hu[Phase.AP], other.grid)
    zero = DisplacementField.zero(patient.grid)
    moved, valid = zero.warp(moving)
    quality = assess_registration(volume(patient, Phase.VP), (moved, valid), PairAlignment(moved, valid, zero))
    assert any("the body overlaps" in reason for reason in quality.reasons)
    error = poor_registration(Phase.AP, quality)
    assert error.code == "REGISTRATION_POOR" and error.stage == "register" and "arterial" in error.message


def test_a_shift_between_headers_is_no_displacement(patient):
    up = 200.0
    vectors = np.zeros((*patient.grid.shape, 3), np.float32)
    vectors[..., 2] = up
    x, y, z = patient.grid.origin
    away = PhaseVolume(Phase.VP, patient.hu[Phase.VP], replace(patient.grid, origin=(x, y, z + up)))
    field = DisplacementField(patient.grid, vectors)
    moved, valid = field.warp(away)
    nothing = (np.full(patient.grid.shape, -1024, np.int16), np.zeros(patient.grid.shape, bool))
    quality = assess_registration(volume(patient, Phase.VP), nothing, PairAlignment(moved, valid, field, up))
    assert quality.max_mm < 1e-3
    # Nothing to compare with before: what counts is that it fits after.
    assert quality.similarity.before == 0


def test_tissue_is_the_body_without_table_lung_and_gas():
    hu = np.full((8, 60, 60), -1000, np.int16)
    hu[:, 10:40, 10:50] = 40
    hu[:, 15:25, 15:25] = -850
    hu[:, 50:53, 5:55] = -100
    found = body_tissue(hu)
    want = np.zeros(hu.shape, bool)
    want[:, 10:40, 10:50] = True
    want[:, 15:25, 15:25] = False
    np.testing.assert_array_equal(found, want)
    assert not body_tissue(np.full((4, 8, 8), -1000, np.int16)).any()


@given(st.integers(0, 2**12 - 1), st.integers(0, 2**12 - 1))
def test_dice_by_its_definition(a, b):
    first, second = ({k for k in range(12) if bits >> k & 1} for bits in (a, b))
    masks = [np.array([k in s for k in range(12)]).reshape(2, 2, 3) for s in (first, second)]
    total = len(first) + len(second)
    assert dice(*masks) == (2 * len(first & second) / total if total else 1)


def test_a_coarse_field_is_the_same_field():
    grid = Grid.axial((9, 20, 22), (5.0, 1.5, 1.5), (3.0, -7.0, 11.0))
    points = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1).astype(float)
    # Linear in space: every grid gives it exactly.
    field = DisplacementField(grid, (grid.world(points) * 0.1).astype(np.float32))
    small = field.coarse()
    assert small.grid.spacing == (5.0, 4.5, 4.5)
    places = grid.world(np.array([[2.0, 3.0, 4.0], [7.5, 12.0, 16.0]]))
    np.testing.assert_allclose(small.at(places), places * 0.1, atol=1e-4)
