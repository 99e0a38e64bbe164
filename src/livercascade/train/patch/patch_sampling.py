"""Random training patches of UNet^patch, made by lesion shuffling as they are needed (paper, Sec. III-B, Fig. 4).

A schedule says in which order lesions and schemes come: about 20 patches of each in every round (paper, Sec. IV-B1).
A sampler makes the patches, and a stream hands them to the training in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeGuard

import numpy as np
import torch
from jaxtyping import Float, Int

from livercascade.data.errors import InputError
from livercascade.data.lesion import Lesion
from livercascade.reclassification.patches import PATCH_LIVER, PATCH_OUTSIDE, Patch, PatchVolume, Scheme
from livercascade.reclassification.shuffle import shuffle
from livercascade.segment.model_card import PhaseNormalisation
from livercascade.segment.network_input import normalise, phase_input
from livercascade.train.network_trainer import TrainingBatch
from livercascade.train.patch.patch_cases import PatchCase
from livercascade.train.phase_dropout import drop_phases, seen_phases
from livercascade.train.training_settings import PatchSettings

_CASE_TRIES = 12
"""Cases tried for one scheme: some have no lesion, or no room for one."""
_SCHEME_TRIES = 8
"""Schemes tried before giving up."""


@dataclass(slots=True)
class SamplingSchedule:
    """All patches of a round, shuffled anew for every round; what comes at which number depends on the seed alone.

    Attributes:
        entries: Position of the case, position of the lesion in it (None for a patch of a case without lesions), and
            scheme; each as often as it comes in a round.
        seed: Seed of the shuffling.
    """

    entries: tuple[tuple[int, int | None, Scheme], ...]
    seed: int
    _round: int = field(default=-1, init=False)
    _order: Int[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64), init=False)

    def __len__(self) -> int:
        return len(self.entries)

    def at(self, number: int) -> tuple[int, int | None, Scheme]:
        """Entry at a number counted from 0 over all rounds."""
        turn, place = divmod(number, len(self.entries))
        # Numbers come in order but for restarts and workers, so one permutation at a time is enough.
        if turn != self._round:
            self._round, self._order = turn, np.random.default_rng((self.seed, turn)).permutation(len(self.entries))
        return self.entries[int(self._order[place])]


def build_schedule(cases: Sequence[PatchCase], settings: PatchSettings) -> SamplingSchedule | None:
    """Schedule of ``patches_per_lesion`` entries per lesion and scheme, times the scheme's weight; None without it.

    A case without lesions counts as one lesion of the scheme that needs none.
    """
    if settings.patches_per_lesion is None:
        return None
    entries: list[tuple[int, int | None, Scheme]] = []
    for scheme, weight in settings.scheme_weights.items():
        times = round(settings.patches_per_lesion * weight)
        for number, case in enumerate(cases):
            lesions: Sequence[int | None] = range(len(case.lesions))
            if not lesions and scheme is Scheme.ORIGINAL_NEGATIVE:
                lesions = [None]
            entries += [(number, lesion, scheme) for lesion in lesions for _ in range(times)]
    return SamplingSchedule(tuple(entries), settings.seed) if entries else None


def training_steps(settings: PatchSettings, schedule: SamplingSchedule | None) -> int:
    """Optimiser steps of the training: so many rounds, or as the settings say."""
    if settings.rounds is None or schedule is None:
        return settings.steps
    return max(1, round(settings.rounds * len(schedule) / settings.batch_size))


@dataclass(frozen=True, slots=True)
class PatchSampler:
    """Endless source of training patches.

    Attributes:
        cases: Cases to draw from; without a schedule each as likely as any other.
        settings: Settings of the training.
        normalisation: Normalisation of each phase; its lower bounds fill what lies outside the liver.
        augment: Random change of every patch, or None.
        dropout: True hides phases at random.
        schedule: Order of lesions and schemes; None draws both at random.
    """

    cases: Sequence[PatchCase]
    settings: PatchSettings
    normalisation: tuple[PhaseNormalisation, ...]
    augment: Callable[..., dict[str, torch.Tensor]] | None = None
    dropout: bool = True
    schedule: SamplingSchedule | None = None

    def batch(self, rng: np.random.Generator, number: int) -> TrainingBatch:
        """Network input and reference labels of one batch, whose number counts from 0 over the whole training."""
        first = number * self.settings.batch_size
        samples = [self.sample(rng, first + i) for i in range(self.settings.batch_size)]
        return TrainingBatch(torch.stack([s[0] for s in samples]), torch.stack([s[1] for s in samples]))

    def sample(
        self, rng: np.random.Generator, number: int = 0
    ) -> tuple[Float[torch.Tensor, "channel z y x"], torch.Tensor]:
        """Network input ``[8, z, y, x]`` and patch classes ``[1, z, y, x]`` of one patch."""
        case, patch = self.patch(rng, number)
        image = normalise(torch.from_numpy(patch.image), self.normalisation)
        target = torch.from_numpy(case.targets(patch))[None]
        if self.augment is not None:
            changed = self.augment(image=image, segmentation=target)
            image, target = self._emptied(changed["image"], changed["segmentation"]), changed["segmentation"]
        seen = seen_phases(case.present, self.settings.phases)
        present = drop_phases(seen, self.settings.phase_dropout, rng) if self.dropout else seen
        return phase_input(image, torch.from_numpy(present)), target

    def patch(self, rng: np.random.Generator, number: int = 0) -> tuple[PatchCase, Patch]:
        """One patch in HU, and the case it comes from; with a schedule its ``number`` says which.

        Where a lesion has no room for its scheme, another case stands in, then another scheme.

        Raises:
            InputError: The cases hold neither lesions nor free liver (``NO_PATCH``).
        """
        if self.schedule is not None:
            planned = self._scheduled(*self.schedule.at(number), rng)
            if planned is not None:
                return planned
        for _ in range(_SCHEME_TRIES):
            found = self._by_scheme(_pick_scheme(self.settings, rng), rng)
            if found is not None:
                return found
        raise InputError("NO_PATCH", "The training cases give no patch.", "Add cases with lesions and free liver.")

    def _scheduled(
        self, number: int, lesion: int | None, scheme: Scheme, rng: np.random.Generator
    ) -> tuple[PatchCase, Patch] | None:
        case = self.cases[number]
        patch = self._patch_of(case, scheme, rng, None if lesion is None else case.lesions[lesion])
        return (case, patch) if _shows_liver(patch) else self._by_scheme(scheme, rng)

    def _by_scheme(self, scheme: Scheme, rng: np.random.Generator) -> tuple[PatchCase, Patch] | None:
        for _ in range(_CASE_TRIES):
            case = self.cases[int(rng.integers(len(self.cases)))]
            patch = self._patch_of(case, scheme, rng)
            if _shows_liver(patch):
                return case, patch
        return None

    def _patch_of(
        self, case: PatchCase, scheme: Scheme, rng: np.random.Generator, lesion: Lesion | None = None
    ) -> Patch | None:
        """Patch of a hard lesion in ``hard_share`` of the draws, else of ``lesion``, or of any in the case."""
        hard = rng.random() < self.settings.hard_share
        if scheme in (Scheme.ORIGINAL_POSITIVE, Scheme.SHUFFLED_POSITIVE):
            lesion = _any(case.missed, rng) if hard and case.missed else lesion or _any(case.lesions, rng)
        elif hard and case.false:
            return self._patch_of_false_finding(case, scheme, rng)
        elif scheme is Scheme.ORIGINAL_NEGATIVE:
            lesion = None
        else:
            lesion = lesion or _any(case.lesions, rng)
        if lesion is None and scheme is not Scheme.ORIGINAL_NEGATIVE:
            return None
        volume = self._volume(case, predicted=rng.random() < self.settings.predicted_liver_share)
        return shuffle(lesion, volume, scheme, rng)

    def _patch_of_false_finding(self, case: PatchCase, scheme: Scheme, rng: np.random.Generator) -> Patch | None:
        """A false finding where it is, or moved elsewhere: liver to the network, both times.

        It lies in the predicted liver region, maybe not in the true one.
        """
        finding, volume = _any(case.false, rng), self._volume(case, predicted=True)
        if scheme.shuffled:
            return shuffle(finding, volume, Scheme.SHUFFLED_POSITIVE, rng, paste_label=PATCH_LIVER)
        return shuffle(finding, volume, Scheme.ORIGINAL_POSITIVE, rng)

    def _volume(self, case: PatchCase, *, predicted: bool) -> PatchVolume:
        return case.volume([phase.lower for phase in self.normalisation], predicted=predicted)

    def _emptied(self, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The image with outside the liver what is there at inference: the fill value, undisturbed."""
        fill = torch.tensor([(phase.lower - phase.mean) / phase.std for phase in self.normalisation])
        return torch.where(target == PATCH_OUTSIDE, fill[:, None, None, None].to(image.dtype), image)


