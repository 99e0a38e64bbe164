"""What the quality gate is told and what it says of a phase."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Int16
from pydantic import BaseModel, ConfigDict, Field

from livercascade.alignment.field import DisplacementField
from livercascade.data.labels import Phase


class OnPoor(Enum):
    """What happens to a phase that fails the gate: kept as headers place it, left out, or the case is refused."""

    UNALIGNED = "unaligned"
    DROP = "drop"
    REJECT = "reject"


class PhaseUse(Enum):
    """How a phase entered the analysis."""

    ALIGNED = "aligned"
    UNALIGNED = "unaligned"
    DROPPED = "dropped"


class GateSettings(BaseModel):
    """Limits of the gate; a phase outside any of them is poor.

    Attributes:
        min_gain: Mutual information after over before. An alignment that loses similarity has made things worse; the
            slack is the little that interpolation may change in a pair that was aligned before.
        min_body_overlap: Dice of all tissue but gas, after. Well aligned phases differ by gas in the bowel alone;
            another patient or a field that slipped by a vertebra lies well below.
        min_liver_overlap: Dice of the liver, after, where masks of both phases are at hand. Groups that align livers
            by affine and B-spline transforms use 0.80 and reach 0.94 to 0.97.
        max_folded: Share of voxels where the field folds: tissue cannot.
        max_displacement_mm: 95th percentile of the displacement over the body, beyond a shift between the headers.
            Breath-holds differ by up to 40 mm at the dome and less elsewhere, and the search reaches 48 mm.
        on_poor: What happens to a poor phase.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_gain: float = Field(default=0.98, ge=0)
    min_body_overlap: float = Field(default=0.90, ge=0, le=1)
    min_liver_overlap: float = Field(default=0.80, ge=0, le=1)
    max_folded: float = Field(default=0.001, ge=0, le=1)
    max_displacement_mm: float = Field(default=45.0, gt=0)
    on_poor: OnPoor = OnPoor.UNALIGNED


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """One measure before and after alignment."""

    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Quality:
    """What the gate measured of one phase.

    Attributes:
        similarity: Mutual information with the reference in nats, over the reference's body where both have data.
        body_overlap: Dice of all tissue but gas, 0 to 1: body surface, lungs and bowel gas.
        liver_overlap: Dice of the liver, where masks were given.
        folded: Share of voxels where the field folds, 0 to 1.
        mean_mm, p95_mm, max_mm: Displacement over the body.
        reasons: In words, each limit that was missed; none means the alignment is good.
    """

    similarity: BeforeAfter
    body_overlap: BeforeAfter
    liver_overlap: BeforeAfter | None
    folded: float
    mean_mm: float
    p95_mm: float
    max_mm: float
    reasons: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """True if no limit was missed."""
        return not self.reasons


@dataclass(frozen=True, slots=True, eq=False)
class GatedPhase:
    """One phase after the gate, with what pictures of it need.

    Attributes:
        phase: Which.
        use: How it entered the analysis.
        quality: What was measured.
        offset_mm: Shift along z that put the headers right first.
        seconds: Wall time of the alignment.
        before: HU on the reference grid by header geometry alone.
        after: HU on the reference grid by the alignment, whether it was used or not.
        field: The displacement on a grid of about 4 mm.
    """

    phase: Phase
    use: PhaseUse
    quality: Quality
    offset_mm: float
    seconds: float
    before: Int16[np.ndarray, "z y x"]
    after: Int16[np.ndarray, "z y x"]
    field: DisplacementField
