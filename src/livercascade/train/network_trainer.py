"""One network in training: optimiser, learning rate, running mean of the weights, one step, and its checkpoint."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import nn

from livercascade.data.errors import UsageError
from livercascade.train.best import Standing
from livercascade.train.segmentation_loss import downsampled
from livercascade.train.training_settings import Optimiser, Schedule, TrainSettings

Loss = Callable[[Any, Any], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Batch:
    """Network input of some samples and their truth at full resolution."""

    data: Float[torch.Tensor, "batch channel z y x"]
    target: Integer[torch.Tensor, "batch 1 z y x"]


class Learner:
    """A network with all that its training changes.

    Args:
        network: With deep supervision if ``settings`` say so.
        loss: Of lists of logits and targets with deep supervision, of single ones without.
        strides: Of the encoder's stages.
        settings: Of the training.
    """

    def __init__(
        self, network: nn.Module, loss: Loss, strides: Sequence[tuple[int, int, int]], settings: TrainSettings
    ) -> None:
        self.device = choose_device(settings.device)
        layout = torch.channels_last_3d if settings.channels_last else torch.contiguous_format
        self.network = network.to(self.device, memory_format=layout)  # pyright: ignore[reportCallIssue]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = build_optimiser(self.network, settings)
        self.step = 0
        self.standing = Standing()
        self._loss, self._strides, self._settings, self._layout = loss, strides, settings, layout

    def learn(self, batch: Batch) -> float:
        """Takes one step and returns the loss before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self._settings, self.step)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss_of(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.gradient_clip)
        self.optimiser.step()
        self.step += 1
        self._follow()
        return float(loss.detach())

    @torch.no_grad()
    def predict(self, data: Float[torch.Tensor, "batch channel z y x"]) -> Integer[torch.Tensor, "batch z y x"]:
        """Labels by the averaged weights."""
        return self.logits(data).argmax(1)

    @torch.no_grad()
    def logits(self, data: Float[torch.Tensor, "batch channel z y x"]) -> Float[torch.Tensor, "batch class_ z y x"]:
        """Logits of the averaged weights, float32 on the processor."""
        with self._mixed():
            output = self.average(data.to(self.device, memory_format=self._layout))
        return (output[0] if isinstance(output, list) else output).float().cpu()

    def save(self, path: Path, random_state: dict[str, Any]) -> None:
        """Writes everything needed to continue beside ``path``, then moves it there."""
        state = {
            "step": self.step,
            "network": _unique(self.network),
            "average": _unique(self.average),
            "optimiser": self.optimiser.state_dict(),
            "standing": self.standing.record(),
            "random": random_state,
        }
        _write(path, state)

    def save_average(self, path: Path, scores: dict[str, float]) -> None:
        """Writes the averaged weights alone, with what they reached."""
        _write(path, {"step": self.step, "average": _unique(self.average), "scores": scores})

    def restore(self, path: Path) -> dict[str, Any]:
        """Continues from a checkpoint; returns the random state saved with it."""
        state = read_checkpoint(path)
        self.step = int(state["step"])
        # Checkpoints of version 0.2 and before have no standing.
        self.standing = Standing(**state.get("standing", {}))
        _load(self.network, state["network"])
        _load(self.average, state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        return state["random"]

    def _loss_of(self, batch: Batch) -> torch.Tensor:
        data = batch.data.to(self.device, memory_format=self._layout)
        target = batch.target.to(self.device)
        with self._mixed():
            output = self.network(data)
        if isinstance(output, list):
            return self._loss(output, downsampled(target, self._strides, len(output)))
        return self._loss(output, target)

    def _mixed(self) -> torch.autocast:
        asked = self._settings.bf16
        enabled = self.device.type == "cuda" if asked is None else asked
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    @torch.no_grad()
    def _follow(self) -> None:
        # A young mean forgets faster, else it would remember the random start.
        decay = min(self._settings.ema_decay, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


def choose_device(wanted: str) -> torch.device:
    """Device to train on: ``auto`` takes a GPU if there is one.

    Raises:
        UsageError: The device is not there (``NO_DEVICE``).
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError("NO_DEVICE", f"There is no {wanted} here.", "Use --device cpu, or auto.")
    return device


def build_optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Optimiser over all parameters."""
    if settings.optimiser is Optimiser.ADAMW:
        return torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.SGD(
        network.parameters(),
        settings.learning_rate,
        momentum=0.99,
        nesterov=True,
        weight_decay=settings.weight_decay,
    )


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Learning rate of step ``step``, counted from 0: a linear rise, then the schedule."""
    warm = min((step + 1) / (settings.warmup_steps + 1), 1.0)
    done = min(step / settings.steps, 1.0)
    fall = (1 - done) ** 0.9 if settings.schedule is Schedule.POLY else (1 + math.cos(math.pi * done)) / 2
    return settings.learning_rate * warm * fall


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint: tensors and plain values only."""
    return torch.load(path, map_location="cpu", weights_only=True)


def random_state(rng: np.random.Generator) -> dict[str, Any]:
    """State of ``rng`` and of the global generators that nnU-Net draws from."""
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    return {
        "rng": rng.bit_generator.state,
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }


def set_random_state(state: dict[str, Any], rng: np.random.Generator) -> None:
    """Undoes what happened since `random_state`."""
    rng.bit_generator.state = state["rng"]
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"])


def seed_everything(seed: int) -> np.random.Generator:
    """Seeds the global generators that nnU-Net draws from and returns one of our own."""
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def _write(path: Path, state: dict[str, Any]) -> None:
    aside = path.with_name(path.name + ".part")
    with aside.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)


def _unique(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in network.named_parameters()}


def _load(network: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    for name, parameter in network.named_parameters():
        parameter.data.copy_(weights[name])
