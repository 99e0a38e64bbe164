"""All phases of a study onto the grid of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int16

from livercascade.alignment.pair import PairAlignment, Progress, align_pair
from livercascade.alignment.settings import AlignSettings
from livercascade.data.errors import InputError
from livercascade.data.labels import Phase
from livercascade.data.scan import PhaseVolume, Scan
from livercascade.io.regrid import REFERENCE_ORDER


@dataclass(frozen=True, slots=True, eq=False)
class StudyAlignment:
    """A study on one grid with what was done to each phase.

    Attributes:
        scan: Every phase on the reference grid; the reference's HU are those that were given, not a copy.
        pairs: Per moved phase; empty if there is only one.
    """

    scan: Scan
    pairs: Mapping[Phase, PairAlignment] = field(default_factory=dict[Phase, PairAlignment])


def align(
    volumes: Sequence[PhaseVolume],
    *,
    reference: Phase | None = None,
    settings: AlignSettings | None = None,
    progress: Progress | None = None,
) -> StudyAlignment:
    """Every phase on the grid of the reference.

    Args:
        volumes: Phases of one study, each at most once and on its own grid; a single one is left as it is.
        reference: VP if absent, or the first present of AP, DP, NC.
        settings: Defaults if absent.
        progress: Told about each step.

    Raises:
        InputError: ``MISSING_PHASE`` if the reference, or every phase, is absent.
    """
    found = {volume.phase: volume for volume in volumes}
    chosen = next((phase for phase in (reference, *REFERENCE_ORDER) if phase in found), None)
    if chosen is None or (reference is not None and chosen is not reference):
        message = f"the {reference.title if reference else 'reference'} phase is missing."
        raise InputError("MISSING_PHASE", message, "Give a study that holds it.", stage="register")
    fixed = found[chosen]
    hu: dict[Phase, Int16[np.ndarray, "z y x"]] = {}
    valid: dict[Phase, Bool[np.ndarray, "z y x"]] = {}
    pairs: dict[Phase, PairAlignment] = {}
    for phase, volume in found.items():
        if phase is chosen:
            hu[phase] = volume.hu
            continue
        pair = align_pair(fixed, volume, settings=settings, progress=progress)
        hu[phase], valid[phase], pairs[phase] = pair.moved, pair.valid, pair
    return StudyAlignment(Scan(fixed.grid, hu, chosen, valid), pairs)
