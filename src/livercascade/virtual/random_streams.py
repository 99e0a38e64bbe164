"""One random stream per subject: what one part of a patient draws never shifts what another part draws."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

_FAMILY = 0x11FE


class StreamPurpose(IntEnum):
    """What a stream is for; the numbers are part of every patient and never change."""

    PLAN = 1
    HABITUS = 2
    ANATOMY = 3
    PHYSIOLOGY = 4
    LESIONS = 5
    MIMICS = 6
    CONFOUNDERS = 7
    SCANNER = 8
    TEXTURE = 9
    NOISE = 10
    BREATHING = 11
    ARTEFACTS = 12


@dataclass(frozen=True, slots=True)
class RandomStreams:
    """Random streams of the patient with this seed."""

    seed: int

    def of(self, subject: StreamPurpose, number: int = 0) -> np.random.Generator:
        """Stream of a subject; ``number`` tells apart, for example, one lesion from the next.

        >>> first, again = (RandomStreams(7).of(StreamPurpose.LESIONS, 2).random() for _ in range(2))
        >>> first == again and first != RandomStreams(7).of(StreamPurpose.LESIONS, 3).random()
        True
        """
        return np.random.default_rng(np.random.SeedSequence([self.seed, _FAMILY], spawn_key=(int(subject), number)))
