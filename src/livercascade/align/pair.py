"""One phase onto another: the field, the moved phase, and where it had data."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int16

from livercascade.align.field import DisplacementField
from livercascade.align.settings import AlignSettings
from livercascade.data.scan import PhaseVolume

Progress = Callable[[str, int, int], None]
"""Called with (step in words, done, in all)."""


@dataclass(frozen=True, slots=True, eq=False)
class PairAlignment:
    """One moving phase on the grid of the fixed one.

    Attributes:
        field: On the fixed grid, from fixed to moving points.
        moved: HU of the moving phase, -1024 where it has no data.
        valid: Where the moving phase had data.
        folded: Share of voxels at which the field folds, 0 to 1.
        seconds: Wall time.
    """

    field: DisplacementField
    moved: Int16[np.ndarray, "z y x"]
    valid: Bool[np.ndarray, "z y x"]
    folded: float
    seconds: float


def align_pair(
    fixed: PhaseVolume,
    moving: PhaseVolume,
    *,
    settings: AlignSettings | None = None,
    progress: Progress | None = None,
) -> PairAlignment:
    """Displacement from the fixed phase to the moving one, and the moving phase carried onto the fixed grid.

    Args:
        fixed: Gives the grid; not changed.
        moving: Any grid, orientation and coverage.
        settings: Defaults if absent.
        progress: Told about each step.
    """
    settings = settings or AlignSettings()
    threads = settings.threads or os.cpu_count() or 1
    start = time.monotonic()
    field = DisplacementField.zero(fixed.grid)
    if progress is not None:
        progress(f"align {moving.phase.title}", 1, 1)
    moved, valid = field.warp(moving, threads=threads)
    return PairAlignment(field, moved, valid, field.folded, time.monotonic() - start)
