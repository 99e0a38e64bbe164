"""Settings of one evaluation."""

from __future__ import annotations

import hashlib
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from livercascade.detect.match import Overlap
from livercascade.detect.seg2det import LesionRule
from livercascade.diagnose.joint import AgreementLevel

_SLACK = 1e-9
"""Volumes are whole multiples of a voxel: one that equals the limit must not fall below it by rounding."""


class SmallLesions(StrEnum):
    """Treatment of lesions below the volume limit."""

    DROP = "drop"
    """They leave both sides before matching (paper): a lesion whose only partner is small is missed or false."""
    IGNORE = "ignore"
    """They are matched but never counted, and neither is a lesion all of whose partners are small."""


class Extras(StrEnum):
    """What a predicted lesion is in ``one2one`` that overlaps only reference lesions already taken by another."""

    FP = "fp"
    IGNORE = "ignore"


class EvaluationSettings(BaseModel):
    """Rules by which lesions are counted; the defaults are the paper's, but for ``instances``.

    Attributes:
        min_volume_ml: Volume limit of a lesion that counts.
        small: Treatment of lesions below it.
        instances: Definition of a lesion of a label map; the default is that of the cascade, so that a label map and
            the case folder it comes from have the same lesions.
        min_overlap: Pairs below this overlap do not count, 0 to 1; at 0 one common voxel suffices.
        overlap: Measure of ``min_overlap``.
        extras: Leftovers of the counting mode ``one2one``.
        level: Level at which both sides of the joint model must agree.
        bootstrap: Resamples of the patients for intervals.
        seed: Seed of the resampling.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_volume_ml: float = Field(default=0.5, ge=0)
    small: SmallLesions = SmallLesions.DROP
    instances: LesionRule = LesionRule.UNION
    min_overlap: float = Field(default=0.0, ge=0, le=1)
    overlap: Overlap = Overlap.IOU
    extras: Extras = Extras.FP
    level: AgreementLevel = AgreementLevel.CLASS
    bootstrap: int = Field(default=2000, ge=0)
    seed: int = Field(default=0, ge=0)

    @property
    def smallest_ml(self) -> float:
        """Volume in ml below which lesions need not be formed at all."""
        return 0.0 if self.small is SmallLesions.IGNORE else self.min_volume_ml

    def counts(self, volume_ml: float) -> bool:
        """True if a lesion of this volume reaches the limit."""
        return volume_ml >= self.min_volume_ml * (1 - _SLACK)

    def keeps(self, volume_ml: float) -> bool:
        """True if a lesion of this volume takes part in matching."""
        return volume_ml >= self.smallest_ml * (1 - _SLACK)

    @property
    def sha256(self) -> str:
        """Hash of all settings, printed with every table."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
