"""What an alignment did, in numbers: ``align.json``."""

from __future__ import annotations

from typing import Any

import numpy as np

from livercascade.alignment.align_pair import DeedsAlignment
from livercascade.alignment.align_settings import AlignSettings
from livercascade.alignment.displacement_field import DisplacementField
from livercascade.alignment.registration_quality import RegistrationQuality
from livercascade.alignment.similarity import mutual_information
from livercascade.data.record import Record
from livercascade.data.scan import PhaseVolume


class AlignRecord(Record):
    """Contents of ``align.json``.

    Attributes:
        version: Version of this package.
        fixed, moving: The two phases.
        settings: Values of `AlignSettings`.
        lay_together: True if the phases were aligned before and were left as they were.
        offset_mm: Shift along z that corrected headers without a common frame, 0 if they have one.
        sideways_mm: The same shift along x and y.
        body_overlap: Dice of all tissue but gas, before and after.
        reasons: Limits of quality control that were missed; none if the alignment is good.
        displacement_mm: Mean, 95th percentile and maximum of the field's length where the moving phase has data.
        jacobian: Least and greatest share of its volume that a voxel keeps.
        folded: Share of voxels that fold.
        valid: Share of the fixed grid where the moving phase has data.
        mutual_information: Nats before (by header geometry alone) and after.
        seconds: Wall time.
    """

    class AlignedPhaseRecord(Record):
        """One of the two phases: name for people, hash of its files, and grid as (z, y, x)."""

        description: str
        phase: str
        sha256: str
        shape: tuple[int, int, int]
        spacing_mm: tuple[float, float, float]

    version: str
    fixed: AlignedPhaseRecord
    moving: AlignedPhaseRecord
    settings: dict[str, Any]
    lay_together: bool
    offset_mm: float
    sideways_mm: tuple[float, float]
    body_overlap: dict[str, float]
    reasons: tuple[str, ...]
    displacement_mm: dict[str, float]
    jacobian: dict[str, float]
    folded: float
    valid: float
    mutual_information: dict[str, float]
    seconds: float


def record_alignment(
    fixed: PhaseVolume,
    moving: PhaseVolume,
    found: DeedsAlignment,
    settings: AlignSettings,
    version: str,
    quality: RegistrationQuality,
) -> AlignRecord:
    """Record of one pair; the moving phase is resampled once by its header for the similarity before."""
    unmoved, covered = DisplacementField.zero(fixed.grid).warp(moving)
    lengths = found.field.length_mm[found.valid]
    if not lengths.size:
        lengths = np.zeros(1, dtype=np.float32)
    volumes = found.field.jacobian()
    return AlignRecord(
        version=version,
        fixed=_phase(fixed),
        moving=_phase(moving),
        settings=settings.model_dump(mode="json"),
        lay_together=found.already_aligned,
        offset_mm=found.offset_mm,
        sideways_mm=found.sideways_mm,
        body_overlap={"before": round(quality.body_overlap.before, 4), "after": round(quality.body_overlap.after, 4)},
        reasons=quality.reasons,
        displacement_mm={
            "mean": round(float(lengths.mean()), 3),
            "p95": round(float(np.quantile(lengths, 0.95)), 3),
            "max": round(float(lengths.max()), 3),
        },
        jacobian={"min": round(float(volumes.min()), 4), "max": round(float(volumes.max()), 4)},
        folded=found.folded,
        valid=round(float(found.valid.mean()), 5),
        mutual_information={
            "before": round(mutual_information(fixed.hu, unmoved, covered), 4),
            "after": round(mutual_information(fixed.hu, found.moved, found.valid), 4),
        },
        seconds=round(found.seconds, 2),
    )


def _phase(volume: PhaseVolume) -> AlignRecord.AlignedPhaseRecord:
    return AlignRecord.AlignedPhaseRecord(
        description=volume.description,
        phase=volume.phase.value,
        sha256=volume.sha256,
        shape=volume.grid.shape,
        spacing_mm=volume.grid.spacing,
    )
