"""The training loop: steps, log, validation, checkpoints, and a clean stop when asked."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from livercascade.data.errors import ModelError
from livercascade.data.labels import FIRST_LESION, LAST_LESION
from livercascade.train.learner import Batch, Learner, learning_rate, random_state
from livercascade.train.loss import LIVER_WITH_CONTENT
from livercascade.train.run_folder import RunFolder
from livercascade.train.settings import TrainSettings


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

    def validated(self, step: int, scores: dict[str, float]) -> None:
        """Validation scores at a step."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """What `fit` needs beside the learner.

    Attributes:
        settings: Of the training.
        folder: Where checkpoint and log go.
        rng: Generator behind the batches; its state goes into the checkpoint.
        validation: Gives the same few batches each time.
        stop: True when the training should save and end.
    """

    settings: TrainSettings
    folder: RunFolder
    rng: np.random.Generator
    validation: Callable[[], Iterable[Batch]]
    reporter: Reporter
    stop: Callable[[], bool]


def fit(learner: Learner, batches: Iterator[Batch], session: Session) -> bool:
    """Trains to the last step, or until asked to stop; True when it reached the end.

    Raises:
        ModelError: The loss is no longer a number (``DIVERGED``); the last checkpoint stays as it was.
    """
    settings, clock = session.settings, _Clock()
    saved = time.monotonic()
    while learner.step < settings.steps and not session.stop():
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
        if learner.step % settings.validate_every == 0:
            _validate(learner, session)
        if time.monotonic() - saved >= 60 * settings.checkpoint_minutes:
            learner.save(session.folder.checkpoint, random_state(session.rng))
            saved = time.monotonic()
    learner.save(session.folder.checkpoint, random_state(session.rng))
    return learner.step >= settings.steps


def pseudo_dice(learner: Learner, batches: Iterable[Batch]) -> dict[str, float]:
    """Dice of some label groups over all voxels of ``batches`` together; groups without truth are left out."""
    groups = {"liver": LIVER_WITH_CONTENT, "lesion": tuple(range(FIRST_LESION, LAST_LESION + 1))}
    counts: dict[str, np.ndarray] = {}
    for batch in batches:
        found, truth = learner.predict(batch.data).cpu(), batch.target[:, 0]
        typed = {f"class_{c}": (c,) for c in truth.unique().tolist() if c > 0}
        for name, members in (groups | typed).items():
            counts[name] = counts.get(name, np.zeros(3)) + _overlap(found, truth, members)
    return {name: float(2 * o / (f + t)) for name, (o, f, t) in sorted(counts.items()) if t > 0}


def read_log(folder: RunFolder) -> dict[str, float]:
    """Newest value of every quantity in the log."""
    latest: dict[str, float] = {}
    if folder.log.is_file():
        for line in folder.log.read_text().splitlines():
            latest |= {key: float(value) for key, value in json.loads(line).items()}
    return latest


def _overlap(found: torch.Tensor, truth: torch.Tensor, members: tuple[int, ...]) -> np.ndarray:
    wanted = torch.tensor(members)
    f, t = torch.isin(found, wanted), torch.isin(truth, wanted)
    return np.array([int((f & t).sum()), int(f.sum()), int(t.sum())], dtype=float)


def _validate(learner: Learner, session: Session) -> None:
    scores = pseudo_dice(learner, session.validation())
    session.reporter.validated(learner.step, scores)
    _log(session, learner.step, {f"dice_{name}": value for name, value in scores.items()})


def _log(session: Session, step: int, values: dict[str, Any]) -> None:
    with session.folder.log.open("a") as stream:
        stream.write(json.dumps({"step": step} | values) + "\n")


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
