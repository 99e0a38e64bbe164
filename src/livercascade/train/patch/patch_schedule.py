"""The order in which lesions and schemes are trained: about 20 patches of each in every round (paper, Sec. IV-B1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from livercascade.reclassify.patches import Scheme
from livercascade.train.patch.patch_cases import PatchCase
from livercascade.train.training_settings import PatchSettings


@dataclass(frozen=True, slots=True)
class Card:
    """One patch to make.

    Attributes:
        case: Position of the case.
        lesion: Position of the lesion among those of the case; None for a patch of a case without lesions.
        scheme: How.
    """

    case: int
    lesion: int | None
    scheme: Scheme


@dataclass(slots=True)
class Deck:
    """All patches of a round, shuffled anew for every round; what comes at which number depends on the seed alone.

    Attributes:
        cards: Each as often as it comes in a round.
        seed: Of the shuffling.
    """

    cards: tuple[Card, ...]
    seed: int
    _round: int = field(default=-1, init=False)
    _order: Int[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64), init=False)

    def __len__(self) -> int:
        return len(self.cards)

    def at(self, number: int) -> Card:
        """The card at a number counted from 0 over all rounds."""
        turn, place = divmod(number, len(self.cards))
        if turn != self._round:
            self._round, self._order = turn, np.random.default_rng((self.seed, turn)).permutation(len(self.cards))
        return self.cards[int(self._order[place])]


def build_deck(cases: Sequence[PatchCase], settings: PatchSettings) -> Deck | None:
    """Deck of ``patches_per_lesion`` cards for every lesion and scheme, times the scheme's weight; None without it.

    A case without lesions counts as one lesion of the scheme that needs none.
    """
    if settings.patches_per_lesion is None:
        return None
    cards: list[Card] = []
    for scheme, weight in scheme_weights(settings).items():
        times = round(settings.patches_per_lesion * weight)
        for number, case in enumerate(cases):
            lesions: Sequence[int | None] = range(len(case.lesions))
            if not lesions and scheme is Scheme.ORIGINAL_NEGATIVE:
                lesions = [None]
            cards += [Card(number, lesion, scheme) for lesion in lesions for _ in range(times)]
    return Deck(tuple(cards), settings.seed) if cards else None


def scheme_weights(settings: PatchSettings) -> dict[Scheme, float]:
    """Weight of each scheme in use."""
    return {
        scheme: float(getattr(settings.schemes, scheme.value))
        for scheme in Scheme
        if settings.shuffling or not scheme.shuffled
    }


def steps_of(settings: PatchSettings, deck: Deck | None) -> int:
    """Optimiser steps of the training: so many rounds, or as the settings say."""
    if settings.rounds is None or deck is None:
        return settings.steps
    return max(1, round(settings.rounds * len(deck) / settings.batch_size))
