"""Validation of UNet^patch in training: lesions kept and false findings removed on fixed held-out patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Integer

from livercascade.data.labels import FIRST_LESION, LAST_LESION
from livercascade.data.lesion import Lesion
from livercascade.reclassification.patches import PATCH_LIVER, Patch, Scheme, is_lesion
from livercascade.reclassification.shuffle import shuffle
from livercascade.segment.model_card import PhaseNormalisation
from livercascade.segment.network_input import normalise, phase_input
from livercascade.system.files import sha256_text
from livercascade.train.network_trainer import NetworkTrainer
from livercascade.train.patch.patch_cases import PatchCase
from livercascade.train.phase_dropout import seen_phases
from livercascade.train.training_loop import MIN_VOLUME_ML, SCORE, ValidationResult
from livercascade.train.training_plots import SliceComparison
from livercascade.train.training_settings import PatchSettings

KEPT_SHARE = 0.25
"""A lesion under 2 ml is kept from this share of its volume on: half a millilitre would be asking too much of it."""
_SLICES = 3


@dataclass(frozen=True, slots=True, eq=False)
class ValidationPatch:
    """One patch with a known answer.

    Attributes:
        name: Case name.
        data: Network input.
        patch: Patch in HU.
        lesion: True lesion in it; None if there is none.
        typed: True if its type is known; else any type is right.
        voxel_ml: Volume of a voxel.
    """

    name: str
    data: torch.Tensor
    patch: Patch
    lesion: Lesion | None
    typed: bool
    voxel_ml: float

    @property
    def kept_from_ml(self) -> float:
        """Overlap from which the lesion counts as kept (paper, Sec. IV-B2, and fair to small lesions)."""
        return MIN_VOLUME_ML if self.lesion is None else min(MIN_VOLUME_ML, KEPT_SHARE * self.lesion.volume_ml)


def validate_patches(patches: Sequence[ValidationPatch], batch_size: int, trainer: NetworkTrainer) -> ValidationResult:
    """Metrics of all patches, and pictures of the first few.

    `SCORE` is the mean of three shares: true lesions kept, true lesions with the right type (majority of the lesion's
    voxels), and patches without a lesion in which none of half a millilitre is seen.

    Args:
        patches: Held-out patches, the same at each validation; half of them with a lesion, where there are any.
        batch_size: Patches that go through the network together.
        trainer: Network in training.
    """
    labels: list[np.ndarray] = []
    for start in range(0, len(patches), batch_size):
        batch = torch.stack([patch.data for patch in patches[start : start + batch_size]])
        labels += [one.numpy() for one in trainer.predict(batch)]
    pairs = list(zip(patches, labels, strict=True))
    kept = [_kept(q, a) for q, a in pairs if q.lesion is not None]
    typed = [_typed(q, a) for q, a in pairs if q.lesion is not None]
    clean = [not _kept(q, a) for q, a in pairs if q.lesion is None]
    shares = [float(np.mean(values)) for values in (kept, typed, clean) if values]
    scores = {SCORE: float(np.mean(shares)) if shares else 0.0}
    if kept:
        scores |= {"recall": float(np.mean(kept)), "type_accuracy": float(np.mean(typed))}
    if clean:
        scores |= {"false_share": 1 - float(np.mean(clean))}
    return ValidationResult(scores | _dice(pairs), tuple(_comparison(q, a) for q, a in pairs[:_SLICES]))


def validation_patches(
    cases: Sequence[PatchCase],
    settings: PatchSettings,
    normalisation: Sequence[PhaseNormalisation],
    rng: np.random.Generator,
) -> tuple[ValidationPatch, ...]:
    """Up to ``settings.validation_patches`` fixed patches: true lesions of half a millilitre or more, as many without.

    The latter are false findings of UNet^whole where there are predictions, else liver without lesions, in livers full
    of them with the lesions replaced.

    Args:
        cases: Held-out cases.
        settings: Settings of the training; the network sees their ``phases``.
        normalisation: Normalisation of each phase; its lower bounds fill what lies outside the liver.
        rng: Source of all draws.
    """
    ordered = sorted(cases, key=lambda case: sha256_text(case.name))
    positive = [(case, lesion) for case in ordered for lesion in case.lesions if lesion.volume_ml >= MIN_VOLUME_ML]
    false = [(case, lesion) for case in ordered for lesion in case.false if lesion.volume_ml >= MIN_VOLUME_ML]
    half = (settings.validation_patches + 1) // 2
    empty: list[tuple[PatchCase, Lesion | None]] = [*false, *([(case, None) for case in ordered] * half)]
    found: list[ValidationPatch] = []
    for number in range(half):
        pairs = [(*positive[number], True)] if number < len(positive) else []
        for case, lesion, true in (*pairs, (*empty[number], False)):
            patch = _cut(case, lesion, normalisation, rng, true=true)
            if patch is not None:
                seen = torch.from_numpy(seen_phases(case.present, settings.phases))
                data = phase_input(normalise(torch.from_numpy(patch.image), normalisation), seen)
                voxel_ml = float(np.prod(case.spacing)) / 1000
                found.append(ValidationPatch(case.name, data, patch, lesion if true else None, case.typed, voxel_ml))
    return tuple(found[: settings.validation_patches])


def _cut(
    case: PatchCase,
    lesion: Lesion | None,
    normalisation: Sequence[PhaseNormalisation],
    rng: np.random.Generator,
    *,
    true: bool,
) -> Patch | None:
    """Patch round a true lesion or a false finding, or without either; None where there is no room."""
    scheme = Scheme.ORIGINAL_NEGATIVE if lesion is None else Scheme.ORIGINAL_POSITIVE
    volume = case.volume([phase.lower for phase in normalisation], predicted=lesion is not None and not true)
    patch = shuffle(lesion, volume, scheme, rng)
    if patch is None and lesion is None and case.lesions:
        # A liver full of lesions has no patch without one until they are replaced by liver.
        return shuffle(case.lesions[0], volume, Scheme.SHUFFLED_NEGATIVE, rng)
    return patch


def _kept(sample: ValidationPatch, labels: Integer[np.ndarray, "z y x"]) -> bool:
    """True if the network sees the lesion, or, where there is none, one of its own making."""
    seen = is_lesion(labels.astype(np.uint8))
    wanted = sample.patch.lesion
    where = seen & (wanted if wanted.any() else sample.patch.labels == PATCH_LIVER)
    return bool(np.count_nonzero(where) * sample.voxel_ml >= sample.kept_from_ml)


def _typed(sample: ValidationPatch, labels: Integer[np.ndarray, "z y x"]) -> bool:
    if sample.lesion is None or not _kept(sample, labels):
        return False
    if not sample.typed:
        return True
    votes = np.bincount(labels[sample.patch.lesion].astype(np.int64), minlength=LAST_LESION + 1)
    return int(votes[FIRST_LESION : LAST_LESION + 1].argmax()) + FIRST_LESION == int(sample.lesion.label)


def _dice(pairs: Sequence[tuple[ValidationPatch, np.ndarray]]) -> dict[str, float]:
    common = found = true = 0
    for sample, labels in pairs:
        a, b = is_lesion(labels.astype(np.uint8)), is_lesion(sample.patch.labels)
        common, found, true = common + int((a & b).sum()), found + int(a.sum()), true + int(b.sum())
    return {"dice_lesion": 2 * common / (found + true)} if true else {}


def _comparison(sample: ValidationPatch, labels: Integer[np.ndarray, "z y x"]) -> SliceComparison:
    wanted = sample.patch.lesion
    # The slice with most of the lesion; VP, which shows lesions best, where it is there.
    z = int(wanted.sum(axis=(1, 2)).argmax()) if wanted.any() else wanted.shape[0] // 2
    flags = sample.data[4:, 0, 0, 0].bool().tolist()
    channel = 2 if flags[2] else flags.index(True)
    what = "no lesion" if sample.lesion is None else f"{sample.lesion.label.title}, {sample.lesion.volume_ml:.1f} ml"
    return SliceComparison(f"{sample.name}: {what}", sample.patch.image[channel, z], sample.patch.labels[z], labels[z])
