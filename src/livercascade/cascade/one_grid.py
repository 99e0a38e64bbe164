"""All phases of a study on one grid: aligned and through quality control, or by header geometry alone."""

from __future__ import annotations

from livercascade.alignment.align_phases import StudyAlignment, align_phases
from livercascade.cascade.findings import Progress, check_trunk
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.scan import Scan
from livercascade.io.reference_grid import reference_of, to_scan
from livercascade.io.study import Study


def to_one_grid(study: Study, settings: CascadeSettings, *, progress: Progress | None = None) -> StudyAlignment:
    """Scan of a study on the grid of VP, or of the first present of AP, DP and NC.

    The reference keeps its voxels. Phases on the same grid are aligned too: breathing moves organs on any grid.

    Args:
        study: Study of at least one phase.
        settings: Whether and how to align, and the limits of quality control.
        progress: Called with (step in words, done, total).

    Raises:
        InputError: ``MISSING_PHASE``; ``NO_LIVER`` if it is no trunk; ``REGISTRATION_POOR`` if a phase is poorly
            aligned and the settings reject the case.
    """
    if not settings.align or len(study.volumes) < 2:
        return StudyAlignment(*to_scan(study))
    from livercascade.alignment.align_pair import DeedsAligner

    fixed = reference_of(study.volumes)
    # A head or limb is refused before its phases are aligned, which takes longer.
    check_trunk(Scan(fixed.grid, {fixed.phase: fixed.hu}, fixed.phase))
    return align_phases(
        study.volumes, aligner=DeedsAligner(settings.alignment), limits=settings.gate, progress=progress
    )
