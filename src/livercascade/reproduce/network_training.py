"""Both networks trained in processes of their own, fold by fold; hard cases from out-of-fold predictions alone.

All that the reproduction knows of `livercascade.train` is here.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import livercascade.train as train_package
from livercascade.data.errors import CascadeError, UsageError
from livercascade.reproduce.experiment import TrainingPlan
from livercascade.segment.model_card import ModelKind
from livercascade.system.files import write_file
from livercascade.train.training_process import STOPPED, run_process

OUT_OF_FOLD = "out_of_fold"
"""Folder, inside the run of UNet^whole, of label maps at f = 4, each by a network that did not learn from the case."""


def training_settings(plan: TrainingPlan, kind: ModelKind, **changes: Any) -> dict[str, Any]:
    """Settings of one training: the preset of ``livercascade train``, then the plan's table, then ``changes``.

    Raises:
        UsageError: ``BAD_SETTINGS``: there is no such preset.
    """
    base: dict[str, Any] = {}
    if plan.preset is not None:
        path = Path(str(train_package.__file__)).parent / "presets" / plan.preset / f"{kind.value}.toml"
        if not path.is_file():
            message = f"livercascade train has no preset {plan.preset!r} for UNet^{kind.value}."
            raise UsageError("BAD_SETTINGS", message, "Give the settings in the reproduction's own tables.")
        base = tomllib.loads(path.read_text(encoding="utf-8"))
    return base | (plan.whole if kind is ModelKind.WHOLE else plan.patch) | changes


def train_whole(data: Path, run: Path, plan: TrainingPlan, *, quiet: bool) -> None:
    """Train every fold of UNet^whole; a fold that is finished is not begun again.

    Raises:
        CascadeError: ``STOPPED`` or ``TRAINING_FAILED``.
    """
    settings = training_settings(plan, ModelKind.WHOLE)
    # The comma at the end makes a single fold a list too: its model then is an ensemble of one, in fold_N.
    folds = ",".join(map(str, plan.folds)) + ","
    _train(ModelKind.WHOLE, data, run, settings, ["--fold", folds], quiet=quiet)


def train_patch(data: Path, run: Path, plan: TrainingPlan, hard: Path, *, shuffling: bool, quiet: bool) -> None:
    """Train UNet^patch on all cases, with lesion shuffling or without (the paper's "w/o LS").

    Raises:
        CascadeError: ``STOPPED`` or ``TRAINING_FAILED``.
    """
    settings = training_settings(plan, ModelKind.PATCH, shuffling=shuffling)
    # Fold ``all`` holds nothing out: the test patients are apart already.
    _train(ModelKind.PATCH, data, run, settings, ["--hard", str(hard), "--fold", "all"], quiet=quiet)


def predict_out_of_fold(run: Path, *, workers: int, quiet: bool) -> None:
    """Label maps at f = 4 of the cases that each fold kept for validation, by the network of that fold.

    Raises:
        CascadeError: ``STOPPED`` or ``TRAINING_FAILED``.
    """
    _call(["out-of-fold", "--run", str(run), "--workers", str(workers), *(["--quiet"] if quiet else [])], run)


def _train(
    kind: ModelKind, data: Path, run: Path, settings: Mapping[str, Any], options: list[str], *, quiet: bool
) -> None:
    file = run / "settings.toml"
    write_file(file, "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items()))
    command = [kind.value, "--data", str(data), "--out", str(run), "--settings", str(file), *options]
    _call([*command, "--quiet"] if quiet else command, run)


def _call(arguments: list[str], run: Path) -> None:
    """``livercascade train`` in a process of its own, where nnU-Net's environment and threads disturb nobody."""
    code = run_process([sys.executable, "-m", "livercascade.cli.train", *arguments], dict(os.environ))
    if code == STOPPED:
        message = f"train {arguments[0]} in {run} was stopped."
        stopped = CascadeError("STOPPED", message, "The same command goes on.", stage="train")
        stopped.exit_code = STOPPED
        raise stopped
    if code != 0:
        message = f"train {arguments[0]} in {run} ended with code {code}."
        raise CascadeError("TRAINING_FAILED", message, "Its own message stands above.", stage="train")


def _toml(value: Any) -> str:
    """A value as TOML; JSON but for tables."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps(value)
