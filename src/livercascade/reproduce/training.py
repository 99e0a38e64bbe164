"""Both networks trained in processes of their own, fold by fold; hard cases from out-of-fold predictions alone.

All that the reproduction knows of `livercascade.train` is here.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import livercascade.train as train_package
from livercascade.cascade.findings import propose
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.errors import CascadeError, InputError, UsageError
from livercascade.io.nifti import write_nifti
from livercascade.io.regrid import to_scan
from livercascade.io.source import read_study
from livercascade.reproduce.settings import TrainingPlan
from livercascade.reproduce.side_by_side import each
from livercascade.segment.card import ModelKind
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.whole import segment
from livercascade.train.child import STOPPED, run_child
from livercascade.train.run_folder import RunFolder

Advance = Callable[[str, int], Callable[[], None]]
OUT_OF_FOLD = "out_of_fold"
OVER_FOLDS = find_spec("livercascade.train.out_of_fold") is not None
"""True if ``livercascade train`` runs over folds, predicts out of fold and joins the folds to one model by itself."""


@dataclass(frozen=True, slots=True)
class TrainedWhole:
    """UNet^whole of a run.

    Attributes:
        model: Model folder.
        hard: Label maps ``<case>.nii.gz`` at f = 4, each by a network that did not learn from the case.
    """

    model: Path
    hard: Path


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
    if OVER_FOLDS:
        folds = ",".join(map(str, plan.folds)) + ","
        _train(ModelKind.WHOLE, data, run, settings, ["--fold", folds], quiet=quiet)
        return
    for fold in plan.folds:
        _train(ModelKind.WHOLE, data, run / f"fold_{fold}", settings, ["--fold", str(fold)], quiet=quiet)
        place = run / "model" / f"fold_{fold}"
        shutil.copytree(run / f"fold_{fold}" / "model", place, dirs_exist_ok=True)


def trained_whole(run: Path, plan: TrainingPlan) -> TrainedWhole:
    """What `train_whole` left: all folds as one model, or the first of them where ensembles cannot be read."""
    model = run / "model"
    return TrainedWhole(model if OVER_FOLDS else model / f"fold_{plan.folds[0]}", run / OUT_OF_FOLD)


def train_patch(data: Path, run: Path, plan: TrainingPlan, hard: Path, *, shuffling: bool, quiet: bool) -> None:
    """Train UNet^patch on all cases, with lesion shuffling or without (the paper's "w/o LS").

    Raises:
        CascadeError: ``STOPPED`` or ``TRAINING_FAILED``.
    """
    settings = training_settings(plan, ModelKind.PATCH, shuffling=shuffling)
    _train(ModelKind.PATCH, data, run, settings, ["--hard", str(hard), "--fold", "all"], quiet=quiet)


def predict_out_of_fold(
    data: Path, run: Path, plan: TrainingPlan, *, workers: int, progress: Advance, quiet: bool
) -> None:
    """Label maps at f = 4 of the cases that each fold kept for validation, by the network of that fold.

    Raises:
        CascadeError: ``STOPPED`` or ``TRAINING_FAILED``.
    """
    if OVER_FOLDS:
        _call(["out-of-fold", "--run", str(run), "--workers", str(workers), *(["--quiet"] if quiet else [])], run)
        return
    jobs = [
        (fold, data / case)
        for fold in plan.folds
        for case in json.loads(RunFolder(run / f"fold_{fold}").split.read_text())["validation"]
    ]
    (run / OUT_OF_FOLD).mkdir(parents=True, exist_ok=True)
    each(partial(_out_of_fold, run=run), jobs, workers=workers, advance=progress("out-of-fold cases", len(jobs)))


def _out_of_fold(job: tuple[int, Path], run: Path) -> None:
    fold, case = job
    place = run / OUT_OF_FOLD / f"{case.name}.nii.gz"
    if place.is_file():
        return
    model = Model.load(run / f"fold_{fold}" / "model", ModelKind.WHOLE, Engine.choose("auto"))
    scan, _ = to_scan(read_study(case))
    try:
        labels = propose(segment(scan, model), scan, CascadeSettings()).high
    except InputError:
        # Without a liver there is nothing to learn from: the case has no hard lesions.
        return
    aside = place.with_name(f".{place.name}")
    write_nifti(aside, labels, scan.grid)
    aside.replace(place)


def _train(
    kind: ModelKind, data: Path, run: Path, settings: Mapping[str, Any], options: list[str], *, quiet: bool
) -> None:
    run.mkdir(parents=True, exist_ok=True)
    file = run / "settings.toml"
    file.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in settings.items()), encoding="utf-8")
    command = [kind.value, "--data", str(data), "--out", str(run), "--settings", str(file), *options]
    _call([*command, "--quiet"] if quiet else command, run)


def _call(arguments: list[str], run: Path) -> None:
    """``livercascade train`` in a process of its own, where nnU-Net's environment and threads disturb nobody."""
    code = run_child([sys.executable, "-m", "livercascade.cli.train", *arguments], dict(os.environ))
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
