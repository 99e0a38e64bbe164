"""Settings of the virtual cohort."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CaseMix(Enum):
    """Which patients a cohort is made of.

    ``DIAGNOSIS`` follows the paper's test set (79 % malignant); ``SCREENING`` is mostly healthy (3.5 % malignant,
    22.5 % benign); ``TRAINING`` balances the types and gives more, and smaller, lesions per patient.
    """

    DIAGNOSIS = "diagnosis"
    SCREENING = "screening-population"
    TRAINING = "training"

    @classmethod
    def _missing_(cls, value: object) -> CaseMix | None:
        """The name that the screening population had before."""
        return cls.SCREENING if value == "screening" else None


class PhaseMotion(Enum):
    """How NC, AP and DP lie against VP.

    ``NONE``: voxel on voxel. ``RESIDUAL``: shifted by a voxel or two, what a registration leaves over; models are
    trained on it. ``BREATHING``: as scanned, several cm apart under the diaphragm, with the true field stored.
    """

    NONE = "none"
    RESIDUAL = "residual"
    BREATHING = "breathing"


class ScanRange(Enum):
    """What a scan covers; the bodies are made from head to thighs.

    ``MIXED`` draws one of the others as often as it is met in hospitals and as models need to see it. The last four
    hold no liver.
    """

    MIXED = "mixed"
    ABDOMEN = "abdomen"
    CHEST_ABDOMEN = "chest-abdomen"
    ABDOMEN_PELVIS = "abdomen-pelvis"
    TRUNK = "trunk"
    WHOLE_BODY = "whole-body"
    HEAD_NECK = "head-neck"
    CHEST_APEX = "chest-apex"
    PELVIS = "pelvis"
    THIGHS = "thighs"


class VirtualSettings(BaseModel):
    """How virtual patients are made; written into every case beside its seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mix: CaseMix = CaseMix.DIAGNOSIS
    matrix: int = Field(default=512, ge=64, le=1024, description="Pixels along each side of a slice.")
    slice_mm: float = Field(default=5.0, gt=0.5, le=10.0, description="Slice thickness and distance, mm.")
    subslices: int = Field(default=4, ge=1, le=10, description="Finer slices averaged into one slice.")
    lesion_contrast: float = Field(
        default=1.0, ge=0.2, le=2.0, description="Factor on lesions' contrast; less is harder."
    )
    noise: float = Field(default=1.0, ge=0.2, le=3.0, description="Factor on the noise; more is harder.")
    mimics: float = Field(default=1.0, ge=0.0, le=5.0, description="Factor on the number of mimics; more is harder.")
    mottle: float = Field(default=1.0, ge=0.0, le=3.0, description="Factor on the liver's own mottle; more is harder.")
    randomise: bool = Field(default=False, description="Domain randomisation: HU, noise, kernel, shape, field of view.")
    motion: PhaseMotion = Field(default=PhaseMotion.RESIDUAL, description="How NC, AP and DP lie against VP.")
    anatomies: tuple[Path, ...] = Field(default=(), description="Label maps in TotalSegmentator numbering to warp.")
    anatomy_share: float = Field(default=0.5, ge=0.0, le=1.0, description="Share of patients made from `anatomies`.")
    scan_ranges: tuple[ScanRange, ...] = Field(
        default=(), description="What scans cover, one drawn per patient; () is the abdomen as the habitus draws it."
    )
    liver_shapes: tuple[Path, ...] = Field(default=(), description="Masks of real livers to put into bodies.")
    liver_shape_share: float = Field(default=0.5, ge=0.0, le=1.0, description="Share of livers with such a shape.")
    unusual_livers: float = Field(default=0.0, ge=0.0, le=1.0, description="Share of livers other than usual.")

    @model_validator(mode="after")
    def _bodies_at_rest(self) -> VirtualSettings:
        # The field of breathing is made for abdomens: a head would breathe with the liver.
        if self.whole_bodies and self.motion is PhaseMotion.BREATHING:
            raise ValueError("bodies with a scan range, real or unusual livers do not breathe: choose another motion")
        return self

    @property
    def whole_bodies(self) -> bool:
        """True if bodies are made from head to thighs, with a couch, a field of view and livers of every kind.

        Otherwise each seed gives the patient that it gave before there were such bodies.
        """
        return bool(self.scan_ranges or self.liver_shapes or self.unusual_livers > 0)
