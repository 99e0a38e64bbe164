"""Training cases on disk, their liver boxes, and the patches that UNet^patch learns from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from livercascade.data.errors import InputError
from livercascade.data.labels import PHASES, Phase
from livercascade.reclassification.patches import PATCH_LIVER, PATCH_SHAPE, Scheme, is_lesion
from livercascade.segment.model_card import PhaseNormalisation
from livercascade.testing.nifti_cases import LPS_AFFINE, write_array, write_training_case
from livercascade.train.augmentation import light_augmentation, size_before_rotation
from livercascade.train.patch.patch_cases import PatchCase, prepare_cases
from livercascade.train.patch.patch_sampling import PatchSampler, PatchStream
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import find_cases, is_lps, read_arrays
from livercascade.train.training_settings import Augmentation, PatchSettings
from tiny_training import SilentReporter

SHAPE = (14, 96, 96)
SCHEME = tuple(PhaseNormalisation(lower=-50.0, upper=250.0, mean=80.0, std=40.0) for _ in PHASES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("data")
    write_training_case(home / "a", SHAPE, 1)
    write_training_case(home / "b", SHAPE, 2, phases="nc vp")
    write_training_case(home / "c", SHAPE, 3, lesions=0)
    return home


@pytest.fixture(scope="module")
def hard(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prediction for case a that misses every lesion and has one false one."""
    home = tmp_path_factory.mktemp("hard")
    labels = read_arrays(find_cases(data)[0]).labels.copy()
    truth = is_lesion(labels)
    labels[truth] = 7
    z, y, x = np.argwhere((labels == 7) & ~_near(truth))[200]
    labels[z : z + 2, y : y + 5, x : x + 5] = 1
    labels[truth] = 7
    write_array(home / "a.nii.gz", labels)
    return home


