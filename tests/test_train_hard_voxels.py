"""Hard cases of UNet^whole: missed lesions and false findings are found on nnU-Net's grid and drawn as samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from livercascade.cli.train import app
from livercascade.testing.nifti_cases import random_labels, write_array, write_training_case
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_settings import WholeSettings

SETTINGS = """
base_features = 4
max_features = 8
stages = 3
patch_size = [8, 32, 32]
spacing_mm = [5.0, 2.0, 2.0]
validate_every = 5
trained_on = "balls"
fold = "all"
"""
SHAPE = (14, 60, 60)


def train(*arguments: str | Path) -> int:
    return CliRunner().invoke(app, ["whole", *map(str, arguments), "--steps", "1", "--quiet"]).exit_code


def blob(centre: tuple[int, int, int]) -> np.ndarray:
    return (((np.indices(SHAPE).transpose(1, 2, 3, 0) - centre) / (3, 4, 4)) ** 2).sum(-1) < 1


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One case with a lesion that its prediction misses, one that it finds, and a finding where nothing is."""
    labels = np.where(random_labels(SHAPE, 0, np.random.default_rng(0)) > 0, 7, 0).astype(np.uint8)
    guess = labels.copy()
    labels[blob((5, 22, 18))], labels[blob((9, 36, 30))] = 2, 3
    guess[blob((9, 36, 30))], guess[blob((6, 40, 16))] = 3, 1
    write_training_case(tmp_path / "data" / "case", SHAPE, 0)
    write_array(tmp_path / "data" / "case" / "labels.nii.gz", labels)
    write_array(tmp_path / "hard" / "case.nii.gz", guess)
    (tmp_path / "s.toml").write_text(SETTINGS)
    return tmp_path


def test_a_prediction_of_unknown_origin_is_refused(data: Path) -> None:
    call = ["--data", data / "data", "--out", data / "run", "--settings", data / "s.toml", "--hard", data / "hard"]
    assert train(*call) == 1 and not (data / "run").exists()


def test_what_was_missed_or_invented_lies_where_it_was_and_is_drawn(data: Path) -> None:
    call = ["--data", data / "data", "--out", data / "run", "--settings", data / "s.toml", "--hard", data / "hard"]
    assert train(*call, "--unchecked-hard") == 0
    arrays = RunFolder(data / "run").nnunet_arrays
    (cache,) = arrays.glob("case_hard_*.npz")
    with np.load(cache) as stored:
        voxels = dict(stored)
    assert set(voxels) == {"hard missed 0", "hard false 0"}
    from livercascade.train.whole.whole_sampling import CaseArrays

    dataset: Any = CaseArrays(RunFolder(data / "run"), ["case"])
    dataset.hard = {"case": voxels}
    _, seg, _, properties = dataset.load_case("case")
    truth = np.asarray(seg[:])
    assert truth.shape[1:] == (14, 42, 42)
    assert np.mean(truth[tuple(voxels["hard missed 0"].T)] == 2) > 0.8
    assert np.mean(truth[tuple(voxels["hard false 0"].T)] == 7) > 0.8
    np.testing.assert_allclose(voxels["hard false 0"].mean(0)[1:], (6, 40 * 0.7, 16 * 0.7), atol=0.6)
    assert {"hard missed 0", "hard false 0"} < set(properties["class_locations"])


def test_a_share_of_the_samples_is_centred_there() -> None:
    from livercascade.train.whole.whole_sampling import LesionCentredLoader

    loader: Any = LesionCentredLoader.__new__(LesionCentredLoader)
    loader.shares = WholeSettings(lesion_share=0.5, organ_share=0.5, hard_share=0.3)
    places = {
        (2, 1): [[0, 1, 1, 1]],
        7: [[0, 2, 2, 2]],
        "hard false 0": [[0, 3, 3, 3]],
        "hard missed 0": [[0, 4, 4, 4]],
    }
    locations: dict[Any, np.ndarray] = {key: np.array(at) for key, at in places.items()}
    np.random.seed(0)  # noqa: NPY002
    drawn = [int(loader._centre(locations)[0]) for _ in range(4000)]
    shares = np.bincount(drawn, minlength=5)[1:] / 4000
    np.testing.assert_allclose(shares, (0.35, 0.35, 0.15, 0.15), atol=0.03)
    without = [
        int(loader._centre({key: at for key, at in locations.items() if "hard" not in str(key)})[0]) for _ in "ab"
    ]
    assert set(without) <= {1, 2}


def test_a_case_without_any_label_is_trained_on(data: Path) -> None:
    write_training_case(data / "data" / "empty", SHAPE, 1)
    write_array(data / "data" / "empty" / "labels.nii.gz", np.zeros(SHAPE, np.uint8))
    assert train("--data", data / "data", "--out", data / "run", "--settings", data / "s.toml") == 0
    from livercascade.train.whole.whole_sampling import CaseArrays, LesionCentredLoader

    _, seg, _, properties = CaseArrays(RunFolder(data / "run"), ["empty"]).load_case("empty")
    assert np.asarray(seg[:]).max() <= 0
    loader: Any = LesionCentredLoader.__new__(LesionCentredLoader)
    loader.shares = WholeSettings(lesion_share=0.5, organ_share=0.5)
    assert loader._centre(properties["class_locations"]) is None
