"""The training loop: steps, log, validation, checkpoints, and a clean stop when asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch

from livercascade.data.errors import ModelError
from livercascade.train.network_trainer import NetworkTrainer, TrainingBatch, learning_rate, random_state
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_log import append_log
from livercascade.train.training_plots import SliceComparison, draw_curves, draw_slices
from livercascade.train.training_settings import TrainSettings

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SCORE = "score"
"""Name of the validation score that ranks the weights of a run; higher is better."""
MIN_VOLUME_ML = 0.5
"""Smaller lesions are neither asked for nor counted in validation (paper, Sec. IV)."""

_MEAN_OVER = 100
"""Steps over which loss and times are averaged for the log."""


@runtime_checkable
class TrainingReporter(Protocol):
    """Where a training tells how far it is."""

    def stage(self, text: str) -> None:
        """A new stage begins."""
        ...

    def prepared(self, done: int, total: int) -> None:
        """So many cases are ready."""
        ...

    def stepped(self, step: int, total: int, loss: float, seconds: float) -> None:
        """One step was taken; ``loss`` is a running mean, ``seconds`` the running mean time of a step."""
        ...

    def validated(self, step: int, scores: dict[str, float], *, best_step: int) -> None:
        """Validation scores at a step, and the step of the best weights so far."""
        ...


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """Outcome of a network in training on held-out patients.

    Attributes:
        scores: Metrics by name; `SCORE` is the one that ranks, higher is better.
        slices: Pictures of a few patients.
    """

    scores: dict[str, float]
    slices: tuple[SliceComparison, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingSession:
    """What `fit` needs beside the network.

    Attributes:
        settings: Settings of the training.
        folder: Run that gets checkpoints, log and pictures.
        rng: Generator behind the batches; its state goes into the checkpoint.
        validate: Validation on the same few held-out patients each time.
        reporter: Receiver of the progress.
        stop: Function that is true when the training should save and end.
        board: TensorBoard's event files of the run; None where TensorBoard is not installed.
    """

    settings: TrainSettings
    folder: RunFolder
    rng: np.random.Generator
    validate: Callable[[NetworkTrainer], ValidationResult]
    reporter: TrainingReporter
    stop: Callable[[], bool]
    board: SummaryWriter | None = None


def fit(trainer: NetworkTrainer, batches: Iterator[TrainingBatch], session: TrainingSession) -> bool:
    """Train to the last step, until patience is exhausted, or until asked to stop; False only for the last.

    Every ``validate_every`` steps and after the last one the network is validated on held-out patients, and the best
    so far is kept beside the newest checkpoint.

    Raises:
        ModelError: The loss is no longer a number (``DIVERGED``); the last checkpoint stays as it was.
    """
    settings, folder, saved = session.settings, session.folder, time.monotonic()
    first, means = trainer.step, dict[str, float]()
    while not _finished(trainer, settings) and not session.stop():
        began = time.monotonic()
        batch = next(batches)
        waited = time.monotonic() - began
        loss = trainer.take_step(batch)
        if not math.isfinite(loss):
            raise ModelError(
                "DIVERGED", f"The loss is {loss} at step {trainer.step}.", "Lower learning_rate.", stage="train"
            )
        values = {"loss": loss, "seconds": time.monotonic() - began, "batch_seconds": waited}
        means = _running_means(means, values, count=trainer.step - first)
        session.reporter.stepped(trainer.step, settings.steps, means["loss"], means["seconds"])
        if trainer.step % settings.log_every == 0:
            append_log(folder, trainer.step, means | {"lr": learning_rate(settings, trainer.step)}, session.board)
        if trainer.step % settings.validate_every == 0 or trainer.step == settings.steps:
            _validate(trainer, session)
            saved = time.monotonic()
        if time.monotonic() - saved >= 60 * settings.checkpoint_minutes:
            trainer.save(folder.checkpoint, random_state(session.rng))
            saved = time.monotonic()
    trainer.save(folder.checkpoint, random_state(session.rng))
    return _finished(trainer, settings)


def _finished(trainer: NetworkTrainer, settings: TrainSettings) -> bool:
    return trainer.step >= settings.steps or trainer.best.exhausted(settings.patience)


def _validate(trainer: NetworkTrainer, session: TrainingSession) -> None:
    """Validate the network, keep it if it is the best so far, and show how it goes."""
    settings, folder, began = session.settings, session.folder, time.monotonic()
    # Validation draws random numbers of its own: the training has to go on as if it had not.
    with torch.random.fork_rng():
        result = session.validate(trainer)
    trainer.best = trainer.best.after(trainer.step, result.scores[SCORE], smoothing=settings.score_smoothing)
    if trainer.best.stale == 0:
        trainer.save_average(folder.best, result.scores)
    trainer.save(folder.checkpoint, random_state(session.rng))
    values: dict[str, float | None] = {f"val_{name}": value for name, value in result.scores.items()}
    values |= {"val_smoothed": trainer.best.smoothed, "val_seconds": time.monotonic() - began}
    append_log(folder, trainer.step, values, session.board)
    session.reporter.validated(trainer.step, result.scores, best_step=trainer.best.best_step)
    draw_curves(folder)
    draw_slices(folder, trainer.step, result.slices)


def _running_means(means: dict[str, float], values: dict[str, float], *, count: int) -> dict[str, float]:
    """Means with one more step: plain ones at first, then those of about the last `_MEAN_OVER` steps."""
    share = 1 / min(count, _MEAN_OVER)
    return {name: (old := means.get(name, 0.0)) + share * (value - old) for name, value in values.items()}
