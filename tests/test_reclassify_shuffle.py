"""shuffle and the liver region: the laws of the four schemes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from livercascade.data.labels import LesionType, Organ
from livercascade.detect.seg2det import seg2det
from livercascade.reclassification.patches import (
    PATCH_LIVER,
    PATCH_SHAPE,
    PatchVolume,
    Scheme,
    cut,
    is_lesion,
    liver_region,
    patch_labels,
)
from livercascade.reclassification.shuffle import ShuffleSettings, shuffle

SPACING = (5.0, 0.78, 0.78)
FILL = (-100.0, -150.0)
LAWS = settings(max_examples=25)


def ball(shape, centre, radii):
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1


def patient(seed, lesions=2, shape=(20, 90, 100)):
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, dtype=np.uint8)
    mask[ball(shape, (10, 45, 50), (8, 38, 42))] = Organ.LIVER
    mask[4:16, 40:44, 20:60][mask[4:16, 40:44, 20:60] > 0] = Organ.HEPATIC_VESSELS
    for _ in range(lesions):
        centre = (rng.integers(5, 15), rng.integers(20, 70), rng.integers(20, 80))
        spot = ball(shape, centre, (1 + rng.random() * 2, 3 + rng.random() * 6, 3 + rng.random() * 6))
        mask[spot & (mask > 0)] = rng.integers(1, 7)
    image = rng.normal(0, 10, (2, *shape)).astype(np.float32) + np.where(mask > 0, 60, -80).astype(np.float32)
    image += is_lesion(mask) * np.array([40, -40], dtype=np.float32)[:, None, None, None]
    return image, mask


def volume_of(image, mask, **options):
    return PatchVolume.of(image, patch_labels(mask), SPACING, FILL, **options)


def pristine(volume, patch):
    """What an untouched patch at the same place holds."""
    labels = cut(volume.labels, patch.start, 0.0)
    image = np.stack([cut(c, patch.start, 0.0) for c in volume.image]).astype(np.float32)
    return np.where(labels > 0, image, np.array(FILL, dtype=np.float32)[:, None, None, None]), labels


@LAWS
@given(st.integers(0, 10_000), st.sampled_from(Scheme))
def test_every_scheme_leaves_all_outside_the_liver_alone(seed, scheme):
    image, mask = patient(seed)
    volume = volume_of(image, mask)
    before = image.copy()
    for lesion in seg2det(mask, SPACING, min_volume_ml=0.0):
        patch = shuffle(lesion, volume, scheme, np.random.default_rng(seed))
        if patch is None:
            continue
        original, labels = pristine(volume, patch)
        outside = labels == 0
        assert (patch.labels == 0)[outside].all() and (patch.labels > 0)[~outside].all()
        assert np.array_equal(patch.image[:, outside], original[:, outside])
        if not scheme.shuffled:
            assert np.array_equal(patch.image, original) and np.array_equal(patch.labels, labels)
    assert np.array_equal(image, before)


@LAWS
@given(st.integers(0, 10_000), st.sampled_from([Scheme.ORIGINAL_NEGATIVE, Scheme.SHUFFLED_NEGATIVE]))
def test_negative_patches_hold_no_lesion(seed, scheme):
    image, mask = patient(seed, lesions=4)
    volume = volume_of(image, mask)
    for lesion in seg2det(mask, SPACING, min_volume_ml=0.0):
        patch = shuffle(lesion, volume, scheme, np.random.default_rng(seed))
        if patch is not None:
            assert not is_lesion(patch.labels).any() and not patch.lesion.any()


@LAWS
@given(st.integers(0, 10_000))
def test_a_moved_lesion_is_the_same_voxels_by_a_whole_shift(seed):
    image, mask = patient(seed)
    volume = volume_of(image, mask)
    choices = ShuffleSettings(match_background=False)
    for lesion in seg2det(mask, SPACING, min_volume_ml=0.0):
        patch = shuffle(lesion, volume, Scheme.SHUFFLED_POSITIVE, np.random.default_rng(seed), settings=choices)
        if patch is None:
            continue
        assert patch.lesion.sum() == lesion.mask.sum()
        moved, source = np.argwhere(patch.lesion), np.argwhere(lesion.mask)
        assert np.array_equal(moved - moved[0], source - source[0])
        drawn = patch.lesion & (patch.labels > 0)
        assert drawn.sum() >= 0.99 * lesion.mask.sum()
        assert (patch.labels[drawn] == lesion.label).all()
        inside = drawn[tuple(moved.T)]
        values = image[(slice(None), *lesion.bbox)][:, lesion.mask]
        assert np.array_equal(patch.image[:, drawn], values[:, inside])
        assert not is_lesion(pristine(volume, patch)[1])[patch.lesion].any()


@LAWS
@given(st.integers(0, 10_000), st.sampled_from(Scheme))
def test_equal_generators_give_equal_bytes(seed, scheme):
    image, mask = patient(seed)
    volume = volume_of(image, mask)
    lesion = seg2det(mask, SPACING, min_volume_ml=0.0)[0]
    one, two = (shuffle(lesion, volume, scheme, np.random.default_rng(seed)) for _ in range(2))
    assert (one is None) == (two is None)
    if one is not None and two is not None:
        assert one.image.tobytes() == two.image.tobytes() and one.labels.tobytes() == two.labels.tobytes()
        assert one.start == two.start


@LAWS
@given(st.integers(0, 10_000))
def test_a_moved_lesion_touches_no_other_and_not_its_old_place(seed):
    image, mask = patient(seed, lesions=3)
    volume = volume_of(image, mask)
    for lesion in seg2det(mask, SPACING, min_volume_ml=0.0):
        patch = shuffle(lesion, volume, Scheme.SHUFFLED_POSITIVE, np.random.default_rng(seed))
        if patch is not None:
            wider = ndimage.binary_dilation(patch.lesion, np.ones((3, 3, 3)))
            assert not is_lesion(pristine(volume, patch)[1])[wider].any()


def test_an_erased_lesion_looks_like_the_liver_round_it():
    image, mask = patient(3)
    volume = volume_of(image, mask)
    lesion = seg2det(mask, SPACING)[0]
    patch = shuffle(lesion, volume, Scheme.SHUFFLED_NEGATIVE, np.random.default_rng(0))
    assert patch is not None
    original, labels = pristine(volume, patch)
    for channel, contrast in ((0, 40), (1, -40)):
        liver = np.median(original[channel][labels == PATCH_LIVER])
        assert np.mean(original[channel][is_lesion(labels)]) == pytest.approx(liver + contrast, abs=5)
        assert np.mean(patch.image[channel][is_lesion(labels)]) == pytest.approx(liver, abs=5)


def test_a_lesion_that_fits_is_never_cut():
    image, mask = patient(3)
    volume = volume_of(image, mask)
    lesion = seg2det(mask, SPACING)[0]
    rng = np.random.default_rng(0)
    starts = set()
    for _ in range(20):
        patch = shuffle(lesion, volume, Scheme.ORIGINAL_POSITIVE, rng)
        assert patch is not None and patch.lesion.sum() == lesion.mask.sum()
        starts.add(patch.start)
    assert len(starts) > 10


def test_background_step_carries_contrast_not_level():
    mask = np.full((20, 80, 80), Organ.LIVER, dtype=np.uint8)
    mask[9:11, 10:16, 10:16] = LesionType.META
    image = np.broadcast_to(np.linspace(0, 400, 80, dtype=np.float32), (2, 20, 80, 80)).copy()
    image[:, mask == LesionType.META] -= 30
    volume = volume_of(image, mask)
    lesion = seg2det(mask, SPACING, min_volume_ml=0.0)[0]
    patch = shuffle(lesion, volume, Scheme.SHUFFLED_POSITIVE, np.random.default_rng(1))
    assert patch is not None
    original, _ = pristine(volume, patch)
    contrast = (patch.image - original)[:, patch.lesion]
    assert np.allclose(contrast.mean(), -30, atol=2)


def test_hard_cases_take_the_label_given():
    image, mask = patient(5, lesions=1)
    false_positive = seg2det(mask, SPACING, min_volume_ml=0.0)[0]
    truth = np.where(is_lesion(mask), np.uint8(Organ.LIVER), mask)
    volume = volume_of(image, truth, avoid=is_lesion(mask))
    patch = shuffle(false_positive, volume, Scheme.SHUFFLED_POSITIVE, np.random.default_rng(2), paste_label=PATCH_LIVER)
    assert patch is not None and patch.lesion.any() and not is_lesion(patch.labels).any()
    assert not np.array_equal(patch.image, pristine(volume, patch)[0])


def test_no_room_is_told():
    mask = np.full((10, 40, 40), Organ.LIVER, dtype=np.uint8)
    mask[1:9, 4:36, 4:36] = LesionType.HCC
    volume = volume_of(np.zeros((2, 10, 40, 40), dtype=np.int16), mask)
    lesion = seg2det(mask, SPACING)[0]
    rng = np.random.default_rng(0)
    assert shuffle(lesion, volume, Scheme.SHUFFLED_POSITIVE, rng) is None
    assert shuffle(lesion, volume, Scheme.SHUFFLED_NEGATIVE, rng) is None
    assert shuffle(None, volume, Scheme.ORIGINAL_NEGATIVE, rng) is None
    with pytest.raises(ValueError, match="needs a lesion"):
        shuffle(None, volume, Scheme.ORIGINAL_POSITIVE, rng)


def test_avoided_voxels_stay_untouched():
    image, mask = patient(7, lesions=1)
    avoid = np.zeros(mask.shape, dtype=bool)
    avoid[:, :, :60] = True
    volume = volume_of(image, mask, avoid=avoid)
    lesion = seg2det(mask, SPACING, min_volume_ml=0.0)[0]
    for seed in range(5):
        patch = shuffle(lesion, volume, Scheme.SHUFFLED_POSITIVE, np.random.default_rng(seed))
        if patch is not None:
            assert (np.argwhere(patch.lesion)[:, 2] + patch.start[2]).min() > 60


def test_liver_region_takes_vessels_inside_and_leaves_the_trunk_outside():
    mask = np.zeros((5, 60, 60), dtype=np.uint8)
    mask[:, 10:50, 10:40] = Organ.LIVER
    mask[:, 20:24, 20:24] = Organ.HEPATIC_VESSELS
    mask[:, 30:33, 40:58] = Organ.PORTAL_SPLENIC_VEIN
    mask[:, 40:44, 20:24] = Organ.GALLBLADDER
    mask[2, 9, 25] = LesionType.META
    region = liver_region(mask)
    assert region[:, 20:24, 20:24].all()
    assert not region[:, 30:33, 41:].any()
    assert not region[:, 40:44, 20:24].any()
    assert region[2, 9, 25]


@LAWS
@given(st.integers(0, 10_000))
def test_every_lesion_voxel_survives_and_classes_are_those_of_the_patch_task(seed):
    _, mask = patient(seed, lesions=3)
    rng = np.random.default_rng(seed)
    mask[rng.random(mask.shape) < 0.001] = 4
    region = liver_region(mask)
    labels = patch_labels(mask, region)
    assert region[is_lesion(mask)].all() and region[mask == Organ.LIVER].all()
    assert np.array_equal(is_lesion(labels), is_lesion(mask))
    assert np.array_equal(labels > 0, region) and labels.max() <= PATCH_LIVER


def test_empty_mask_has_no_liver():
    empty = np.zeros((3, 4, 5), dtype=np.uint8)
    assert not liver_region(empty).any()
    assert (
        shuffle(
            None, volume_of(np.zeros((2, 3, 4, 5), np.int16), empty), Scheme.ORIGINAL_NEGATIVE, np.random.default_rng(0)
        )
        is None
    )


@LAWS
@given(st.tuples(st.integers(-20, 25), st.integers(-140, 50), st.integers(-140, 50)))
def test_cut_pads_what_lies_over_the_border(start):
    array = np.arange(20 * 30 * 40, dtype=np.int32).reshape(20, 30, 40)
    wide = np.pad(array, ((20, 40), (140, 180), (140, 180)), constant_values=-1)
    before = (20, 140, 140)
    z, y, x = (slice(s + b, s + b + p) for s, b, p in zip(start, before, PATCH_SHAPE, strict=True))
    assert np.array_equal(cut(array, start, -1.0), wide[z, y, x])
    several = np.stack([array, array + 9])
    assert np.array_equal(cut(several, start, -1.0), np.stack([cut(channel, start, -1.0) for channel in several]))


def test_wrong_volumes_are_refused():
    image, mask = patient(0)
    with pytest.raises(ValueError, match="fill values"):
        PatchVolume.of(image, patch_labels(mask), SPACING, (0.0,))
    with pytest.raises(ValueError, match="0-7"):
        PatchVolume.of(image, np.full_like(mask, 9), SPACING, FILL)
