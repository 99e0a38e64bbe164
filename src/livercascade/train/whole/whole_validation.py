"""Validation of UNet^whole in training: the livers of a few held-out patients, lesion by lesion."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Integer, UInt8

from livercascade.data.coverage import LESION_CLASSES, LIVER_CLASSES, ignored, resolved, surely
from livercascade.data.grid import Triple
from livercascade.data.labels import FIRST_LESION, LAST_LESION, NUM_CLASSES, LesionType
from livercascade.data.lesion import Box
from livercascade.detect.liver import liver_with_content
from livercascade.detect.match import Counting, Match, Outcome, match
from livercascade.detect.seg2det import bounding_box, seg2det
from livercascade.segment.model_card import ModelCard, Size
from livercascade.segment.network_input import phase_input
from livercascade.system.files import sha256_text
from livercascade.train.network_trainer import NetworkTrainer
from livercascade.train.training_loop import MIN_VOLUME_ML, SCORE, ValidationResult
from livercascade.train.training_plots import SliceComparison

HIGH_FACTOR = 4.0
_OVERLAP = 0.25
_SLICES = 3
_ANY_TYPE = int(LesionType.OTHER)
_AROUND_MM = 15.0
"""Width round a liver that is predicted too, so that false findings beside it count."""


@dataclass(frozen=True, slots=True, eq=False)
class ValidationLiver:
    """The liver of one held-out patient on the network's grid.

    Attributes:
        name: Case name.
        image: Network input.
        labels: Reference labels 0-13; where a lesion is of unknown type, all of the case are "Other".
        phase: Channel to show.
        ignored: Voxels that nothing is said of; what is predicted there counts as right.
        typed: True if the type of every lesion is known.
    """

    name: str
    image: Float32[torch.Tensor, "channel z y x"]
    labels: UInt8[np.ndarray, "z y x"]
    phase: int
    ignored: Bool[np.ndarray, "z y x"]
    typed: bool

    @property
    def has_lesion(self) -> bool:
        """True if there is a lesion to show."""
        return bool(_lesion(self.labels).any())

    def judged(self, prediction: UInt8[np.ndarray, "z y x"]) -> UInt8[np.ndarray, "z y x"]:
        """The prediction as far as the reference can judge it."""
        known = prediction if self.typed else np.where(_lesion(prediction), _ANY_TYPE, prediction)
        return np.where(self.ignored, self.labels, known).astype(np.uint8)


@dataclass(slots=True)
class LesionCounts:
    """Lesions of some patients: detected with or without the right type, missed, and false findings."""

    detected: int = 0
    typed: int = 0
    missed: int = 0
    false: int = 0

    def add(
        self, reference: UInt8[np.ndarray, "z y x"], prediction: UInt8[np.ndarray, "z y x"], spacing: Triple
    ) -> None:
        """Count the lesions of one patient; those under half a millilitre neither count nor are false."""
        lesions = seg2det(reference, spacing, min_volume_ml=0.0)
        findings = seg2det(prediction, spacing, min_volume_ml=MIN_VOLUME_ML)
        result: Match = match(lesions, findings, counting=Counting.GT)
        for lesion, outcome in zip(lesions, result.truth_outcomes, strict=True):
            # A lesion of exactly the limit counts, however its voxels are summed up.
            if lesion.volume_ml >= MIN_VOLUME_ML * (1 - 1e-9):
                self.detected += outcome is not Outcome.FN
                self.typed += outcome is Outcome.TP
                self.missed += outcome is Outcome.FN
        self.false += sum(outcome is Outcome.FP for outcome in result.found_outcomes)

    @property
    def recall(self) -> float:
        """Share of the lesions that were detected; 1 if there is none."""
        return _ratio(self.detected, self.detected + self.missed)

    @property
    def f1_detected(self) -> float:
        """F1 of detecting a lesion, whatever its type; 1 with nothing to detect and nothing detected."""
        return _ratio(2 * self.detected, 2 * self.detected + self.missed + self.false)

    @property
    def f1_typed(self) -> float:
        """F1 of detecting a lesion with its type: one of another type is missed and false at once."""
        wrong = self.detected - self.typed
        return _ratio(2 * self.typed, 2 * self.typed + self.missed + self.false + 2 * wrong)


def validate_livers(
    livers: Sequence[ValidationLiver], patch_size: Size, spacing: Triple, trainer: NetworkTrainer
) -> ValidationResult:
    """Metrics of all patients together, and pictures of the first few that have lesions.

    Args:
        livers: Held-out livers, the same at each validation.
        patch_size: Size (z, y, x) of the network's windows.
        spacing: Voxel spacing (z, y, x) in mm.
        trainer: Network in training.
    """
    predictions = [(liver.labels, *_judged(trainer, liver, patch_size)) for liver in livers]
    shown = [(liver, low, high) for liver, (_, low, high) in zip(livers, predictions, strict=True) if liver.has_lesion]
    slices = tuple(_comparison(liver, low, high, spacing) for liver, low, high in shown[:_SLICES])
    return ValidationResult(liver_metrics(predictions, spacing), slices)


def validation_livers(
    read: Callable[[str], tuple[Any, Integer[np.ndarray, "z y x"]]],
    names: Sequence[str],
    seen: Mapping[str, Bool[np.ndarray, " phase"]],
    count: int,
    card: ModelCard,
) -> tuple[ValidationLiver, ...]:
    """Livers of up to ``count`` held-out cases, the same for the same names; those without liver are passed over.

    Args:
        read: Function that gives the prepared image [channel, z, y, x] and the labels of a case.
        names: Held-out cases.
        seen: Phases the network may see of each case.
        count: Most livers to take.
        card: Network; livers smaller than its windows get that much of their surroundings, or zeros.
    """
    found: list[ValidationLiver] = []
    for name in sorted(names, key=sha256_text):
        data, labels = read(name)
        box = bounding_box(surely(labels, LIVER_CLASSES))
        if box is not None:
            box = _wider(box, labels.shape, card.patch_size, card.spacing_mm)
            image = phase_input(torch.from_numpy(np.asarray(data[(slice(None), *box)])), torch.from_numpy(seen[name]))
            found.append(_padded(name, image, labels[box], seen[name], card.patch_size))
        if len(found) == count:
            break
    return tuple(found)


def liver_metrics(
    predictions: Sequence[tuple[UInt8[np.ndarray, "z y x"], UInt8[np.ndarray, "z y x"], UInt8[np.ndarray, "z y x"]]],
    spacing: Triple,
) -> dict[str, float]:
    """Metrics of some patients together; `SCORE` is the mean of both F1 (detected, typed) and the Dice of lesions.

    The first says which lesions are detected and what else is, the second adds the type, the third is smooth where
    a few patients let the first two jump.

    Args:
        predictions: Reference labels of each patient, and the network's at f = 1 and f = 4.
        spacing: Voxel spacing (z, y, x) in mm.
    """
    low, high = LesionCounts(), LesionCounts()
    overlaps = {"lesion": np.zeros(3), "liver": np.zeros(3)}
    for reference, at_1, at_4 in predictions:
        low.add(reference, at_1, spacing)
        high.add(reference, at_4, spacing)
        for name, member in (("lesion", _lesion), ("liver", liver_with_content)):
            a, b = member(at_1), member(reference)
            overlaps[name] += [np.count_nonzero(a & b), np.count_nonzero(a), np.count_nonzero(b)]
    dice = {f"dice_{name}": _ratio(2 * common, a + b) for name, (common, a, b) in overlaps.items()}
    typed = {"type_accuracy": low.typed / low.detected} if low.detected else {}
    return {
        SCORE: (low.f1_detected + low.f1_typed + dice["dice_lesion"]) / 3,
        "recall": low.recall,
        "false_per_patient": low.false / max(len(predictions), 1),
        "recall_f4": high.recall,
        "false_per_patient_f4": high.false / max(len(predictions), 1),
        **typed,
        **dice,
    }


def windows(shape: Sequence[int], size: Size) -> Iterator[Box]:
    """Evenly spread windows that cover an image of at least their size, neighbours sharing a quarter or more."""
    starts: list[list[int]] = []
    for have, want in zip(shape, size, strict=True):
        count = 1 + math.ceil((have - want) / (want * (1 - _OVERLAP)))
        starts.append([round(i * (have - want) / max(count - 1, 1)) for i in range(count)])
    for corner in product(*starts):
        z, y, x = (slice(a, a + n) for a, n in zip(corner, size, strict=True))
        yield z, y, x


def _predict(
    trainer: NetworkTrainer, liver: ValidationLiver, size: Size
) -> tuple[UInt8[np.ndarray, "z y x"], UInt8[np.ndarray, "z y x"]]:
    """Labels at f = 1 and f = 4: the mean of overlapping windows."""
    total: torch.Tensor | None = None
    for box in windows(liver.image.shape[1:], size):
        logits = trainer.logits(liver.image[(slice(None), *box)][None])[0]
        if total is None:
            total = torch.zeros((logits.shape[0], *liver.image.shape[1:]))
        total[(slice(None), *box)] += logits * _tent(size)
    if total is None:
        raise ValueError("no window")
    # The weight of the windows scales all classes alike: only the offset of f needs the mean itself.
    low = total.argmax(0)
    total[FIRST_LESION : LAST_LESION + 1] += math.log(HIGH_FACTOR) * _weight(liver.image.shape[1:], size)
    return low.numpy().astype(np.uint8), total.argmax(0).numpy().astype(np.uint8)


def _judged(
    trainer: NetworkTrainer, liver: ValidationLiver, size: Size
) -> tuple[UInt8[np.ndarray, "z y x"], UInt8[np.ndarray, "z y x"]]:
    low, high = _predict(trainer, liver, size)
    return liver.judged(low), liver.judged(high)


def _tent(size: Size) -> Float32[torch.Tensor, "z y x"]:
    """Weight of a window: falls linearly from the middle to the edges, never 0."""
    z, y, x = (1.05 - torch.linspace(-1, 1, n).abs() if n > 1 else torch.ones(1) for n in size)
    return z[:, None, None] * y[None, :, None] * x[None, None, :]


def _weight(shape: Sequence[int], size: Size) -> Float32[torch.Tensor, "z y x"]:
    total = torch.zeros(tuple(shape))
    for box in windows(shape, size):
        total[box] += _tent(size)
    return total


def _comparison(
    liver: ValidationLiver, low: UInt8[np.ndarray, "z y x"], high: UInt8[np.ndarray, "z y x"], spacing: Triple
) -> SliceComparison:
    """The slice with most lesion in it."""
    z = int(np.count_nonzero(_lesion(liver.labels), axis=(1, 2)).argmax())
    image = liver.image[liver.phase, z].numpy()
    return SliceComparison(f"{liver.name}, slice {z}", image, liver.labels[z], low[z], high[z], spacing[1] / spacing[2])


def _wider(box: Box, shape: Sequence[int], size: Size, spacing: Triple) -> Box:
    sides: list[slice] = []
    for side, have, want, mm in zip(box, shape, size, spacing, strict=True):
        grow = max(math.ceil(_AROUND_MM / mm), math.ceil((want - (side.stop - side.start)) / 2))
        sides.append(slice(max(side.start - grow, 0), min(side.stop + grow, have)))
    return sides[0], sides[1], sides[2]


def _padded(
    name: str,
    image: Float32[torch.Tensor, "channel z y x"],
    labels: Integer[np.ndarray, "z y x"],
    present: Bool[np.ndarray, " phase"],
    size: Size,
) -> ValidationLiver:
    """Images smaller than a window are filled up as in training: phases with 0, flags go on."""
    plain = resolved(labels, unknown_lesion=_ANY_TYPE)
    lesions = surely(labels, LESION_CLASSES)
    typed = not bool((lesions & (labels >= NUM_CLASSES)).any())
    if not typed:
        plain[lesions] = _ANY_TYPE
    missing = [max(want - have, 0) for have, want in zip(labels.shape, size, strict=True)]
    around = (0, missing[2], 0, missing[1], 0, missing[0])
    phases = torch.nn.functional.pad(image[: -len(present)], around)
    flags = torch.from_numpy(present).to(image.dtype)[:, None, None, None].expand(-1, *phases.shape[1:])
    filled, unsaid = (np.pad(one, [(0, n) for n in missing]) for one in (plain, ignored(labels)))
    # VP shows lesions best; where it is absent, the first phase that is there.
    shown = 2 if present[2] else int(np.flatnonzero(present)[0])
    return ValidationLiver(name, torch.cat((phases, flags)), filled, shown, unsaid, typed)


def _lesion(labels: UInt8[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    return (labels >= FIRST_LESION) & (labels <= LAST_LESION)


def _ratio(part: float | int, whole: float | int) -> float:
    return float(part / whole) if whole > 0 else 1.0
