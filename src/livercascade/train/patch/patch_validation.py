"""Examination of UNet^patch in training: lesions kept and false findings removed on fixed held-out patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Integer

from livercascade.data.labels import FIRST_LESION, LAST_LESION, Phase
from livercascade.data.lesion import Lesion
from livercascade.reclassify.patches import PATCH_LIVER, Patch, Scheme, is_lesion
from livercascade.reclassify.shuffle import shuffle
from livercascade.segment.card import PhaseNormalisation
from livercascade.segment.phase_input import normalise, phase_input
from livercascade.train.cross_validation import by_hash
from livercascade.train.network_trainer import Learner
from livercascade.train.patch.patch_cases import PatchCase
from livercascade.train.phase_dropout import seen_phases
from livercascade.train.training_loop import Examination
from livercascade.train.training_plots import View
from livercascade.train.whole.detection_metrics import MIN_VOLUME_ML, SCORE

KEPT_SHARE = 0.25
"""A lesion under 2 ml is kept from this share of its volume on: half a millilitre would be asking too much of it."""
_VIEWS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One patch with a known answer.

    Attributes:
        name: Case name.
        data: Network input.
        patch: The patch in HU.
        lesion: The true lesion in it; None if there is none.
        voxel_ml: Volume of a voxel.
    """

    name: str
    data: torch.Tensor
    patch: Patch
    lesion: Lesion | None
    voxel_ml: float

    @property
    def asked_ml(self) -> float:
        """Overlap from which the lesion counts as kept (paper, Sec. IV-B2, and fair to small lesions)."""
        return MIN_VOLUME_ML if self.lesion is None else min(MIN_VOLUME_ML, KEPT_SHARE * self.lesion.volume_ml)


@dataclass(frozen=True, slots=True)
class PatchExaminer:
    """Examines a network on the same patches each time.

    `SCORE` is the mean of three shares: true lesions kept, true lesions with the right type (majority of the lesion's
    voxels), and patches without a lesion in which none of half a millilitre is seen.

    Attributes:
        questions: Half of them with a lesion, where there are any.
        batch_size: Patches that go through the network together.
    """

    questions: Sequence[Question]
    batch_size: int

    def __call__(self, learner: Learner) -> Examination:
        """Scores of all patches, and pictures of the first few."""
        answers: list[np.ndarray] = []
        for start in range(0, len(self.questions), self.batch_size):
            batch = torch.stack([q.data for q in self.questions[start : start + self.batch_size]])
            answers += [labels.numpy() for labels in learner.predict(batch)]
        pairs = list(zip(self.questions, answers, strict=True))
        kept = [_kept(q, a) for q, a in pairs if q.lesion is not None]
        typed = [_typed(q, a) for q, a in pairs if q.lesion is not None]
        clean = [not _kept(q, a) for q, a in pairs if q.lesion is None]
        shares = [float(np.mean(values)) for values in (kept, typed, clean) if values]
        scores = {SCORE: float(np.mean(shares)) if shares else 0.0}
        if kept:
            scores |= {"recall": float(np.mean(kept)), "type_accuracy": float(np.mean(typed))}
        if clean:
            scores |= {"false_share": 1 - float(np.mean(clean))}
        return Examination(scores | _dice(pairs), tuple(_view(q, a) for q, a in pairs[:_VIEWS]))


def build_questions(
    cases: Sequence[PatchCase],
    count: int,
    phases: Sequence[Phase],
    scheme: Sequence[PhaseNormalisation],
    rng: np.random.Generator,
) -> tuple[Question, ...]:
    """Up to ``count`` fixed patches: true lesions of half a millilitre or more, and as many without a lesion.

    The latter are false findings of UNet^whole where there are predictions, else liver without lesions, in livers full
    of them with the lesions replaced.
    """
    fill = [entry.lower for entry in scheme]
    ordered = sorted(cases, key=lambda case: by_hash(case.name))
    positive = [(case, lesion) for case in ordered for lesion in case.lesions if lesion.volume_ml >= MIN_VOLUME_ML]
    false = [(case, lesion) for case in ordered for lesion in case.false if lesion.volume_ml >= MIN_VOLUME_ML]
    half = (count + 1) // 2
    empty: list[tuple[PatchCase, Lesion | None]] = [*false, *([(case, None) for case in ordered] * half)]
    found: list[Question] = []
    for number in range(half):
        draws = [(*positive[number], True)] if number < len(positive) else []
        for case, lesion, true in (*draws, (*empty[number], False)):
            question = _question(case, lesion, true, phases, scheme, fill, rng)
            if question is not None:
                found.append(question)
    return tuple(found[:count])


def _question(
    case: PatchCase,
    lesion: Lesion | None,
    true: bool,
    phases: Sequence[Phase],
    scheme: Sequence[PhaseNormalisation],
    fill: Sequence[float],
    rng: np.random.Generator,
) -> Question | None:
    how = Scheme.ORIGINAL_NEGATIVE if lesion is None else Scheme.ORIGINAL_POSITIVE
    volume = case.volume(fill, predicted=lesion is not None and not true)
    patch = shuffle(lesion, volume, how, rng)
    if patch is None and lesion is None and case.lesions:
        # A liver full of lesions has no patch without one until they are replaced by liver.
        patch = shuffle(case.lesions[0], volume, Scheme.SHUFFLED_NEGATIVE, rng)
    if patch is None:
        return None
    image = normalise(torch.from_numpy(patch.image), scheme)
    data = phase_input(image, torch.from_numpy(seen_phases(case.present, phases)))
    voxel_ml = float(np.prod(case.spacing)) / 1000
    return Question(case.name, data, patch, lesion if true else None, voxel_ml)


def _kept(question: Question, labels: Integer[np.ndarray, "z y x"]) -> bool:
    """True if the network sees the lesion, or, where there is none, one of its own making."""
    seen = is_lesion(labels.astype(np.uint8))
    wanted = question.patch.lesion
    where = seen & (wanted if wanted.any() else question.patch.labels == PATCH_LIVER)
    return bool(np.count_nonzero(where) * question.voxel_ml >= question.asked_ml)


def _typed(question: Question, labels: Integer[np.ndarray, "z y x"]) -> bool:
    if question.lesion is None or not _kept(question, labels):
        return False
    votes = np.bincount(labels[question.patch.lesion].astype(np.int64), minlength=LAST_LESION + 1)
    return int(votes[FIRST_LESION : LAST_LESION + 1].argmax()) + FIRST_LESION == int(question.lesion.label)


def _dice(pairs: Sequence[tuple[Question, np.ndarray]]) -> dict[str, float]:
    common = found = true = 0
    for question, labels in pairs:
        a, b = is_lesion(labels.astype(np.uint8)), is_lesion(question.patch.labels)
        common, found, true = common + int((a & b).sum()), found + int(a.sum()), true + int(b.sum())
    return {"dice_lesion": 2 * common / (found + true)} if true else {}


def _view(question: Question, labels: Integer[np.ndarray, "z y x"]) -> View:
    wanted = question.patch.lesion
    z = int(wanted.sum(axis=(1, 2)).argmax()) if wanted.any() else wanted.shape[0] // 2
    flags = question.data[4:, 0, 0, 0].bool().tolist()
    channel = 2 if flags[2] else flags.index(True)
    what = (
        "no lesion" if question.lesion is None else f"{question.lesion.label.title}, {question.lesion.volume_ml:.1f} ml"
    )
    return View(f"{question.name}: {what}", question.patch.image[channel, z], question.patch.labels[z], labels[z])
