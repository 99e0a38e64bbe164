"""Cases that are labelled in part, from the importer to trained networks."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from livercascade.cli.train import app
from livercascade.data.coverage import ALL_CLASSES, LESION_CLASSES, classes_of, label_of
from livercascade.data.dataset_names import DatasetNames
from livercascade.data.errors import InputError
from livercascade.data.labels import Phase
from livercascade.segment.network_folder import load_card, load_network
from livercascade.testing.nifti_cases import random_labels, write_array, write_training_case
from livercascade.testing.tiny_networks import TINY_NORMALISATION
from livercascade.train.case_import import find_scans, import_scan
from livercascade.train.network_trainer import seed_everything
from livercascade.train.patch.patch_cases import prepare_cases
from livercascade.train.patch.patch_sampling import PatchSampler
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import find_cases, read_arrays, read_scan
from livercascade.train.training_settings import WIDE_WINDOW, PatchSettings
from test_train_nnunet_dataset import write_dataset
from tiny_training import SilentReporter

SHAPE = (12, 48, 48)
UNKNOWN, IGNORE = label_of(LESION_CLASSES), label_of(ALL_CLASSES)
TINY = """
base_features = 4
max_features = 8
stages = 3
warmup_steps = 0
validate_every = 5
trained_on = "balls"
"""


def write_source(home: Path, seed: int) -> np.ndarray:
    """A venous scan with a liver mask, two lesions, one of them faint, and a region to ignore."""
    rng = np.random.default_rng(seed)
    labels = random_labels(SHAPE, 0, rng)
    liver = labels == 7
    instances = np.zeros(SHAPE, dtype=np.uint8)
    instances[5:8, 20:24, 14:18], instances[5:8, 26:29, 22:25] = 1, 2
    ignore = np.zeros(SHAPE, dtype=np.uint8)
    ignore[4:6, 20:22, 22:26] = 1
    hu = np.where(labels > 0, 100, -80) - 50 * (instances == 1) + rng.normal(0, 8, SHAPE)
    write_array(home / "image.nii.gz", hu.astype(np.int16))
    write_array(home / "labels.nii.gz", liver.astype(np.uint8))
    write_array(home / "lesions.nii.gz", instances * liver)
    write_array(home / "ignore.nii.gz", ignore)
    records = [{"id": 1, "ml": 1.0, "delta_hu": -50}, {"id": 2, "ml": 0.5, "delta_hu": -3}]
    (home / "lesions.json").write_text(json.dumps(records))
    return labels


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two virtual cases with all labels, and an imported one."""
    for seed in range(2):
        write_training_case(tmp_path / "data" / f"full{seed}", SHAPE, seed)
    write_source(tmp_path / "scans" / "real", 7)
    call = ["import", tmp_path / "scans", "--out", tmp_path / "data", "--phase", "vp", "--quiet"]
    assert CliRunner().invoke(app, [str(part) for part in call]).exit_code == 0
    return tmp_path / "data"


def test_an_imported_scan_says_what_was_drawn_and_no_more(data: Path) -> None:
    full, _, real = find_cases(data)
    assert full.coverage is None and real.coverage is not None
    assert list(real.phases) == [Phase.VP]
    counts = Counter(read_arrays(real).labels.ravel().tolist())
    assert {classes_of(value) for value in counts} == {
        frozenset({0, 9, 10, 11, 12, 13}),
        frozenset({7, 8, 9}),
        LESION_CLASSES,
        ALL_CLASSES,
    }
    # The region to ignore, and the lesion that does not stand out.
    assert counts[IGNORE] == 2 * 2 * 4 + 3 * 3 * 3
    assert counts[UNKNOWN] == 3 * 4 * 4
    assert set(np.unique(read_scan(real)[1]).tolist()) == {0, 7}


def test_scans_on_another_grid_or_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="EMPTY_FOLDER"):
        find_scans(tmp_path)
    write_source(tmp_path / "a", 1)
    write_array(tmp_path / "a" / "ignore.nii.gz", np.zeros((12, 48, 47), np.uint8))
    with pytest.raises(InputError, match="GRID_MISMATCH"):
        import_scan(find_scans(tmp_path)[0], tmp_path / "out", phase=Phase.VP)
    assert not (tmp_path / "out").exists()


