"""Mimics and confounders: twelve families, labels that are never a lesion's, and effects of the image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.labels import Organ, PatientClass, Phase
from livercascade.virtual import confounders
from livercascade.virtual.mimics import borders, parenchyma, tracts
from livercascade.virtual.mimics.image_effects import add_ghost, add_streaks, mark_effects
from livercascade.virtual.mimics.mimic_families import ConfounderKind, MimicFamily
from livercascade.virtual.mimics.mimic_painting import paint_mimics
from livercascade.virtual.randomness import StreamPurpose, random_stream
from livercascade.virtual.slice_averaging import slice_means
from livercascade.virtual.tissue import FIRST_PART, LIVER_TISSUES, Tissue, TissueTable
from virtual_phantom import phantom

MAKERS = {
    parenchyma.shunt: MimicFamily.PERFUSION,
    parenchyma.third_inflow: MimicFamily.PERFUSION,
    parenchyma.focal_fat: MimicFamily.FOCAL_FAT,
    parenchyma.sparing: MimicFamily.FOCAL_FAT,
    parenchyma.nodule: MimicFamily.NODULE,
    parenchyma.fibrosis: MimicFamily.FIBROSIS,
    tracts.artery: MimicFamily.VESSEL,
    tracts.confluence: MimicFamily.VESSEL,
    tracts.ducts: MimicFamily.BILIARY,
    tracts.periportal: MimicFamily.BILIARY,
    tracts.biloma: MimicFamily.BILIARY,
    tracts.granuloma: MimicFamily.DENSE,
    borders.rib_indentation: MimicFamily.PARTIAL_VOLUME,
    borders.fat_cleft: MimicFamily.PARTIAL_VOLUME,
    borders.colon_interposition: MimicFamily.PARTIAL_VOLUME,
    borders.diaphragm_slip: MimicFamily.NEIGHBOUR,
    borders.neighbour: MimicFamily.NEIGHBOUR,
}


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_every_mimic_is_painted_recorded_and_no_lesion(maker):
    found = None
    for seed in range(8):
        made = phantom(seed)
        before = made.tissue_map.values.copy()
        found = maker(made, np.random.default_rng(seed))
        if found is not None:
            break
    assert found is not None and found.family is MAKERS[maker] and found.volume_ml > 0
    changed = made.tissue_map.values != before
    parts = made.tissue_map.values >= FIRST_PART
    assert (made.tissue_table.families[made.tissue_map.values[parts]] == found.family).all() and changed.any()
    assert not np.isin(made.tissue_table.labels[made.tissue_map.values[parts]], range(1, 7)).any()
    _, y, x = np.argwhere(parts).mean(axis=0)
    centre = (np.interp(x, range(76), made.tissue_map.x), np.interp(y, range(68), made.tissue_map.y))
    assert np.hypot(found.centre[0] - centre[0], found.centre[1] - centre[1]) < 25


def test_solid_mimics_are_as_mottled_and_patchy_as_lesions():
    made = phantom(1)
    for maker in (parenchyma.shunt, parenchyma.nodule, parenchyma.focal_fat):
        maker(made, np.random.default_rng(1))
    used = slice(FIRST_PART, made.tissue_table.used)
    assert (made.tissue_table.mottle[used] == 1).all() and (made.tissue_table.patchy_hu[used] >= 1.5).all()


def test_mimics_spare_lesions_and_fewer_are_asked_for_by_a_factor():
    made = phantom(2, cirrhotic=True)
    lesion = made.tissue_table.add(np.full(4, 40, np.float32), 3)
    made.tissue_map.values[28:36, 30:38, 30:38] = lesion
    many = paint_mimics(made, 2, 3.0)
    assert (made.tissue_map.values[28:36, 30:38, 30:38] == lesion).all() and len(many) > 3
    assert [m for m in paint_mimics(phantom(2), 2, 0.0) if m.family is not MimicFamily.VESSEL] == []


def test_confounders_are_recorded():
    kinds = set()
    for maker in (
        confounders._lipiodol,
        confounders._ablation,
        confounders._stent,
        confounders._drain,
        confounders._thrombosis,
    ):
        for seed in range(5):
            made = phantom(seed)
            found = maker(made, np.random.default_rng(seed))
            kinds |= {one.family for one in found}
            values = made.tissue_map.values[made.tissue_map.values >= FIRST_PART]
            assert not np.isin(made.tissue_table.labels[values], range(1, 7)).any()
    assert kinds == {
        *(ConfounderKind.LIPIODOL, ConfounderKind.ABLATION, ConfounderKind.STENT),
        *(ConfounderKind.DRAIN, ConfounderKind.PORTAL_THROMBOSIS),
    }


def test_resection_takes_liver_and_leaves_clips():
    # The stream's first draw decides: 5 % of these patients were operated on.
    seed = next(k for k in range(400) if random_stream(k, StreamPurpose.CONFOUNDERS).random() < 0.05)
    made = phantom()
    before = np.isin(made.tissue_map.values, LIVER_TISSUES).sum()
    found = confounders.resect(made, PatientClass.HCC, seed)
    assert [one.family for one in found] == [ConfounderKind.RESECTION]
    assert np.isin(made.tissue_map.values, LIVER_TISSUES).sum() < before
    assert made.tissue_table.hu[:, FIRST_PART].min() >= 2000


def test_dense_spots_throw_streaks_and_soft_ones_do_not():
    made = phantom()
    soft = made.tissue_table.add(np.full(4, 400, np.float32), 7, solid=False)
    clip = made.tissue_table.add(np.full(4, 2500, np.float32), 0, solid=False)
    images = {phase: np.zeros((32, 68, 76), np.float32) for phase in Phase}
    made.tissue_map.values[30:32, 20:22, 20:22] = soft
    assert not add_streaks(images, made.tissue_map, made.tissue_table, np.random.default_rng(0)).any()
    made.tissue_map.values[30:32, 40:42, 40:42] = clip
    added = add_streaks(images, made.tissue_map, made.tissue_table, np.random.default_rng(0))
    assert np.abs(added[15]).max() > 20 and not added[5].any()
    np.testing.assert_array_equal(images[Phase.AP], added)


def test_effects_are_marked_in_free_liver_alone():
    labels = np.full((4, 40, 40), Organ.LIVER, np.uint8)
    labels[:, :, 20:] = 0
    families = np.zeros_like(labels)
    families[:, :10] = MimicFamily.NODULE
    change = np.zeros(labels.shape, np.float32)
    change[1, 5:30, 5:30] = 40
    found = mark_effects(
        families, labels, [(MimicFamily.ARTEFACT, "streaks", change)], (5.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    )
    assert len(found) == 1 and found[0].volume_ml == pytest.approx(20 * 15 * 5 / 1000)
    assert (families[1, 10:30, 5:20] == MimicFamily.ARTEFACT).all() and (families[:, :10] == MimicFamily.NODULE).all()
    assert (families == MimicFamily.ARTEFACT).sum() == 300


def test_a_ghost_is_in_one_phase_and_few_slices():
    rng = np.random.default_rng(4)
    labels = np.zeros((20, 64, 64), np.uint8)
    labels[4:18, 20:44, 20:44] = Organ.LIVER
    images = {phase: np.where(labels > 0, 60, -100).astype(np.float32) for phase in Phase}
    change = add_ghost(images, labels, rng)
    assert change is not None and 2 <= np.count_nonzero(change.any(axis=(1, 2))) <= 7
    assert sum(not np.array_equal(image, np.where(labels > 0, 60, -100)) for image in images.values()) == 1


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.tuples(*[st.integers(-3, 3)] * 3))
@settings(max_examples=25)
def test_slice_means_of_a_displaced_map_are_literal(seed, subslices, shift):
    rng = np.random.default_rng(seed)
    tissue = rng.integers(0, 9, (3 * subslices, 6, 7)).astype(np.uint8)
    table = rng.normal(size=256).astype(np.float32)
    out = np.empty((3, 6, 7), np.float32)
    slice_means(tissue, table, np.array(shift), subslices, out)
    index = [np.clip(np.arange(n) - s, 0, n - 1) for n, s in zip(tissue.shape, shift, strict=True)]
    want = table[tissue[np.ix_(*index)]].reshape(3, subslices, 6, 7).mean(axis=1)
    np.testing.assert_allclose(out, want, atol=1e-5)


def test_the_families_are_twelve_and_confounders_apart():
    assert [int(family) for family in MimicFamily] == list(range(1, 13)) and min(ConfounderKind) > 20
    assert TissueTable(np.zeros((4, 256), np.float32)).used == FIRST_PART > max(Tissue)
