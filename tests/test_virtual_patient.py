"""Virtual patients: same seed same bytes, exact truth, HU and sizes as published."""

import numpy as np
import pytest
from scipy import ndimage

from livercascade.data.labels import PHASES, LesionType, Organ, PatientClass, Phase
from livercascade.virtual.habitus import draw_habitus
from livercascade.virtual.lesions.lesion_plan import TABLE_I, VOLUME_BINS_ML, draw_volume
from livercascade.virtual.mimics.mimic_families import MimicFamily
from livercascade.virtual.physiology import draw_physiology
from livercascade.virtual.tissue import Tissue
from livercascade.virtual.virtual_patient import make_patient
from livercascade.virtual.virtual_settings import CaseMix, VirtualSettings

# An odd number of subslices: ties, which lesions win, would swell lesions.
SMALL = VirtualSettings(matrix=96, subslices=3, mix=CaseMix.TRAINING)


@pytest.fixture(scope="module")
def patients():
    return [make_patient(seed, SMALL) for seed in range(4)]


def test_same_seed_same_patient_other_seed_another(patients):
    again = make_patient(0, SMALL)
    first, second = patients[:2]
    assert again.lesions == first.lesions and again.mimics == first.mimics
    np.testing.assert_array_equal(again.labels, first.labels)
    for phase in PHASES:
        np.testing.assert_array_equal(again.hu[phase], first.hu[phase])
    shapes_differ = first.labels.shape != second.labels.shape
    assert shapes_differ or not np.array_equal(first.labels, second.labels)


def test_labels_and_hu_are_in_range(patients):
    for patient in patients:
        assert patient.labels.max() <= 13 and set(patient.hu) == set(PHASES)
        for image in patient.hu.values():
            assert image.shape == patient.grid.shape and image.min() >= -1024 and image.max() <= 3071


def test_lesion_voxels_agree_with_the_recorded_volumes(patients):
    for patient in patients:
        for kind in LesionType:
            recorded = sum(lesion.volume_ml for lesion in patient.lesions if lesion.label is kind)
            counted = np.count_nonzero(patient.labels == kind) * patient.grid.voxel_ml
            assert counted == pytest.approx(recorded, rel=0.1, abs=0.6)


def test_lesions_lie_in_the_liver(patients):
    for patient in patients:
        lesion = (patient.labels >= 1) & (patient.labels <= 6)
        liver = (patient.labels == Organ.LIVER) | (patient.labels == Organ.HEPATIC_VESSELS)
        parts, count = ndimage.label(lesion)
        for number in range(1, count + 1):
            assert (ndimage.binary_dilation(parts == number, iterations=2) & liver).any()


def test_mimics_are_no_lesions_but_for_pseudo_enhancing_cysts(patients):
    assert sum(len(patient.mimics) for patient in patients) > 0
    for patient in patients:
        where = (patient.mimics_map > 0) & (patient.mimics_map != MimicFamily.PSEUDO_ENHANCEMENT)
        # At a slice's border the majority of tissue and of mimic may be another one.
        lesion = (patient.labels >= 1) & (patient.labels <= 6)
        assert not where.any() or (lesion & where).sum() < 0.1 * where.sum()
        known = {int(one.family) for one in (*patient.mimics, *patient.confounders)}
        assert known | {int(MimicFamily.BILIARY)} >= set(np.unique(patient.mimics_map[where]).tolist())


def test_patient_class_is_that_of_the_counted_lesions(patients):
    for patient in patients:
        counted = [lesion.label for lesion in patient.lesions if lesion.volume_ml >= 0.5]
        want = PatientClass.of(LesionType(min(counted))) if counted else PatientClass.NORMAL
        assert patient.patient_class is want


def test_images_show_the_hu_of_their_tissues(patients):
    for patient in patients:
        for organ, tissue in ((Organ.LIVER, Tissue.LIVER), (Organ.SPLEEN, Tissue.SPLEEN)):
            inner = ndimage.binary_erosion((patient.labels == organ) & (patient.mimics_map == 0), iterations=2)
            assert inner.any()
            for phase in (Phase.NC, Phase.VP, Phase.DP):
                shown = np.median(patient.hu[phase][inner])
                assert shown == pytest.approx(patient.physiology.hu[phase.index, tissue], abs=6)


# NC, AP, VP, DP and the SD between patients, from the literature table, not from the code.
@pytest.mark.parametrize(
    ("tissue", "mean", "sd"),
    [
        (Tissue.AORTA, (40, 310, 160, 110), (5, 55, 20, 12)),
        (Tissue.SPLEEN, (47, 120, 118, 90), (5, 25, 13, 9)),
        (Tissue.PORTAL_TRUNK, (40, 110, 175, 115), (5, 40, 22, 12)),
        (Tissue.PANCREAS, (40, 100, 88, 68), (7, 18, 12, 9)),
        (Tissue.MUSCLE, (55, 60, 66, 66), (5, 5, 5, 5)),
        (Tissue.BILE, (8, 8, 8, 8), (6, 6, 6, 6)),
    ],
)
def test_tissues_enhance_as_published(tissue, mean, sd):
    rng = np.random.default_rng(3)
    plain = VirtualSettings()
    drawn = np.array([draw_physiology(draw_habitus(plain, False, rng), plain, rng).hu[:, tissue] for _ in range(200)])
    assert (np.abs(np.median(drawn, axis=0) - mean) <= 0.6 * np.array(sd) + 1).all()


@pytest.mark.parametrize("kind", list(LesionType))
def test_sizes_follow_table_i(kind):
    rng = np.random.default_rng(5)
    drawn = np.array([draw_volume(kind, rng) for _ in range(3000)])
    edges = [low for low, _ in VOLUME_BINS_ML] + [VOLUME_BINS_ML[-1][1]]
    counts = np.histogram(drawn, edges)[0]
    want = np.array(TABLE_I[kind]) / sum(TABLE_I[kind]) * 3000
    used = want > 0
    assert counts.sum() == 3000 and (counts[~used] == 0).all()
    # 99.99 % point of chi square with five degrees of freedom.
    assert (((counts - want) ** 2)[used] / want[used]).sum() < 25.7
