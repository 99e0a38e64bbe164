"""First stage of the cascade: all phases of a study on one grid."""

from __future__ import annotations

from livercascade.alignment.align_phases import StudyAlignment, align_phases
from livercascade.alignment.aligner import Aligner
from livercascade.cascade.phase_checks import check_phases
from livercascade.cascade.plausibility import check_trunk
from livercascade.cascade.settings import AlignStage
from livercascade.data.scan import Scan
from livercascade.io.reference_grid import reference_of, to_scan
from livercascade.io.study import Study
from livercascade.system.progress import Progress


def align_study(
    study: Study, settings: AlignStage, *, aligner: Aligner | None = None, progress: Progress | None = None
) -> StudyAlignment:
    """All phases on the grid of VP, or of the first present of AP, DP and NC; that phase keeps its voxels.

    Args:
        study: Study with at least one phase.
        settings: Settings of the alignment, and the limits of its quality control.
        aligner: Registration method; DEEDS as the settings say if absent.
        progress: Called with (step in words, done, total).

    Raises:
        InputError: ``MISSING_PHASE``; as `check_phases`; ``NO_LIVER`` or ``NOT_HU`` if it is no trunk;
            ``REGISTRATION_POOR`` if a phase fails quality control and the settings refuse the case.
    """
    reference = reference_of(study.volumes)
    if not all(volume.known for volume in study.volumes):
        # That a head's phase is not clear is not what is wrong with it.
        check_trunk(Scan(reference.grid, {reference.phase: reference.hu}, reference.phase))
    check_phases(study)
    if not settings.enabled or len(study.volumes) < 2:
        return StudyAlignment(*to_scan(study))
    # A head or limb is refused before its phases are aligned, which takes longer.
    check_trunk(Scan(reference.grid, {reference.phase: reference.hu}, reference.phase))
    if aligner is None:
        # numba is imported with the registration only: whoever does not align does without.
        from livercascade.alignment.align_pair import DeedsAligner

        aligner = DeedsAligner(settings.registration)
    return align_phases(study.volumes, aligner=aligner, limits=settings.quality, progress=progress)
