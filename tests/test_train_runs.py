"""Whole trainings of tiny networks: started, stopped, continued, exported, loaded; the environment stays clean."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from livercascade.cli.train import app
from livercascade.data.labels import Phase
from livercascade.segment.network_folder import load_card, load_network
from livercascade.testing.nifti_cases import write_training_case
from livercascade.train.network_trainer import read_checkpoint
from livercascade.train.patch.patch_cases import DONE
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_process import STOPPED, run_process, training_environment

COMMON = """
base_features = 4
max_features = 8
stages = 3
learning_rate = 0.01
warmup_steps = 0
log_every = 5
validate_every = 5
checkpoint_minutes = 0
trained_on = "balls"
"""
WHOLE = COMMON + "patch_size = [8, 32, 32]\n"


def train(*arguments: str | Path) -> int:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "livercascade.cli.train", *map(str, arguments)]


def stop_after(steps: int, folder: RunFolder, arguments: list[str]) -> int:
    """Starts a training, sends SIGTERM once its log has reached a step, and returns its exit code."""
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and _logged_step(folder) < steps:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        return process.wait(240)


def _logged_step(folder: RunFolder) -> int:
    """Last step that the log holds as a whole line; the training may be writing the next one."""
    lines = folder.log.read_text().split("\n")[:-1] if folder.log.is_file() else []
    return json.loads(lines[-1])["step"] if lines else -1


def test_folds_are_trained_stopped_continued_and_give_hard_cases(tmp_path: Path) -> None:
    for seed in range(5):
        phases = "nc vp" if seed == 1 else "nc ap vp dp"
        write_training_case(tmp_path / "data" / f"case{seed}", (12, 48, 48), seed, phases=phases)
    (tmp_path / "s.toml").write_text(WHOLE)
    folder, before = RunFolder(tmp_path / "run"), dict(os.environ)
    call = ["whole", "--data", tmp_path / "data", "--out", folder.root, "--settings", tmp_path / "s.toml"]
    call += ["--fold", "0,1", "--device", "cpu"]
    assert stop_after(5, folder.fold(0), command(*call, "--steps", "2000")) == STOPPED
    reached = int(read_checkpoint(folder.fold(0).checkpoint)["step"])
    assert 5 <= reached < 2000 and not folder.fold(1).root.exists()
    prepared = {p.name: p.stat().st_mtime_ns for p in folder.nnunet.rglob("*.b2nd")}
    assert len(prepared) == 10
    assert train(*call, "--steps", reached + 5, "--export", "newest", "--quiet") == 0
    assert {p.name: p.stat().st_mtime_ns for p in folder.root.rglob("*.b2nd")} == prepared
    assert dict(os.environ) == before
    for fold in (0, 1):
        _exported_network_is_the_averaged_one(folder.fold(fold), reached + 5, classes=14)
        assert load_card(folder.model / f"fold_{fold}") == load_card(folder.fold(fold).model)
        assert (folder.fold(fold).figures / "curves.png").stat().st_size > 10_000
        assert list(folder.fold(fold).figures.glob("patients_*.png"))
    _done_folds_are_passed_over(folder, call, reached + 5)
    _unseen_cases_are_predicted_and_train_the_patch_network(folder, tmp_path)


def _done_folds_are_passed_over(folder: RunFolder, call: list[str | Path], steps: int) -> None:
    logs = [folder.fold(fold).log.read_text() for fold in (0, 1)]
    assert train(*call, "--steps", steps, "--quiet") == 0
    assert [folder.fold(fold).log.read_text() for fold in (0, 1)] == logs
    assert load_card(folder.model / "fold_0").training.chosen.startswith("best of")


def _unseen_cases_are_predicted_and_train_the_patch_network(folder: RunFolder, home: Path) -> None:
    assert train("out-of-fold", "--run", folder.root, "--quiet") == 0
    held_out = [json.loads(folder.fold(fold).split.read_text())["validation"] for fold in (0, 1)]
    expected = sorted(f"{name}.nii.gz" for names in held_out for name in names)
    assert sorted(p.name for p in folder.out_of_fold.glob("*.nii.gz")) == expected
    (home / "p.toml").write_text(COMMON + "patches_per_lesion = 2\nvalidation_patches = 2\n")
    run = RunFolder(home / "patch")
    call = ["patch", "--data", home / "data", "--hard", folder.out_of_fold, "--out", run.root, "--quiet"]
    assert train(*call, "--settings", home / "p.toml", "--steps", "2", "--fold", "1") == 0
    assert json.loads(run.split.read_text())["validation"] == held_out[1]
    for name in held_out[0]:
        digest = hashlib.sha256((folder.out_of_fold / f"{name}.nii.gz").read_bytes()).hexdigest()
        assert (run.patch_cases / name / DONE).read_text() == digest
    (folder.out_of_fold / "record.json").unlink()
    assert train(*call, "--settings", home / "p.toml", "--fold", "1") == 1


def test_unet_patch_is_trained_and_exported_again_on_request(tmp_path: Path) -> None:
    for seed in range(2):
        write_training_case(tmp_path / "data" / f"case{seed}", (14, 96, 96), seed)
    (tmp_path / "s.toml").write_text(COMMON)
    folder, before = RunFolder(tmp_path / "run"), dict(os.environ)
    call = ["patch", "--data", tmp_path / "data", "--out", folder.root, "--settings", tmp_path / "s.toml"]
    assert train(*call, "--steps", "5", "--for", "screening", "--quiet") == 0
    assert dict(os.environ) == before
    assert load_card(folder.model).needs == (Phase.NC,)
    _exported_network_is_the_averaged_one(folder, 5, classes=8)
    first = load_card(folder.model)
    assert train(*call, "--for", "screening", "--export-only", "--quiet") == 0
    assert load_card(folder.model) == first
    _goes_on_from(folder.model, tmp_path)


def _goes_on_from(start: Path, home: Path) -> None:
    """A step too small to matter leaves the weights that the run started from."""
    (home / "slow.toml").write_text(COMMON.replace("0.01", "1e-9"))
    call = ["patch", "--data", home / "data", "--out", home / "next", "--settings", home / "slow.toml"]
    assert train(*call, "--steps", "1", "--start-from", start, "--quiet") == 0
    begun, card = load_network(start), load_card(home / "next" / "model")
    assert card.training.started_from.endswith(f"5 steps, {load_card(start).sha256[:12]}")
    for (name, before), after in zip(
        begun.named_parameters(), load_network(home / "next" / "model").parameters(), strict=True
    ):
        assert torch.allclose(before, after, atol=1e-3), name


def test_starting_from_no_model_is_refused_before_anything_starts(tmp_path: Path) -> None:
    write_training_case(tmp_path / "data" / "case", (8, 32, 32), 0)
    assert train("whole", "--data", tmp_path / "data", "--out", tmp_path / "run", "--start-from", tmp_path) == 1
    assert not (tmp_path / "run").exists()


def _exported_network_is_the_averaged_one(folder: RunFolder, steps: int, *, classes: int) -> None:
    card, network = load_card(folder.model), load_network(folder.model)
    assert (card.training.steps, card.training.trained_on, len(card.classes)) == (steps, "balls", classes)
    assert card.training.command.startswith("livercascade ")
    state = read_checkpoint(folder.checkpoint)
    twin = load_network(folder.model)
    for name, parameter in twin.named_parameters():
        parameter.data.copy_(state["average"][name].half())
    x = torch.randn(1, card.input_channels, *card.patch_size)
    with torch.no_grad():
        assert torch.equal(network(x), twin(x))


def test_a_run_without_cases_is_refused_before_anything_starts(tmp_path: Path) -> None:
    assert train("whole", "--data", tmp_path, "--out", tmp_path / "run") == 1
    assert not (tmp_path / "run").exists()


def test_exporting_what_was_never_started_is_wrong_use(tmp_path: Path) -> None:
    assert train("whole", "--data", tmp_path, "--out", tmp_path / "run", "--export-only") == 2


def test_nnunets_variables_are_set_for_the_child_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    environment = training_environment(folder, 1)
    code = "import os, sys; sys.exit(7 if os.environ['nnUNet_raw'].startswith(sys.argv[1]) else 1)"
    assert run_process([sys.executable, "-c", code, str(tmp_path.resolve())], environment) == 7
    assert not [name for name in os.environ if name.startswith("nnUNet")]


def test_a_stop_is_passed_on_to_the_child(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(300)\n"
    )
    handler = signal.getsignal(signal.SIGTERM)
    assert run_process([sys.executable, "-c", code], dict(os.environ)) == 9
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_stop_that_comes_before_the_child_is_passed_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    start = subprocess.Popen

    def told_to_stop_first(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        os.kill(os.getpid(), signal.SIGTERM)
        return start(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", told_to_stop_first)
    assert run_process([sys.executable, "-c", "import time; time.sleep(300)"], dict(os.environ)) == -signal.SIGTERM


@pytest.mark.parametrize(
    "arguments",
    [["whole", "--fold", "9"], ["patch", "--steps", "0"], ["whole", "--fold", "0,7"], ["patch", "--device", "tpu"]],
)
def test_impossible_settings_are_wrong_use(tmp_path: Path, arguments: list[str]) -> None:
    assert train(*arguments, "--data", tmp_path, "--out", tmp_path / "run") == 2
