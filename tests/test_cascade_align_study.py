"""Phases onto one grid: aligned, through the gate, or by header geometry alone."""

from dataclasses import replace

import numpy as np
import pytest

from livercascade.alignment.align_phases import PhaseUse
from livercascade.alignment.align_settings import OnPoorAlignment, RegistrationLimits
from livercascade.cascade.align_study import align_study
from livercascade.cascade.settings import AlignStage, CascadeSettings
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume
from livercascade.io.study import Study
from livercascade.testing.tiny_networks import COARSE_ALIGNMENT
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import PhaseMotion, VirtualSettings

SETTINGS = AlignStage(registration=COARSE_ALIGNMENT)


@pytest.fixture(scope="module")
def patient():
    return make_patient(5, VirtualSettings(matrix=96, subslices=2, motion=PhaseMotion.BREATHING))


def study_of(patient, *phases):
    return Study("v", tuple(PhaseVolume(p, patient.hu[p], patient.grid) for p in phases), (), (), dicom=False)


def with_limits(**limits):
    return SETTINGS.model_copy(update={"quality": RegistrationLimits(**limits)})


@pytest.fixture(scope="module")
def aligned(patient):
    told = []
    done = align_study(study_of(patient, Phase.AP, Phase.VP), SETTINGS, progress=lambda *step: told.append(step))
    return done, told


def test_breathing_is_undone_on_one_grid(patient, aligned):
    done, told = aligned
    assert done.notices == () and done.scan.reference is Phase.VP
    assert done.scan.hu[Phase.VP] is patient.hu[Phase.VP]
    (ap,) = done.phases
    assert ap.phase is Phase.AP and ap.use is PhaseUse.ALIGNED
    assert ap.quality.similarity.after > ap.quality.similarity.before
    assert done.scan.hu[Phase.AP] is ap.after and ap.before is patient.hu[Phase.AP]
    liver = (patient.labels >= 1) & (patient.labels <= 8)
    true = patient.true_field(Phase.AP)
    points = patient.grid.world(np.argwhere(liver).astype(float))
    apart = np.linalg.norm(ap.field.at(points) - true.at(points), axis=1)
    assert apart.mean() < 0.5 * true.length_mm[liver].mean()
    assert told[-1][1] == told[-1][2] and {step for step, _, _ in told} == {"align arterial"}


def test_pre_aligned_input_stays_where_it_is():
    still = make_patient(5, VirtualSettings(matrix=96, subslices=2, motion=PhaseMotion.NONE))
    (ap,) = align_study(study_of(still, Phase.AP, Phase.VP), SETTINGS).phases
    assert ap.use is PhaseUse.ALIGNED and ap.quality.good
    liver = (still.labels >= 1) & (still.labels <= 8)
    length = np.linalg.norm(ap.field.at(still.grid.world(np.argwhere(liver).astype(float))), axis=1)
    # The coarse test settings work on 5 mm voxels; the default ones are held to 0.5 mm in their own benchmark.
    assert length.mean() < 1.0


def test_one_phase_and_no_align_are_left_alone(patient):
    alone = align_study(study_of(patient, Phase.NC), SETTINGS)
    assert alone.phases == () and alone.scan.reference is Phase.NC and alone.notices == ()
    off = align_study(study_of(patient, Phase.AP, Phase.VP), SETTINGS.model_copy(update={"enabled": False}))
    assert off.phases == () and off.scan.hu[Phase.AP] is patient.hu[Phase.AP]


@pytest.mark.parametrize("choice", [OnPoorAlignment.UNALIGNED, OnPoorAlignment.DROP])
def test_a_poor_phase_is_used_as_it_is_or_dropped(patient, choice):
    done = align_study(study_of(patient, Phase.AP, Phase.VP), with_limits(min_gain=9.0, on_poor=choice))
    (ap,) = done.phases
    assert [n.code for n in done.notices] == ["REGISTRATION_POOR"] and "arterial" in done.notices[0].message
    assert not ap.quality.good
    if choice is OnPoorAlignment.DROP:
        assert ap.use is PhaseUse.DROPPED and Phase.AP not in done.scan.hu
    else:
        assert ap.use is PhaseUse.UNALIGNED and done.scan.hu[Phase.AP] is patient.hu[Phase.AP]


def test_a_poor_phase_may_reject_the_case(patient):
    with pytest.raises(InputError, match="REGISTRATION_POOR"):
        align_study(study_of(patient, Phase.AP, Phase.VP), with_limits(min_gain=9.0, on_poor=OnPoorAlignment.REJECT))


def test_a_phase_of_fewer_slices_is_valid_where_it_has_data(patient):
    grid, hu = patient.grid, patient.hu[Phase.AP]
    x, y, z = grid.origin
    cut = Grid((len(hu) - 8, *grid.shape[1:]), grid.spacing, (x, y, z + 8 * grid.spacing[0]), grid.direction)
    study = study_of(patient, Phase.AP, Phase.VP)
    study = replace(study, volumes=(PhaseVolume(Phase.AP, hu[8:], cut), study.volumes[1]))
    scan = align_study(study, SETTINGS).scan
    valid = scan.valid[Phase.AP]
    assert 0.5 < valid.any(axis=(1, 2)).mean() < 1
    assert (scan.hu[Phase.AP][~valid] == -1024).all()


def test_a_phase_that_covers_too_little_is_left_out(patient):
    grid, hu = patient.grid, patient.hu[Phase.AP]
    short = Grid((12, *grid.shape[1:]), grid.spacing, grid.origin, grid.direction)
    study = study_of(patient, Phase.AP, Phase.VP)
    study = replace(study, volumes=(PhaseVolume(Phase.AP, hu[:12], short), study.volumes[1]))
    done = align_study(study, SETTINGS)
    assert done.phases[0].use is PhaseUse.DROPPED and done.scan.phases == (Phase.VP,)
    assert "PHASE_NO_OVERLAP" in [n.code for n in done.notices]


def test_heads_are_refused_before_alignment():
    grid = Grid.axial((30, 64, 64), (5.0, 3.0, 3.0))
    z, y, x = np.ogrid[:30, :64, :64]
    ball = ((z - 15) / 13) ** 2 + ((y - 32) / 25) ** 2 + ((x - 32) / 25) ** 2
    head = np.where(ball < 0.92, 35, np.where(ball < 1, 600, -1000)).astype(np.int16)
    study = Study("h", tuple(PhaseVolume(p, head, grid) for p in (Phase.AP, Phase.VP)), (), (), dicom=False)
    with pytest.raises(InputError, match="NO_LIVER"):
        align_study(study, SETTINGS)


def test_settings_that_change_the_result_change_the_hash():
    plain = CascadeSettings()
    assert CascadeSettings(align=AlignStage(registration={"threads": 3})).sha256 == plain.sha256
    for other in ({"enabled": False}, {"quality": {"on_poor": "drop"}}, {"registration": {"spacing_mm": 3.0}}):
        assert CascadeSettings.model_validate({"align": other}).sha256 != plain.sha256
