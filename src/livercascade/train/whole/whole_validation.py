"""Examination of UNet^whole in training: the livers of a few held-out patients, lesion by lesion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from livercascade.data.grid import Triple
from livercascade.data.labels import FIRST_LESION, LAST_LESION
from livercascade.data.lesion import Box
from livercascade.segment.card import Size
from livercascade.train.network_trainer import Learner
from livercascade.train.training_loop import Examination
from livercascade.train.training_plots import View
from livercascade.train.whole.detection_metrics import Tally

HIGH_FACTOR = 4.0
_OVERLAP = 0.25
_VIEWS = 3


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The liver of one held-out patient on the network's grid.

    Attributes:
        name: Case name.
        image: Network input.
        labels: Truth.
        phase: Channel to show.
    """

    name: str
    image: Float32[torch.Tensor, "channel z y x"]
    labels: UInt8[np.ndarray, "z y x"]
    phase: int


@dataclass(frozen=True, slots=True)
class WholeExaminer:
    """Examines a network on the same patients each time.

    Attributes:
        patients: Whose livers.
        patch_size: Of the network's windows.
        spacing: (z, y, x) in mm.
    """

    patients: Sequence[HeldOut]
    patch_size: Size
    spacing: Triple

    def __call__(self, learner: Learner) -> Examination:
        """Scores of all patients together, and pictures of the first few that have lesions."""
        tally, views = Tally(), list[View]()
        for patient in self.patients:
            low, high = self._predict(learner, patient)
            tally.add(patient.labels, low, high, self.spacing)
            if len(views) < _VIEWS and _lesion(patient.labels).any():
                views.append(self._view(patient, low, high))
        return Examination(tally.scores(), tuple(views))

    def _predict(
        self, learner: Learner, patient: HeldOut
    ) -> tuple[UInt8[np.ndarray, "z y x"], UInt8[np.ndarray, "z y x"]]:
        """Labels at f = 1 and f = 4: the mean of overlapping windows."""
        total: torch.Tensor | None = None
        for box in windows(patient.image.shape[1:], self.patch_size):
            logits = learner.logits(patient.image[(slice(None), *box)][None])[0]
            if total is None:
                total = torch.zeros((logits.shape[0], *patient.image.shape[1:]))
            total[(slice(None), *box)] += logits * _tent(self.patch_size)
        if total is None:
            raise ValueError("no window")
        # The weight of the windows scales all classes alike: only the offset of f needs the mean itself.
        low = total.argmax(0)
        total[FIRST_LESION : LAST_LESION + 1] += math.log(HIGH_FACTOR) * _weight(
            patient.image.shape[1:], self.patch_size
        )
        return low.numpy().astype(np.uint8), total.argmax(0).numpy().astype(np.uint8)

    def _view(self, patient: HeldOut, low: UInt8[np.ndarray, "z y x"], high: UInt8[np.ndarray, "z y x"]) -> View:
        z = int(np.count_nonzero(_lesion(patient.labels), axis=(1, 2)).argmax())
        image = patient.image[patient.phase, z].numpy()
        aspect = self.spacing[1] / self.spacing[2]
        return View(f"{patient.name}, slice {z}", image, patient.labels[z], low[z], high[z], aspect)


def windows(shape: Sequence[int], size: Size) -> Iterator[Box]:
    """Evenly spread windows that cover an image of at least their size, neighbours sharing a quarter or more."""
    starts: list[list[int]] = []
    for have, want in zip(shape, size, strict=True):
        count = 1 + math.ceil((have - want) / (want * (1 - _OVERLAP)))
        starts.append([round(i * (have - want) / max(count - 1, 1)) for i in range(count)])
    for corner in product(*starts):
        z, y, x = (slice(a, a + n) for a, n in zip(corner, size, strict=True))
        yield z, y, x


def _tent(size: Size) -> Float32[torch.Tensor, "z y x"]:
    """Weight of a window: falls linearly from the middle to the edges, never 0."""
    z, y, x = (1.05 - torch.linspace(-1, 1, n).abs() if n > 1 else torch.ones(1) for n in size)
    return z[:, None, None] * y[None, :, None] * x[None, None, :]


def _weight(shape: Sequence[int], size: Size) -> Float32[torch.Tensor, "z y x"]:
    total = torch.zeros(tuple(shape))
    for box in windows(shape, size):
        total[box] += _tent(size)
    return total


def _lesion(labels: UInt8[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    return (labels >= FIRST_LESION) & (labels <= LAST_LESION)
