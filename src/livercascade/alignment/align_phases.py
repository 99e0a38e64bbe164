"""All phases of a study on the grid of one of them, each through registration quality control."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Bool, Int16

from livercascade.alignment.align_settings import OnPoorAlignment, RegistrationLimits
from livercascade.alignment.aligner import Aligner, PairAlignment
from livercascade.alignment.displacement_field import DisplacementField
from livercascade.alignment.registration_quality import RegistrationQuality, assess_registration, poor_registration
from livercascade.data.labels import Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import PhaseVolume, Scan
from livercascade.io.reference_grid import Placed, on_grid, reference_of, too_little_covered, without_offset
from livercascade.system.progress import Progress


class PhaseUse(Enum):
    """How a phase entered the analysis."""

    ALIGNED = "aligned"
    UNALIGNED = "unaligned"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, eq=False)
class PhaseAlignment:
    """One phase after quality control, with what pictures of it need.

    Attributes:
        phase: Phase that was aligned.
        use: Role of the phase in the analysis.
        quality: Measures of its alignment.
        offset_mm: Shift along z by which its headers were corrected first.
        seconds: Wall time of the alignment.
        before: HU on the reference grid by header geometry alone.
        after: HU on the reference grid by the alignment, whether it was used or not.
        field: Displacement on a grid of about 4 mm; None if the aligner gave none.
        sideways_mm: Shift along x and y by which its headers were corrected first.
    """

    phase: Phase
    use: PhaseUse
    quality: RegistrationQuality
    offset_mm: float
    seconds: float
    before: Int16[np.ndarray, "z y x"]
    after: Int16[np.ndarray, "z y x"]
    field: DisplacementField | None
    sideways_mm: tuple[float, float] = (0.0, 0.0)

    @property
    def shift_mm(self) -> tuple[float, float, float]:
        """Shift (x, y, z) in LPS mm that corrected the headers."""
        return (*self.sideways_mm, self.offset_mm)


@dataclass(frozen=True, slots=True, eq=False)
class StudyAlignment:
    """A study on one grid.

    Attributes:
        scan: Phases that are used, on the reference grid; the reference's HU are those that were given, not a copy.
        notices: ``REGISTRATION_POOR``, ``PHASE_NO_OVERLAP``, or ``NOT_ALIGNED`` where phases were not aligned.
        phases: Alignment of each phase but the reference; empty if there is only one, or none was aligned.
    """

    scan: Scan
    notices: tuple[Notice, ...] = ()
    phases: tuple[PhaseAlignment, ...] = ()


def align_phases(
    volumes: Sequence[PhaseVolume],
    *,
    reference: Phase | None = None,
    aligner: Aligner | None = None,
    limits: RegistrationLimits | None = None,
    progress: Progress | None = None,
) -> StudyAlignment:
    """Every phase on the grid of the reference, which keeps its voxels.

    Phases that lie on the same grid are aligned too: breathing moves organs on any grid.

    Args:
        volumes: Phases of one study, each at most once and on its own grid; a single one is left as it is.
        reference: Phase that gives the grid; VP if absent, or the first present of AP, DP, NC.
        aligner: Registration method; `DeedsAligner` with its default settings if absent.
        limits: Limits of quality control; the defaults if absent.
        progress: Called with (step in words, done, total).

    Raises:
        InputError: ``MISSING_PHASE`` if the reference, or every phase, is absent; ``REGISTRATION_POOR`` if a phase
            misses a limit and the limits say that the case is refused.
    """
    if aligner is None:
        # numba is imported with the registration only, so that whoever reads records of it does without.
        from livercascade.alignment.align_pair import DeedsAligner

        aligner = DeedsAligner()
    limits = limits or RegistrationLimits()
    fixed = reference_of(volumes, reference)
    hu, valid = {fixed.phase: fixed.hu}, dict[Phase, Bool[np.ndarray, "z y x"]]()
    notices: list[Notice] = []
    phases: list[PhaseAlignment] = []
    for volume in volumes:
        if volume is fixed:
            continue
        aligned, placed, noticed = _aligned_phase(fixed, volume, aligner, limits, progress)
        phases.append(aligned)
        notices += noticed
        if placed is not None:
            hu[volume.phase] = placed[0]
            if not placed[1].all():
                valid[volume.phase] = placed[1]
    return StudyAlignment(Scan(fixed.grid, hu, fixed.phase, valid), tuple(notices), tuple(phases))


def _aligned_phase(
    fixed: PhaseVolume, moving: PhaseVolume, aligner: Aligner, limits: RegistrationLimits, progress: Progress | None
) -> tuple[PhaseAlignment, Placed | None, tuple[Notice, ...]]:
    """One phase through alignment and quality control: its record, where it lies if it is used, and the notices.

    Raises:
        InputError: ``REGISTRATION_POOR``.
    """
    unaligned = on_grid(moving, fixed.grid)
    start = time.monotonic()
    pair = aligner.align(fixed, moving, progress=progress)
    seconds = time.monotonic() - start
    quality = assess_registration(fixed, unaligned, pair, limits=limits)
    if not quality.good and limits.on_poor is OnPoorAlignment.REJECT:
        raise poor_registration(moving.phase, quality)
    notices: list[Notice] = []
    placed: Placed | None = (pair.moved, pair.valid)
    use = PhaseUse.ALIGNED
    missing = too_little_in_common(fixed, moving, pair)
    if missing is not None:
        placed, use = None, PhaseUse.DROPPED
        notices.append(missing)
    elif not quality.good:
        keep = limits.on_poor is OnPoorAlignment.UNALIGNED
        # As the headers place it, a phase may lie elsewhere altogether.
        keep = keep and too_little_covered(moving.phase, fixed, unaligned[1]) is None
        placed, use = (unaligned, PhaseUse.UNALIGNED) if keep else (None, PhaseUse.DROPPED)
        notices.append(_poor(moving.phase, quality, use))
    field = None if pair.field is None else pair.field.coarse()
    aligned = PhaseAlignment(
        moving.phase, use, quality, pair.offset_mm, seconds, unaligned[0], pair.moved, field, pair.sideways_mm
    )
    return aligned, placed, tuple(notices)


def too_little_in_common(fixed: PhaseVolume, moving: PhaseVolume, pair: PairAlignment) -> Notice | None:
    """Notice ``PHASE_NO_OVERLAP`` for phases that no alignment can be trusted of, whatever it drew from afar."""
    covered = on_grid(without_offset(moving, pair.shift_mm), fixed.grid)[1]
    return too_little_covered(moving.phase, fixed, covered)


def _poor(phase: Phase, quality: RegistrationQuality, use: PhaseUse) -> Notice:
    done = "It was used as the headers place it" if use is PhaseUse.UNALIGNED else "It was left out"
    text = f"{phase.title}: could not be aligned well ({'; '.join(quality.reasons)}). {done}."
    return Notice("REGISTRATION_POOR", text)
