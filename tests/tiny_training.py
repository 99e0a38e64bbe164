"""A training small enough for a test."""

from __future__ import annotations

import numpy as np
import torch

from livercascade.segment.network_folder import build_network
from livercascade.testing.tiny_networks import tiny_card
from livercascade.train.network_trainer import NetworkTrainer, TrainingBatch
from livercascade.train.segmentation_loss import GroupedLoss, deeply_supervised
from livercascade.train.training_settings import WholeSettings


class SilentReporter:
    """A reporter that says nothing."""

    def stage(self, text: str) -> None: ...
    def prepared(self, done: int, total: int) -> None: ...
    def stepped(self, step: int, total: int, loss: float, seconds: float) -> None: ...
    def validated(self, step: int, scores: dict[str, float], *, best_step: int) -> None: ...


def tiny_settings(**changes: object) -> WholeSettings:
    return WholeSettings.model_validate({"steps": 20, "warmup_steps": 2, "patch_size": (4, 8, 8)} | changes)


def tiny_trainer(run: WholeSettings) -> NetworkTrainer:
    torch.manual_seed(1)
    card = tiny_card(classes=tuple("abcdefgh"))
    network = build_network(card, deep_supervision=True)
    return NetworkTrainer(network, deeply_supervised(GroupedLoss()), card.architecture.strides, run)


def tiny_batch(rng: np.random.Generator) -> TrainingBatch:
    data = torch.from_numpy(rng.normal(size=(2, 8, 4, 8, 8)).astype(np.float32))
    return TrainingBatch(data, (data[:, :1] > 0).to(torch.int16) * 7)
