"""One phase onto another: the field, the moved phase, and where it had data."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int16

from livercascade.alignment.blocks import Vectors
from livercascade.alignment.deeds import search
from livercascade.alignment.field import DisplacementField
from livercascade.alignment.offset import offset_mm
from livercascade.alignment.settings import AlignSettings
from livercascade.alignment.still import gain, nearly_still
from livercascade.alignment.workers import Workers
from livercascade.alignment.working import working_pair
from livercascade.data.grid import Grid
from livercascade.data.scan import PhaseVolume
from livercascade.io.regrid import on_grid

Progress = Callable[[str, int, int], None]
"""Called with (step in words, done, in all)."""


@dataclass(frozen=True, slots=True, eq=False)
class PairAlignment:
    """One moving phase on the grid of the fixed one.

    Attributes:
        field: On the fixed grid, from fixed to moving points.
        moved: HU of the moving phase, -1024 where it has no data.
        valid: Where the moving phase had data.
        offset_mm: Shift along z that was put right first because the headers do not place the phases together; 0 if
            they do. It is part of the field.
        folded: Share of voxels at which the field folds: 0.
        seconds: Wall time.
        lay_together: True if the phases were aligned before: what the search found was no better than leaving them
            where they lie, and so they were left (see `AlignSettings`). The field then holds ``offset_mm`` alone.
    """

    field: DisplacementField
    moved: Int16[np.ndarray, "z y x"]
    valid: Bool[np.ndarray, "z y x"]
    offset_mm: float
    folded: float
    seconds: float
    lay_together: bool = False


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
    chosen = settings or AlignSettings()
    start = time.monotonic()
    threads = chosen.threads or os.cpu_count() or 1
    with Workers.of(threads) as workers:
        steps = _Steps(f"align {moving.phase.title}", len(chosen.levels) + 2, progress)
        offset = offset_mm(fixed, moving, workers)
        near = _moved_along_z(moving, -offset)
        steps.advance()
        pair = working_pair(fixed, near, chosen.spacing_mm, chosen.smooth_mm, workers)
        shifts, _ = search(pair.fixed, pair.moving, chosen.levels, chosen.stiffness, workers, advance=steps.advance)
        field = _in_mm(shifts, pair.grid, offset)
        del pair, shifts
    field = field.on(fixed.grid, threads=threads).unfolded(threads=threads)
    moved, valid = field.warp(moving, threads=threads)
    lay_together = False
    if nearly_still(field, offset, fixed.hu, chosen.still_mm):
        unmoved = on_grid(near, fixed.grid)
        lay_together = gain(fixed.hu, unmoved, (moved, valid)) < chosen.still_gain
        if lay_together:
            field, (moved, valid) = DisplacementField.along_z(fixed.grid, offset), unmoved
    steps.advance()
    return PairAlignment(field, moved, valid, offset, field.folded, time.monotonic() - start, lay_together)


class _Steps:
    """Counts steps for the progress."""

    def __init__(self, title: str, total: int, progress: Progress | None) -> None:
        self._title, self._total, self._progress = title, total, progress
        self._done = 0

    def advance(self) -> None:
        """One more step is done."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._title, self._done, self._total)


def _moved_along_z(volume: PhaseVolume, mm: float) -> PhaseVolume:
    if mm == 0:
        return volume
    x, y, z = volume.grid.origin
    return replace(volume, grid=replace(volume.grid, origin=(x, y, z + mm)))


def _in_mm(shifts: Vectors, grid: Grid, offset: float) -> DisplacementField:
    """Shifts in voxels (z, y, x) of an axial isotropic grid as vectors in LPS mm, with the shift of the headers."""
    vectors = np.ascontiguousarray(shifts[..., ::-1]) * np.float32(grid.spacing[0])
    vectors[..., 2] += np.float32(offset)
    return DisplacementField(grid, vectors)
