"""One phase onto another by DEEDS: the field, the moved phase, and where it has data."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int16

from livercascade.alignment.align_settings import AlignSettings
from livercascade.alignment.aligner import PairAlignment
from livercascade.alignment.compiled_loops import AlignmentThreads
from livercascade.alignment.control_points import Vectors
from livercascade.alignment.deeds import search_displacements
from livercascade.alignment.displacement_field import DisplacementField
from livercascade.alignment.header_offset import header_offset_mm
from livercascade.alignment.registration_grid import on_registration_grid
from livercascade.alignment.similarity import TISSUE_HU, mutual_information
from livercascade.data.grid import Grid
from livercascade.data.scan import PhaseVolume
from livercascade.io.reference_grid import Placed, on_grid, without_offset
from livercascade.system.progress import Progress, counter

Vector = tuple[float, float, float]
"""Vector (x, y, z) in LPS mm."""
_NO_MOTION_PERCENTILE = 95.0
_NO_MOTION_STRIDE = 2


@dataclass(frozen=True, slots=True, eq=False)
class DeedsAlignment(PairAlignment):
    """A `PairAlignment` by DEEDS.

    Attributes:
        field: Displacement on the fixed grid, from fixed to moving points; never absent, without folds.
        already_aligned: True if the phases were aligned before and left as they were (no-motion check, see
            `AlignSettings`). The field then holds the shift of the headers alone.
        seconds: Wall time.
    """

    field: DisplacementField
    already_aligned: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DeedsAligner:
    """The registration of this package as an `Aligner`.

    Attributes:
        settings: Settings of every pair.
    """

    settings: AlignSettings = field(default_factory=AlignSettings)

    @property
    def identity(self) -> str:
        """``deeds`` and the settings that change a result."""
        return f"deeds {self.settings.model_dump_json(exclude={'threads'})}"

    def align(self, fixed: PhaseVolume, moving: PhaseVolume, *, progress: Progress | None = None) -> DeedsAlignment:
        """The moving phase on the grid of the fixed one, see `align_pair`."""
        return align_pair(fixed, moving, settings=self.settings, progress=progress)


def align_pair(
    fixed: PhaseVolume,
    moving: PhaseVolume,
    *,
    settings: AlignSettings | None = None,
    progress: Progress | None = None,
) -> DeedsAlignment:
    """The moving phase on the grid of the fixed one, by deformable registration; the field is always there.

    Args:
        fixed: Reference phase, which gives the grid and is not changed.
        moving: Phase on any grid, of any orientation and coverage.
        settings: Settings of the registration; the defaults if absent.
        progress: Called with (step in words, done, total).

    Example:
        Two NumPy arrays of HU, ``[z, y, x]``::

            fixed = PhaseVolume(Phase.VP, venous_hu, Grid.axial(venous_hu.shape, (5.0, 0.8, 0.8)))
            moving = PhaseVolume(Phase.AP, arterial_hu, Grid.axial(arterial_hu.shape, (5.0, 0.8, 0.8)))
            aligned = align_pair(fixed, moving)
            aligned.moved, aligned.valid, aligned.field.length_mm.max()
    """
    settings = settings or AlignSettings()
    start = time.monotonic()
    threads = settings.threads or os.cpu_count() or 1
    with AlignmentThreads.of(threads) as workers:
        advance = counter(progress, f"align {moving.phase.title}", len(settings.levels) + 2)
        offset = header_offset_mm(fixed, moving, workers)
        near = without_offset(moving, offset)
        advance()
        grid, still, other = on_registration_grid(fixed, near, settings.spacing_mm, settings.smooth_mm, workers)
        shifts, _ = search_displacements(still, other, settings.levels, settings.stiffness, workers, advance=advance)
        found = _in_mm(shifts, grid, offset)
        # The two images and the voxel shifts would else be held while the field grows to the fixed grid.
        del still, other, shifts
    found = found.on(fixed.grid, threads=threads).unfolded(threads=threads)
    moved, valid = found.warp(moving, threads=threads)
    already = False
    if _hardly_moves(found, offset, fixed.hu, settings.no_motion_mm):
        unmoved = on_grid(near, fixed.grid)
        already = _similarity_gain(fixed.hu, unmoved, (moved, valid)) < settings.no_motion_gain
        if already:
            found, (moved, valid) = DisplacementField.uniform(fixed.grid, offset), unmoved
    advance()
    return DeedsAlignment(
        moved,
        valid,
        found,
        offset[2],
        found.folded,
        (offset[0], offset[1]),
        already_aligned=already,
        seconds=time.monotonic() - start,
    )


def _in_mm(shifts: Vectors, grid: Grid, offset: Vector) -> DisplacementField:
    """Shifts in voxels (z, y, x) of an axial isotropic grid as vectors in LPS mm, the header offset included."""
    vectors = np.ascontiguousarray(shifts[..., ::-1]) * np.float32(grid.spacing[0])
    vectors += np.asarray(offset, dtype=np.float32)
    return DisplacementField(grid, vectors)


def _hardly_moves(found: DisplacementField, offset: Vector, hu: Int16[np.ndarray, "z y x"], limit_mm: float) -> bool:
    """True if 95 % of the body moves by no more than the limit.

    Args:
        found: Field of the search, on the fixed grid.
        offset: Shift in mm that only corrects the headers; it is no motion.
        hu: Fixed phase.
        limit_mm: Limit in mm.
    """
    tissue = hu[:, ::_NO_MOTION_STRIDE, ::_NO_MOTION_STRIDE] > TISSUE_HU
    if not tissue.any():
        return True
    vectors = found.vectors_mm[:, ::_NO_MOTION_STRIDE, ::_NO_MOTION_STRIDE][tissue]
    lengths = np.linalg.norm(vectors - np.asarray(offset, dtype=np.float32), axis=-1)
    return float(np.percentile(lengths, _NO_MOTION_PERCENTILE)) <= limit_mm


def _similarity_gain(fixed: Int16[np.ndarray, "z y x"], before: Placed, after: Placed) -> float:
    """Ratio of the mutual information with the fixed phase after and before, where both have data."""
    both = before[1] & after[1]
    least = float(np.finfo(np.float64).tiny)
    return mutual_information(fixed, after[0], both) / max(mutual_information(fixed, before[0], both), least)
