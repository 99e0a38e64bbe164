"""All phases of a study on one grid: aligned and through the quality gate, or by header geometry alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from livercascade.alignment.gated import GatedPhase
from livercascade.cascade.findings import Progress, check_trunk
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.labels import Phase
from livercascade.data.notice import Notice
from livercascade.data.scan import Scan
from livercascade.io.regrid import REFERENCE_ORDER, to_scan
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
    from livercascade.cascade.aligned import gated_phase

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
        gated, placed, noticed = gated_phase(fixed, volume, settings, progress)
        phases.append(gated)
        notices += noticed
        if placed is not None:
            hu[volume.phase] = placed[0]
            if not placed[1].all():
                valid[volume.phase] = placed[1]
    return OneGrid(Scan(fixed.grid, hu, reference, valid), tuple(notices), tuple(phases))
