"""What an alignment did, in numbers: ``align.json``."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from livercascade.alignment.field import DisplacementField
from livercascade.alignment.likeness import mutual_information
from livercascade.alignment.pair import PairAlignment
from livercascade.alignment.settings import AlignSettings
from livercascade.data.scan import PhaseVolume


class PhaseRecord(BaseModel):
    """One of the two phases: name for people, hash of its files, and grid as (z, y, x)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    phase: str
    sha256: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]


class AlignRecord(BaseModel):
    """Contents of ``align.json``.

    Attributes:
        version: Of the package.
        fixed, moving: The two phases.
        settings: As `AlignSettings`.
        lay_together: True if the phases were aligned before and were left as they lay.
        offset_mm: Shift along z that put headers without a common frame right, 0 if they have one.
        displacement_mm: Mean, 95th percentile and maximum of the field's length where the moving phase has data.
        jacobian: Least and greatest share of its volume that a voxel keeps.
        folded: Share of voxels that fold.
        valid: Share of the fixed grid where the moving phase has data.
        mutual_information: In nats, before (by header geometry alone) and after.
        seconds: Wall time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    fixed: PhaseRecord
    moving: PhaseRecord
    settings: dict[str, Any]
    lay_together: bool
    offset_mm: float
    displacement_mm: dict[str, float]
    jacobian: dict[str, float]
    folded: float
    valid: float
    mutual_information: dict[str, float]
    seconds: float


def record_of(
    fixed: PhaseVolume, moving: PhaseVolume, found: PairAlignment, settings: AlignSettings, version: str
) -> AlignRecord:
    """Record of one pair; resamples the moving phase once by its header for the likeness before."""
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
        lay_together=found.lay_together,
        offset_mm=found.offset_mm,
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


def _phase(volume: PhaseVolume) -> PhaseRecord:
    return PhaseRecord(
        description=volume.description,
        phase=volume.phase.value,
        sha256=volume.sha256,
        shape=volume.grid.shape,
        spacing_mm=volume.grid.spacing,
    )
