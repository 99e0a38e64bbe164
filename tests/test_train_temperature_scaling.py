"""Temperature: a known one comes back, f = 1 stays, f becomes f to the power of it, and ensembles follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from livercascade.cli.main import app
from livercascade.data.errors import InputError
from livercascade.data.labels import NUM_CLASSES, label_name
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.segment.network_folder import build_network, load_card, load_model_card, load_network, save_model
from livercascade.testing.tiny_networks import tiny_card
from livercascade.train.temperature_scaling import LesionMargins, fit_temperature, temper
from livercascade.virtual.patient_folders import make_cohort
from livercascade.virtual.virtual_settings import CaseMix, PhaseMotion, VirtualSettings

CLASSES = tuple(label_name(i) for i in range(NUM_CLASSES))


def save_tiny(folder: Path, seed: int = 0) -> None:
    torch.manual_seed(seed)
    card = tiny_card(classes=CLASSES, patch_size=(4, 16, 16))
    save_model(folder, card, build_network(card).state_dict())


@given(st.floats(0.4, 5.0), st.integers(0, 100))
@settings(max_examples=20)
def test_a_known_temperature_comes_back(temperature: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    honest = rng.normal(1.0, 2.0, 60_000)
    lesion = rng.random(len(honest)) < 1.0 / (1.0 + np.exp(honest))
    margins = LesionMargins((temperature * honest).astype(np.float32), lesion)
    found = fit_temperature(margins)
    assert found == pytest.approx(temperature, rel=0.06)
    assert margins.entropy(found) <= margins.entropy(1.0) + 1e-9


@pytest.mark.parametrize("lesion", [True, False])
def test_nothing_to_tell_apart_is_refused(lesion: bool) -> None:
    with pytest.raises(InputError) as caught:
        fit_temperature(LesionMargins(np.zeros(5, np.float32), np.full(5, lesion)))
    assert caught.value.code == "NO_LESIONS"


@given(st.floats(0.5, 4.0), st.floats(0.5, 8.0), st.integers(0, 50))
@settings(max_examples=20)
def test_a_mask_at_f_is_the_old_one_at_f_to_the_power_of_the_temperature(
    temperature: float, factor: float, seed: int
) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (NUM_CLASSES, 2, 5, 5)).astype(np.float32)
    old = SensitivityMap.from_logits(logits)
    new = SensitivityMap.from_logits((logits / np.float32(temperature)).astype(np.float32))
    np.testing.assert_array_equal(new.mask(1.0), old.mask(1.0))
    # Rounding may decide the voxels that lie on the threshold.
    edge = np.abs(old.margin - temperature * np.log(factor)) < 1e-3
    np.testing.assert_array_equal(new.mask(factor)[~edge], old.mask(factor**temperature)[~edge])


def test_tempered_networks_give_divided_logits_and_temperatures_multiply(tmp_path: Path) -> None:
    save_tiny(tmp_path / "old")
    temper(tmp_path / "old", tmp_path / "new", 2.0)
    temper(tmp_path / "new", tmp_path / "again", 1.5)
    x = torch.randn(1, 8, 4, 16, 16)
    with torch.no_grad():
        old = load_network(tmp_path / "old")(x)
        for name, temperature in (("new", 2.0), ("again", 3.0)):
            assert load_card(tmp_path / name).training.temperature == temperature
            torch.testing.assert_close(load_network(tmp_path / name)(x), old / temperature, rtol=2e-3, atol=2e-3)


def test_every_member_of_an_ensemble_is_tempered(tmp_path: Path) -> None:
    for fold in (0, 3):
        save_tiny(tmp_path / "old" / f"fold_{fold}", fold)
    temper(tmp_path / "old", tmp_path / "new", 2.0)
    assert [load_card(tmp_path / "new" / f"fold_{k}").training.temperature for k in (0, 3)] == [2.0, 2.0]
    assert (tmp_path / "new" / "MODEL_CARD.md").is_file()
    assert load_model_card(tmp_path / "new").sha256 != load_model_card(tmp_path / "old").sha256


def test_the_command_fits_to_cases_and_says_what_it_gained(tmp_path: Path) -> None:
    save_tiny(tmp_path / "old")
    list(make_cohort([1], VirtualSettings(mix=CaseMix.TRAINING, matrix=64, motion=PhaseMotion.NONE), tmp_path / "data"))
    command = ["models", "temper", str(tmp_path / "old"), "--data", str(tmp_path / "data"), "--workers", "1"]
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    assert "temperature" in done.output
    assert load_card(tmp_path / "new").training.temperature != 1.0
    before, after = (float(word) for word in done.output.split("in the liver ")[1].split("\n")[0].split(" -> "))
    assert after <= before