@dataclass(slots=True)
class PatchStream(torch.utils.data.IterableDataset[TrainingBatch]):
    """Batches for torch's loader; each worker draws from a generator of its own.

    Attributes:
        sampler: Source of the batches.
        seed: Seeds of the generators: seed of the run, and the step it starts from.
        first: Number of the first batch; the workers take turns.
    """

    sampler: PatchSampler
    seed: tuple[int, ...] = field(default=(0,))
    first: int = 0

    def __iter__(self) -> Iterator[TrainingBatch]:
        info: Any = torch.utils.data.get_worker_info()
        worker, workers = (0, 1) if info is None else (int(info.id), int(info.num_workers))
        rng = np.random.default_rng((*self.seed, worker))
        np.random.seed(int(rng.integers(2**32)))  # noqa: NPY002
        torch.manual_seed(int(rng.integers(2**63)))
        # Workers share the cores with the training.
        torch.set_num_threads(1)
        for number in count(self.first + worker, workers):
            yield self.sampler.batch(rng, number)


def endless_batches(sampler: PatchSampler, rng: np.random.Generator, step: int) -> Iterator[TrainingBatch]:
    """Batches from ``step`` on, made between the steps, or ahead of them by ``workers`` processes."""
    settings = sampler.settings
    if settings.workers == 0:
        for number in count(step):
            yield sampler.batch(rng, number)
    stream = PatchStream(sampler, (settings.seed, step), step)
    loader: Any = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=settings.workers, prefetch_factor=4)
    yield from loader


def _pick_scheme(settings: PatchSettings, rng: np.random.Generator) -> Scheme:
    shares = settings.scheme_weights
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _shows_liver(patch: Patch | None) -> TypeGuard[Patch]:
    return patch is not None and bool((patch.labels != PATCH_OUTSIDE).any())


def _any(lesions: Sequence[Lesion], rng: np.random.Generator) -> Lesion | None:
    return lesions[int(rng.integers(len(lesions)))] if lesions else None
