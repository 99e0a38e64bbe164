"""One study on one grid: up to four phases of HU, and where each of them had data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int16

from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, Phase

OUTSIDE_HU = -1024
"""HU stored where a phase has no data."""
MIN_CONFIDENCE = 0.8
"""Trust in a phase below which it is unknown, calibrated by ``benchmarks/phases.py``."""


@dataclass(frozen=True, slots=True)
class PhaseVolume:
    """One phase as it was read, on its own grid.

    Attributes:
        hu: Intensities in HU, ``[z, y, x]``; voxels outside the field of view are -1024.
        grid: Place of the voxels in the patient.
        source: Source from which the phase was identified: ``user``, ``tags``, ``order``, ``image`` or ``tags+image``.
        confidence: Trust in the phase, 0 to 1.
        sha256: Hash of the input files, in reading order.
        description: What to show people, for example the series number; never a patient's name.
    """

    phase: Phase
    hu: Int16[np.ndarray, "z y x"]
    grid: Grid
    source: str = "user"
    confidence: float = 1.0
    sha256: str = ""
    description: str = ""

    @property
    def known(self) -> bool:
        """False if the phase is no more than a guess: networks must not be told that it is this one."""
        return self.confidence >= MIN_CONFIDENCE


@dataclass(frozen=True, slots=True)
class Scan:
    """Phases of one patient on one reference grid.

    Attributes:
        grid: The grid of every array.
        hu: HU per phase, ``[z, y, x]``, -1024 outside.
        valid: Per phase, where it had data; a phase that is not listed is valid everywhere.
        reference: Phase that gave the grid.
    """

    grid: Grid
    hu: Mapping[Phase, Int16[np.ndarray, "z y x"]]
    reference: Phase
    valid: Mapping[Phase, Bool[np.ndarray, "z y x"]] = field(default_factory=dict[Phase, np.ndarray])

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Phases present, in channel order."""
        return tuple(p for p in PHASES if p in self.hu)
