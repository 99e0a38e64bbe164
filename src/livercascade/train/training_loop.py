"""The training loop: steps, log, validation, checkpoints, and a clean stop when asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from livercascade.data.errors import ModelError
from livercascade.train.curves import Curves
from livercascade.train.network_trainer import Batch, Learner, learning_rate, random_state
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_log import append
from livercascade.train.training_plots import View, draw_curves, draw_views
from livercascade.train.training_settings import TrainSettings
from livercascade.train.whole.detection_metrics import SCORE


@runtime_checkable
class Reporter(Protocol):
    """Tells people how far a training is."""

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
class Examination:
    """What a network in training made of held-out patients.

    Attributes:
        scores: By name; `SCORE` is the one that ranks, higher is better.
        views: A few pictures.
    """

    scores: dict[str, float]
    views: tuple[View, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """What `fit` needs beside the learner.

    Attributes:
        settings: Of the training.
        folder: Where checkpoint and log go.
        rng: Generator behind the batches; its state goes into the checkpoint.
        examine: Examines the network on the same few held-out patients each time.
        stop: True when the training should save and end.
        curves: Writes the log for TensorBoard too; None where TensorBoard is not installed.
    """

    settings: TrainSettings
    folder: RunFolder
    rng: np.random.Generator
    examine: Callable[[Learner], Examination]
    reporter: Reporter
    stop: Callable[[], bool]
    curves: Curves | None = None


def fit(learner: Learner, batches: Iterator[Batch], session: Session) -> bool:
    """Trains to the last step, until patience is exhausted, or until asked to stop; False only for the last.

    Every ``validate_every`` steps and after the last one the network is examined on held-out patients, and the best
    so far is kept beside the newest checkpoint.

    Raises:
        ModelError: The loss is no longer a number (``DIVERGED``); the last checkpoint stays as it was.
    """
    settings, clock = session.settings, _Clock()
    saved = time.monotonic()
    while not _finished(learner, settings) and not session.stop():
        began = time.monotonic()
        batch = next(batches)
        waited = time.monotonic() - began
        loss = learner.learn(batch)
        if not math.isfinite(loss):
            raise ModelError(
                "DIVERGED", f"The loss is {loss} at step {learner.step}.", "Lower learning_rate.", stage="train"
            )
        clock.add(loss, time.monotonic() - began, waited)
        session.reporter.stepped(learner.step, settings.steps, clock.loss, clock.seconds)
        if learner.step % settings.log_every == 0:
            _log(session, learner.step, clock.values() | {"lr": learning_rate(settings, learner.step)})
        if learner.step % settings.validate_every == 0 or learner.step == settings.steps:
            _validate(learner, session)
            saved = time.monotonic()
        if time.monotonic() - saved >= 60 * settings.checkpoint_minutes:
            learner.save(session.folder.checkpoint, random_state(session.rng))
            saved = time.monotonic()
    learner.save(session.folder.checkpoint, random_state(session.rng))
    return _finished(learner, settings)


def _finished(learner: Learner, settings: TrainSettings) -> bool:
    return learner.step >= settings.steps or learner.standing.exhausted(settings.patience)


def _validate(learner: Learner, session: Session) -> None:
    """Examines the network, keeps it if it is the best so far, and shows how it goes."""
    settings, folder = session.settings, session.folder
    began = time.monotonic()
    with torch.random.fork_rng():
        found = session.examine(learner)
    learner.standing = learner.standing.after(learner.step, found.scores[SCORE], smoothing=settings.score_smoothing)
    if learner.standing.stale == 0:
        learner.save_average(folder.best, found.scores)
    learner.save(folder.checkpoint, random_state(session.rng))
    values = {f"val_{name}": value for name, value in found.scores.items()}
    smoothed = {"val_smoothed": learner.standing.smoothed, "val_seconds": time.monotonic() - began}
    _log(session, learner.step, values | smoothed)
    session.reporter.validated(learner.step, found.scores, best_step=learner.standing.best_step)
    draw_curves(folder)
    draw_views(folder, learner.step, found.views)


def _log(session: Session, step: int, values: Mapping[str, float | None]) -> None:
    append(session.folder, step, values)
    if session.curves is not None:
        session.curves.write(step, values)


class _Clock:
    """Running means over about the last hundred steps."""

    def __init__(self) -> None:
        self.loss, self.seconds, self.waited, self._count = 0.0, 0.0, 0.0, 0

    def add(self, loss: float, seconds: float, waited: float) -> None:
        self._count += 1
        share = 1 / min(self._count, 100)
        self.loss += share * (loss - self.loss)
        self.seconds += share * (seconds - self.seconds)
        self.waited += share * (waited - self.waited)

    def values(self) -> dict[str, float]:
        return {"loss": self.loss, "seconds": self.seconds, "batch_seconds": self.waited}
