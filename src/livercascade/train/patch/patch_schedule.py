"""In which order lesions and schemes are trained: about 20 patches of each in every round (paper, Sec. IV-B1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from livercascade.reclassify.patches import Scheme
from livercascade.train.patch.patch_cases import PatchCase
from livercascade.train.training_settings import PatchSettings


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
    for scheme, weight in scheme_weights(settings).items():
        times = round(settings.patches_per_lesion * weight)
        for number, case in enumerate(cases):
            lesions: Sequence[int | None] = range(len(case.lesions))
            if not lesions and scheme is Scheme.ORIGINAL_NEGATIVE:
                lesions = [None]
            entries += [(number, lesion, scheme) for lesion in lesions for _ in range(times)]
    return SamplingSchedule(tuple(entries), settings.seed) if entries else None


def scheme_weights(settings: PatchSettings) -> dict[Scheme, float]:
    """Weight of each scheme in use."""
    return {
        scheme: float(getattr(settings.schemes, scheme.value))
        for scheme in Scheme
        if settings.shuffling or not scheme.shuffled
    }


def training_steps(settings: PatchSettings, schedule: SamplingSchedule | None) -> int:
    """Optimiser steps of the training: so many rounds, or as the settings say."""
    if settings.rounds is None or schedule is None:
        return settings.steps
    return max(1, round(settings.rounds * len(schedule) / settings.batch_size))