def test_a_class_that_no_case_covers_is_absent_everywhere(tmp_path: Path) -> None:
    stored = write_dataset(tmp_path, labels={"background": 0, "ignore": 3, "tumor": 2, "liver": 1})
    labels = read_arrays(find_cases(tmp_path, DatasetNames.parse([], ["tumor=lesion"]))[0]).labels
    np.testing.assert_array_equal(labels, np.array([0, 7, UNKNOWN, IGNORE])[stored])


def test_an_unlabelled_class_that_another_case_covers_stays_open(data: Path) -> None:
    only_full = [case.coverage for case in find_cases(data)]
    assert only_full[2] is not None and not only_full[2].complete
    for name in ("full0", "full1"):
        (data / name / "labels.nii.gz").unlink()
    alone = find_cases(data)[0].coverage
    assert alone is not None and alone.complete


@pytest.mark.parametrize(("weight", "bad"), [("3", False), ("0", True), ("much", True), ("", False)])
def test_a_table_says_how_often_a_case_is_drawn(data: Path, weight: str, *, bad: bool) -> None:
    (data / "patients.csv").write_text(f"case,patient,weight\nreal,p1,{weight}\n")
    if bad:
        with pytest.raises(InputError, match="BAD_PATIENTS"):
            find_cases(data)
    else:
        assert [case.weight for case in find_cases(data)] == [1, 1, float(weight or 1)]


def run(*arguments: str | Path) -> int:
    return CliRunner().invoke(app, [str(part) for part in arguments]).exit_code


def test_unet_whole_learns_from_them_with_both_windows(data: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(TINY + "patch_size = [8, 32, 32]\nfold = 'all'\n")
    (data / "patients.csv").write_text("case,patient,weight\nreal,p1,4\n")
    folder = RunFolder(tmp_path / "run")
    call = ["whole", "--data", data, "--out", folder.root, "--settings", tmp_path / "s.toml", "--quiet"]
    assert run(*call, "--steps", 6) == 0
    card = load_card(folder.model)
    assert card.wide_window == WIDE_WINDOW and card.input_channels == 12
    # Phases that a case does not have do not count in the windows.
    assert card.normalisation[Phase.DP.index].mean > card.normalisation[Phase.VP.index].mean
    load_network(folder.model)
    again = RunFolder(tmp_path / "again")
    call = ["whole", "--data", data, "--out", again.root, "--settings", tmp_path / "t.toml", "--quiet"]
    (tmp_path / "t.toml").write_text((tmp_path / "s.toml").read_text() + 'normalise_by = "start"\n')
    assert run(*call, "--steps", 1, "--start-from", folder.model) == 0
    assert load_card(again.model).normalisation == card.normalisation


def test_the_windows_of_a_start_need_one(data: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(TINY + 'patch_size = [8, 32, 32]\nnormalise_by = "start"\n')
    call = ["whole", "--data", data, "--out", tmp_path / "run", "--settings", tmp_path / "s.toml", "--steps", 1]
    assert run(*call) != 0
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_nnunets_loss_needs_every_label(data: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(TINY + 'patch_size = [8, 32, 32]\nloss = "nnunet"\n')
    call = ["whole", "--data", data, "--out", tmp_path / "run", "--settings", tmp_path / "s.toml", "--steps", 1]
    result = CliRunner().invoke(app, [str(part) for part in call])
    assert result.exit_code != 0


def test_unet_patch_is_not_told_types_that_nobody_knows(data: Path, tmp_path: Path) -> None:
    full, _, real = prepare_cases(RunFolder(tmp_path), find_cases(data), None, PatchSettings(), SilentReporter())
    assert full.typed and not full.ignored
    assert not real.typed and real.ignored
    seed_everything(0)
    settings = PatchSettings(trained_on="balls")
    sampler = PatchSampler([real], settings, TINY_NORMALISATION)
    values = set[int]()
    for number in range(30):
        _, target = sampler.sample(np.random.default_rng(number))
        values |= set(target.unique().tolist())
    assert values == {0, 7, UNKNOWN, IGNORE}
    volume = real.volume([0.0] * 4, predicted=False)
    unsaid = np.load(real.home / "ignored.npy")
    assert not (volume.room[unsaid] == 1).any()