def _near(mask: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.binary_dilation(mask, iterations=8)


@pytest.fixture(scope="module")
def cases(data: Path, hard: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[PatchCase, ...]:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    return prepare_cases(folder, find_cases(data), hard, PatchSettings(), SilentReporter())


def sampler(cases: tuple[PatchCase, ...], **changes: object) -> PatchSampler:
    return PatchSampler(cases, PatchSettings.model_validate(changes), SCHEME)


def only(name: str) -> dict[str, object]:
    return {"schemes": {scheme.value: float(scheme.value == name) for scheme in Scheme}}


def test_cases_are_found_with_the_phases_they_have(data: Path) -> None:
    a, b, c = find_cases(data)
    assert (a.name, b.name, c.name) == ("a", "b", "c")
    assert b.present.tolist() == [True, False, True, False]
    assert set(b.phases) == {Phase.NC, Phase.VP}
    assert len(b.channels) == 4 and b.channels[0].name == "nc.nii.gz"


def test_arrays_do_not_depend_on_how_the_file_lies(tmp_path: Path) -> None:
    write_training_case(tmp_path / "a", (4, 10, 12), 0)
    straight = read_arrays(find_cases(tmp_path)[0])
    for path in (tmp_path / "a").iterdir():
        image = nib.load(path)
        turned = image.as_reoriented(np.array([[1, -1], [2, 1], [0, -1]]))
        nib.save(turned, path)
        assert not is_lps(path)
    again = read_arrays(find_cases(tmp_path)[0])
    np.testing.assert_array_equal(again.labels, straight.labels)
    np.testing.assert_array_equal(again.hu, straight.hu)
    assert again.spacing == pytest.approx(straight.spacing)


def test_unusable_cases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="EMPTY_FOLDER"):
        find_cases(tmp_path)
    write_array(tmp_path / "a" / "labels.nii.gz", np.full((3, 4, 5), 7, np.uint8))
    with pytest.raises(InputError, match="NO_PHASE"):
        find_cases(tmp_path)
    write_array(tmp_path / "a" / "vp.nii.gz", np.zeros((3, 4, 6), np.int16), LPS_AFFINE)
    with pytest.raises(InputError, match="GRID_MISMATCH"):
        read_arrays(find_cases(tmp_path)[0])
    write_array(tmp_path / "a" / "labels.nii.gz", np.full((3, 4, 6), 14, np.uint8))
    with pytest.raises(InputError, match="BAD_LABELS"):
        read_arrays(find_cases(tmp_path)[0])


def test_the_cache_keeps_lesion_volumes_and_is_used_again(
    data: Path, hard: Path, cases: tuple[PatchCase, ...], tmp_path: Path
) -> None:
    arrays = read_arrays(find_cases(data)[0])
    truth = np.count_nonzero(is_lesion(arrays.labels)) * np.prod(arrays.spacing) / 1000
    assert sum(lesion.volume_ml for lesion in cases[0].lesions) == pytest.approx(truth, rel=0.1)
    before = (cases[0].home / "hu.npy").stat().st_mtime_ns
    prepare_cases(RunFolder(cases[0].home.parents[1]), find_cases(data), hard, PatchSettings(), SilentReporter())
    assert (cases[0].home / "hu.npy").stat().st_mtime_ns == before


def test_missed_lesions_and_false_findings_come_from_the_prediction(cases: tuple[PatchCase, ...]) -> None:
    a, b, _ = cases
    assert a.predicted and not b.predicted
    assert len(a.missed) == len(a.lesions) > 0
    assert len(a.false) == 1 and not b.missed and not b.false
    inside = a.labels(predicted=True)[a.false[0].bbox][a.false[0].mask]
    assert (inside == PATCH_LIVER).mean() > 0.9


@pytest.mark.parametrize("scheme", list(Scheme))
def test_patches_are_what_their_scheme_says(cases: tuple[PatchCase, ...], scheme: Scheme) -> None:
    source = sampler(cases, hard_share=0.0, **only(scheme.value))
    rng = np.random.default_rng(0)
    for _ in range(5):
        _, patch = source.patch(rng)
        assert patch.scheme is scheme
        positive = scheme in (Scheme.ORIGINAL_POSITIVE, Scheme.SHUFFLED_POSITIVE)
        assert positive == bool(is_lesion(patch.labels).any())
        outside = patch.labels == 0
        assert (patch.image[:, outside] == -50).all()


def test_without_shuffling_patches_stay_as_they_are(cases: tuple[PatchCase, ...]) -> None:
    source, rng = sampler(cases, shuffling=False, hard_share=0.0), np.random.default_rng(0)
    seen = Counter(source.patch(rng)[1].scheme for _ in range(20))
    assert set(seen) == {Scheme.ORIGINAL_POSITIVE, Scheme.ORIGINAL_NEGATIVE}


def test_false_findings_are_liver_wherever_they_are_put(cases: tuple[PatchCase, ...]) -> None:
    for name in ("original_negative", "shuffled_negative"):
        source, rng = sampler(cases[:1], hard_share=1.0, **only(name)), np.random.default_rng(0)
        for _ in range(5):
            _, patch = source.patch(rng)
            assert patch.lesion.any()
            assert not is_lesion(patch.labels[patch.lesion]).any()


def test_a_sample_is_normalised_flagged_and_empty_outside(cases: tuple[PatchCase, ...]) -> None:
    source = PatchSampler(cases[1:2], PatchSettings(), SCHEME, light_augmentation(Augmentation(spatial=1), PATCH_SHAPE))
    rng = np.random.default_rng(0)
    for _ in range(5):
        data, target = source.sample(rng)
        assert data.shape == (8, *PATCH_SHAPE) and target.shape == (1, *PATCH_SHAPE)
        flags = data[4:, 0, 0, 0]
        assert not flags[1] and not flags[3] and flags.any()
        there = (target[0] == 0)[None].expand(4, *PATCH_SHAPE) & flags[:, None, None, None].bool()
        assert torch.allclose(data[:4][there], torch.tensor((-50 - 80) / 40))
        assert (data[:4][flags == 0] == 0).all()
        assert int(target.max()) <= PATCH_LIVER


def test_the_same_seed_gives_the_same_batches(cases: tuple[PatchCase, ...]) -> None:
    source = sampler(cases)
    one, two = (next(iter(PatchStream(source, (3, 7)))) for _ in range(2))
    assert torch.equal(one.data, two.data) and torch.equal(one.target, two.target)
    other = next(iter(PatchStream(source, (3, 8))))
    assert not torch.equal(one.data, other.data)


def test_augmentation_keeps_the_size_and_the_labels() -> None:
    patch = (6, 24, 24)
    run = Augmentation(spatial=1, noise=1, blur=1, brightness=1, contrast=1, low_resolution=1, gamma=1)
    wide = size_before_rotation(run, patch)
    image, labels = torch.randn(4, *wide), torch.randint(0, 14, (1, *wide)).to(torch.int16)
    changed = light_augmentation(run, patch)(image=image, segmentation=labels)
    assert changed["image"].shape == (4, *patch) and changed["segmentation"].shape == (1, *patch)
    assert set(changed["segmentation"].unique().tolist()) <= set(range(14))


def test_no_augmentation_is_the_middle_of_the_sample() -> None:
    off = Augmentation(spatial=0, noise=0, blur=0, brightness=0, contrast=0, low_resolution=0, gamma=0)
    image, labels = torch.randn(4, 6, 30, 30), torch.zeros(1, 6, 30, 30, dtype=torch.int16)
    changed = light_augmentation(off, (6, 24, 24))(image=image, segmentation=labels)
    assert torch.equal(changed["image"], image[:, :, 3:27, 3:27])
    assert size_before_rotation(off, (6, 24, 24)) == (6, 24, 24)


def test_settings_take_scheme_weights() -> None:
    given = PatchSettings.model_validate({"schemes": {"shuffled_negative": 3}})
    assert given.schemes == dict.fromkeys(Scheme, 1.0) | {Scheme.SHUFFLED_NEGATIVE: 3.0}
    assert list(given.schemes) == list(Scheme)
    assert given.model_dump(mode="json")["schemes"]["shuffled_negative"] == 3.0
