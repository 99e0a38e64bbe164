"""All phases of a study on one grid: aligned and through the quality gate, or by header geometry alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from livercascade.align.gate import GatedPhase, OnPoor, PhaseUse, Quality, coarse, judge, refuse
from livercascade.align.pair import PairAlignment, Progress, align_pair
from livercascade.cascade.findings import check_trunk
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.labels import Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import PhaseVolume, Scan
from livercascade.io.regrid import REFERENCE_ORDER, Placed, on_grid, to_scan, too_little_covered
from livercascade.io.source import Study


@dataclass(frozen=True, slots=True, eq=False)
class OneGrid:
    """A study on one grid.

    Attributes:
        scan: The phases that are analysed.
        notices: ``REGISTRATION_POOR``, ``PHASE_NO_OVERLAP``, or ``NOT_ALIGNED`` where phases were not aligned.
        phases: What alignment and gate did with each phase but the reference; empty if they did not run.
    """

    scan: Scan
    notices: tuple[Notice, ...] = ()
    phases: tuple[GatedPhase, ...] = ()


def to_one_grid(study: Study, settings: CascadeSettings, *, progress: Progress | None = None) -> OneGrid:
    """Scan of a study on the grid of VP, or of the first present of AP, DP and NC.

    The reference keeps its voxels. Phases on the same grid are aligned too: breathing moves organs on any grid.

    Args:
        study: At least one phase.
        settings: Whether and how to align, and the gate.
        progress: Told about each step.

    Raises:
        InputError: ``MISSING_PHASE``; ``NO_LIVER`` if it is no trunk; ``REGISTRATION_POOR`` if a phase fails the gate
            and the settings reject the case.
    """
    if not settings.align or len(study.volumes) < 2:
        return OneGrid(*to_scan(study))
    volumes = {volume.phase: volume for volume in study.volumes}
    reference = next(phase for phase in REFERENCE_ORDER if phase in volumes)
    fixed = volumes[reference]
    # A head or limb is refused before its phases are aligned, which takes longer.
    check_trunk(Scan(fixed.grid, {reference: fixed.hu}, reference))
    hu, valid = {reference: fixed.hu}, dict[Phase, Bool[np.ndarray, "z y x"]]()
    notices: list[Notice] = []
    phases: list[GatedPhase] = []
    for volume in study.volumes:
        if volume is fixed:
            continue
        gated, placed, noticed = _gated(fixed, volume, settings, progress)
        phases.append(gated)
        notices += noticed
        if placed is not None:
            hu[volume.phase] = placed[0]
            if not placed[1].all():
                valid[volume.phase] = placed[1]
    return OneGrid(Scan(fixed.grid, hu, reference, valid), tuple(notices), tuple(phases))


def _gated(
    fixed: PhaseVolume, moving: PhaseVolume, settings: CascadeSettings, progress: Progress | None
) -> tuple[GatedPhase, Placed | None, tuple[Notice, ...]]:
    """One phase through alignment and gate: the record, where it is if it is used, and what is to be told."""
    unaligned = on_grid(moving, fixed.grid)
    pair = align_pair(fixed, moving, settings=settings.alignment, progress=progress)
    quality = judge(fixed, unaligned, pair, settings=settings.gate)
    if not quality.good and settings.gate.on_poor is OnPoor.REJECT:
        raise refuse(moving.phase, quality)
    notices: list[Notice] = []
    placed: Placed | None = (pair.moved, pair.valid)
    use = PhaseUse.ALIGNED
    if not quality.good:
        keep = settings.gate.on_poor is OnPoor.UNALIGNED
        placed, use = (unaligned, PhaseUse.UNALIGNED) if keep else (None, PhaseUse.DROPPED)
        notices.append(_poor(moving.phase, quality, use))
    if placed is not None:
        missing = too_little_covered(moving.phase, fixed.phase, placed[1])
        if missing is not None:
            placed, use = None, PhaseUse.DROPPED
            notices.append(missing)
    return _record(moving.phase, use, quality, unaligned, pair), placed, tuple(notices)


def _record(phase: Phase, use: PhaseUse, quality: Quality, unaligned: Placed, pair: PairAlignment) -> GatedPhase:
    return GatedPhase(
        phase=phase,
        use=use,
        quality=quality,
        offset_mm=pair.offset_mm,
        seconds=pair.seconds,
        before=unaligned[0],
        after=pair.moved,
        field=coarse(pair.field),
    )


def _poor(phase: Phase, quality: Quality, use: PhaseUse) -> Notice:
    done = "It was used as the headers place it" if use is PhaseUse.UNALIGNED else "It was left out"
    text = f"{phase.title}: could not be aligned well ({'; '.join(quality.reasons)}). {done}."
    return Notice("REGISTRATION_POOR", text)
