"""One network in training: optimiser, learning rate, running mean of the weights, one step, and its checkpoint."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import nn

from livercascade.data.errors import UsageError
from livercascade.segment.model_card import ModelCard
from livercascade.segment.network_folder import start_weights
from livercascade.system.files import write_file
from livercascade.train.segmentation_loss import SegmentationLoss, build_loss, downsampled
from livercascade.train.training_settings import TrainSettings


class CheckpointChoice(StrEnum):
    """Weights of a run to export."""

    BEST = "best"
    """Those with the best score on the held-out fold; the newest where there is no such fold, or no score yet."""
    NEWEST = "newest"
    """Those of the newest checkpoint."""


@dataclass(frozen=True, slots=True)
class BestCheckpoint:
    """Best state of a training after some validations: a running mean of the score, its maximum, and patience.

    Attributes:
        smoothed: Running mean of the score; None before the first validation.
        best: Its highest value.
        best_step: Step at which that was.
        stale: Validations since.
    """

    smoothed: float | None = None
    best: float = float("-inf")
    best_step: int = 0
    stale: int = 0

    def after(self, step: int, score: float, *, smoothing: float) -> BestCheckpoint:
        """State after one more validation; that is the best so far exactly if ``stale`` is 0.

        Args:
            step: Step of the training.
            score: Score at this step, higher is better.
            smoothing: Share of the earlier mean, 0 (no smoothing) to under 1.

        >>> state = BestCheckpoint().after(10, 0.5, smoothing=0.5).after(20, 0.3, smoothing=0.5)
        >>> (state.smoothed, state.best_step, state.stale)
        (0.4, 10, 1)
        """
        smoothed = score if self.smoothed is None else smoothing * self.smoothed + (1 - smoothing) * score
        if smoothed > self.best:
            return BestCheckpoint(smoothed, smoothed, step, 0)
        return BestCheckpoint(smoothed, self.best, self.best_step, self.stale + 1)

    def exhausted(self, patience: int | None) -> bool:
        """True if ``patience`` validations in a row brought nothing better; never without patience."""
        return patience is not None and self.stale >= patience


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Network input of some samples and their reference labels at full resolution."""

    data: Float[torch.Tensor, "batch channel z y x"]
    target: Integer[torch.Tensor, "batch 1 z y x"]


class NetworkTrainer:
    """A network with all that its training changes.

    Args:
        network: Network, with deep supervision if ``settings`` say so.
        loss: Loss of lists of logits and targets with deep supervision, of single ones without.
        strides: Strides (z, y, x) of the encoder's stages.
        settings: Settings of the training.

    Raises:
        UsageError: The device is not there (``NO_DEVICE``).
    """

    def __init__(
        self,
        network: nn.Module,
        loss: SegmentationLoss,
        strides: Sequence[tuple[int, int, int]],
        settings: TrainSettings,
    ) -> None:
        self.device = choose_device(settings.device)
        layout = torch.channels_last_3d if settings.channels_last else torch.contiguous_format
        self.network = network.to(self.device, memory_format=layout)  # pyright: ignore[reportCallIssue]
        # Exported is the running mean: it swings less than the weights of any one step.
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = build_optimiser(self.network, settings)
        self.step = 0
        self.best = BestCheckpoint()
        self._loss, self._strides, self._settings, self._layout = loss, strides, settings, layout

    @classmethod
    def of_card(cls, card: ModelCard, settings: TrainSettings, start_from: Path | None = None) -> NetworkTrainer:
        """New training of the network that a card describes.

        Args:
            card: Architecture, channels and classes.
            settings: Settings of the training.
            start_from: Model folder whose weights to start from; None takes nnU-Net's random ones.

        Raises:
            ModelError: The weights to start from do not fit, see `start_weights`.
            UsageError: The device is not there (``NO_DEVICE``).
        """
        # Importing nnU-Net takes seconds and needs its environment, which only a training process has.
        from livercascade.train.nnunet_network import build_for_training

        network = build_for_training(card, deep_supervision=settings.deep_supervision)
        if start_from is not None:
            start_weights(network, card, start_from)
        loss = build_loss(settings, card.architecture.n_stages - 1)
        return cls(network, loss, card.architecture.strides, settings)

    def take_step(self, batch: TrainingBatch) -> float:
        """Loss of a batch before the step that is taken to lower it."""
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
        """Labels of the averaged weights."""
        return self.logits(data).argmax(1)

    @torch.no_grad()
    def logits(self, data: Float[torch.Tensor, "batch channel z y x"]) -> Float[torch.Tensor, "batch class_ z y x"]:
        """Logits of the averaged weights, float32 on the processor."""
        with self._mixed():
            output = self.average(data.to(self.device, memory_format=self._layout))
        # With deep supervision the finest resolution comes first.
        return (output[0] if isinstance(output, list) else output).float().cpu()

    def save(self, path: Path, random_state: dict[str, Any]) -> None:
        """Write everything needed to continue; a crash leaves the old file or the new one."""
        state = {
            "step": self.step,
            "network": _unique(self.network),
            "average": _unique(self.average),
            "optimiser": self.optimiser.state_dict(),
            "standing": asdict(self.best),
            "random": random_state,
        }
        write_file(path, _serialised(state))

    def save_average(self, path: Path, scores: dict[str, float]) -> None:
        """Write the averaged weights alone, with their scores."""
        write_file(path, _serialised({"step": self.step, "average": _unique(self.average), "scores": scores}))

    def restore(self, path: Path) -> dict[str, Any]:
        """Random state saved in a checkpoint; network, mean, optimiser and best state are taken from it."""
        state = read_checkpoint(path)
        self.step = int(state["step"])
        # Checkpoints of version 0.2 and before do not note the best.
        self.best = BestCheckpoint(**state.get("standing", {}))
        _load(self.network, state["network"])
        _load(self.average, state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        return state["random"]

    def _loss_of(self, batch: TrainingBatch) -> torch.Tensor:
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
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    # As nnUNetTrainer.configure_optimizers.
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
    # 0.9 is nnU-Net's exponent (PolyLRScheduler).
    fall = (1 - done) ** 0.9 if settings.schedule == "poly" else (1 + math.cos(math.pi * done)) / 2
    return settings.learning_rate * warm * fall


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint: tensors and plain values only."""
    # weights_only: a checkpoint is a pickle, and nothing in it may be run.
    return torch.load(path, map_location="cpu", weights_only=True)


def random_state(rng: np.random.Generator) -> dict[str, Any]:
    """State of ``rng`` and of the global generators that nnU-Net draws from."""
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    return {
        "rng": rng.bit_generator.state,
        # As int64: most of torch does without unsigned 32-bit numbers.
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }


def set_random_state(state: dict[str, Any], rng: np.random.Generator) -> None:
    """Give all generators the state that `random_state` returned."""
    rng.bit_generator.state = state["rng"]
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"])


def seed_everything(seed: int) -> np.random.Generator:
    """Generator of our own; the global ones that nnU-Net draws from are seeded too."""
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def _serialised(state: dict[str, Any]) -> bytes:
    stream = BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def _unique(network: nn.Module) -> dict[str, torch.Tensor]:
    # The decoder holds the encoder once more: a state_dict would list those weights twice.
    return {name: value.detach() for name, value in network.named_parameters()}


def _load(network: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    for name, parameter in network.named_parameters():
        parameter.data.copy_(weights[name])
