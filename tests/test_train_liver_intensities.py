"""Normalisation by the liver: what lies outside it, gas in the stomach above all, does not widen the window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.testing import CliRunner

from livercascade.cli.train import app
from livercascade.segment.network_folder import load_card
from livercascade.testing.nifti_cases import write_array, write_training_case
from livercascade.train.run_folder import RunFolder
from livercascade.train.whole.liver_intensities import intensity_statistics, liver_intensities

SHAPE = (12, 48, 48)
SETTINGS = """
base_features = 4
max_features = 8
stages = 3
patch_size = [8, 32, 32]
validate_every = 5
trained_on = "balls"
fold = "all"
"""


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case whose stomach is full of gas."""
    home = tmp_path / "data" / "case"
    labels = write_training_case(home, SHAPE, 0)
    labels[2:6, 2:12, 2:12] = 13
    write_array(home / "labels.nii.gz", labels)
    rng = np.random.default_rng(1)
    for number, phase in enumerate(("nc", "ap", "vp", "dp")):
        hu = np.where(labels == 13, -900, np.where(labels > 0, 60 + 10 * number, -90)) + rng.normal(0, 8, SHAPE)
        write_array(home / f"{phase}.nii.gz", hu.astype(np.int16))
    return home


def test_only_the_liver_and_what_lies_in_it_counts(case: Path) -> None:
    files = {
        "images": [str(case / f"{p}.nii.gz") for p in ("nc", "ap", "vp", "dp")],
        "label": str(case / "labels.nii.gz"),
    }
    made = liver_intensities({"case": files}, 1)
    assert made is not None
    for number in range(4):
        assert made[str(number)]["mean"] == pytest.approx(60 + 10 * number, abs=1)
        assert made[str(number)]["std"] == pytest.approx(8, abs=1)
        assert made[str(number)]["percentile_00_5"] > 20


def test_without_a_liver_there_is_nothing_to_go_by(case: Path) -> None:
    write_array(case / "labels.nii.gz", np.full(SHAPE, 13, dtype=np.uint8))
    assert (
        liver_intensities({"case": {"images": [str(case / "nc.nii.gz")], "label": str(case / "labels.nii.gz")}}, 1)
        is None
    )


@given(arrays(np.float64, (2, 50), elements=st.floats(-1000, 1000)), st.permutations(range(50)))
def test_statistics_are_those_of_all_samples_in_any_order(values: np.ndarray, order: list[int]) -> None:
    whole, parts = intensity_statistics([values]), intensity_statistics([values[:, order[:20]], values[:, order[20:]]])
    assert whole is not None and parts is not None
    for channel in ("0", "1"):
        assert parts[channel] == pytest.approx(whole[channel], abs=1e-6)
        assert whole[channel]["min"] <= whole[channel]["percentile_00_5"] <= whole[channel]["percentile_99_5"]


@pytest.mark.parametrize(("by", "narrow"), [("liver", True), ("labels", False)])
def test_training_normalises_by_what_was_asked_for(case: Path, tmp_path: Path, by: str, *, narrow: bool) -> None:
    (tmp_path / "s.toml").write_text(SETTINGS + f'normalise_by = "{by}"\n')
    run = RunFolder(tmp_path / "run")
    call = [
        "whole",
        "--data",
        case.parent,
        "--out",
        run.root,
        "--settings",
        tmp_path / "s.toml",
        "--steps",
        1,
        "--quiet",
    ]
    assert CliRunner().invoke(app, [str(part) for part in call]).exit_code == 0
    first = load_card(run.model).normalisation[0]
    assert (first.lower > 0 and first.std < 15) is narrow
    noted = json.loads(run.nnunet_fingerprint.read_text())["foreground_intensity_properties_per_channel"]
    assert noted["0"]["std"] == pytest.approx(first.std)
