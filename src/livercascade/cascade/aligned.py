"""One phase aligned with the reference and judged by the quality gate."""

from __future__ import annotations

from livercascade.alignment.gate import coarse, judge, refuse
from livercascade.alignment.gated import GatedPhase, OnPoor, PhaseUse, Quality
from livercascade.alignment.pair import PairAlignment, align_pair
from livercascade.cascade.findings import Progress
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.labels import Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import PhaseVolume
from livercascade.io.regrid import Placed, on_grid, too_little_covered


def gated_phase(
    fixed: PhaseVolume, moving: PhaseVolume, settings: CascadeSettings, progress: Progress | None
) -> tuple[GatedPhase, Placed | None, tuple[Notice, ...]]:
    """One phase through alignment and gate: the record, where it is if it is used, and what is to be told.

    Raises:
        InputError: ``REGISTRATION_POOR`` if it fails the gate and the settings reject the case.
    """
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
