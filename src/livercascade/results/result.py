"""The record of one case, ``result.json``: typed, closed to unknown fields, with a published JSON Schema."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from pydantic import (
    AwareDatetime,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from livercascade.alignment.align_phases import PhaseUse
from livercascade.alignment.registration_quality import BeforeAfter
from livercascade.data.labels import PatientClass, Phase
from livercascade.data.notice import Code, Notice
from livercascade.data.record import Fraction, Record, Sha256, TypeName
from livercascade.diagnose.conformal import Decision
from livercascade.diagnose.joint import JointClass, joint_class
from livercascade.reclassification.candidate import CandidateStatus, FoundAt
from livercascade.results.wording import verdict_meaning

SCHEMA_VERSION = "1.1"
_OLD_SCHEMA = "1.0"
_OLD_FOUND_AT = {"f=1 and f=4": "base and high", "only f=4": "high only"}

Position = tuple[float, float, float]


class Status(Enum):
    """How the case ended: ``rejected`` for unusable input, ``failed`` when the fault is ours or the system's."""

    OK = "ok"
    OK_WITH_WARNINGS = "ok_with_warnings"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        """True if lesions and outputs exist."""
        return self in (Status.OK, Status.OK_WITH_WARNINGS)


class Stage(Enum):
    """Step of the cascade in which an error arose."""

    READ = "read"
    PHASE = "phase"
    REGISTER = "register"
    SEGMENT = "segment"
    CLASSIFY = "classify"
    MEASURE = "measure"
    WRITE = "write"


class PhaseSource(Enum):
    """How a phase was identified."""

    USER = "user"
    TAGS = "tags"
    ORDER = "order"
    IMAGE = "image"
    TAGS_IMAGE = "tags+image"


class OutputKind(Enum):
    """What an output file holds."""

    MASK = "mask"
    INSTANCES = "instances"
    REPORT = "report"
    SEG = "seg"
    SR = "sr"
    PDF = "pdf"
    CAPTURE = "capture"
    CSV = "csv"
    PNG = "png"
    EVIDENCE = "evidence"


class ErrorRecord(Record):
    """Why a case has no result."""

    code: Code
    message: str = Field(min_length=1, description="One sentence with the value found.")
    remedy: str = Field(description="What the user can do about it.")
    stage: Stage


class InputRecord(Record):
    """One phase as it was read."""

    phase: Phase
    source: PhaseSource
    confidence: Fraction
    sha256: Sha256 = Field(description="Hash of the input files, in reading order.")
    shape: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(description="Voxels along z, y, x, as read.")
    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(description="Along z, y, x, as read.")
    description: str = Field(default="", description="What to show people; never a patient's name.")
    resampled: bool = Field(default=False, description="True if it was brought onto the grid of another phase.")


class AlignmentRecord(Record):
    """How one phase was aligned with the reference phase, and whether that was used."""

    phase: Phase
    use: PhaseUse = Field(description="dropped: the phase was left out; unaligned: used as the headers place it.")
    similarity: BeforeAfter = Field(description="Mutual information in nats with the reference over its body.")
    body_overlap: BeforeAfter = Field(description="Dice of all tissue but gas, 0 to 1.")
    folded: Fraction = Field(description="Fraction of voxels where the field folds.")
    mean_mm: NonNegativeFloat | None = Field(
        default=None, description="Displacement over the body; absent if the aligner gave no field."
    )
    p95_mm: NonNegativeFloat | None = None
    max_mm: NonNegativeFloat | None = None
    liver_mean_mm: NonNegativeFloat | None = Field(default=None, description="Displacement over the liver found.")
    liver_p95_mm: NonNegativeFloat | None = None
    offset_mm: float = Field(default=0.0, description="Shift along z that first put right headers that do not fit.")
    sideways_mm: tuple[float, float] = Field(default=(0.0, 0.0), description="The same shift along x and y.")
    seconds: NonNegativeFloat
    reasons: tuple[str, ...] = Field(default=(), description="Limits of the gate that were missed; none if it is good.")


class SensitivityFactors(Record):
    """Sensitivity factors f of both settings (paper, eq. 3): lesion probabilities are multiplied by f."""

    base: PositiveFloat = Field(description="f of Base; 1 in the paper.")
    high: PositiveFloat = Field(description="f of High; 4 in the paper.")


class AbstentionRecord(Record):
    """Malignant or not, decided only where split conformal prediction holds exactly one of both possible."""

    decision: Decision = Field(description="UNCERTAIN where both or neither are possible.")
    alpha: Fraction = Field(
        description="Of malignant patients like those it was set on, at most this share is expected to be called not "
        "malignant; and the same with the classes exchanged."
    )
    n_malignant: NonNegativeInt = Field(description="Malignant patients the threshold rests on.")
    n_other: NonNegativeInt = Field(description="Other patients the threshold rests on.")


class VerdictRecord(Record):
    """Patient class at both settings and jointly (paper, eq. 12 and Sec. IV-B.2)."""

    base: PatientClass = Field(description="Class from Base's lesions after reclassification.")
    high: PatientClass = Field(description="Class from High's lesions after reclassification.")
    joint: JointClass = Field(description="The class if both agree, else UNCERTAIN.")
    meaning: str = Field(min_length=1, description="The joint class in plain words.")
    probabilities: dict[PatientClass, Fraction] | None = Field(
        default=None, description="Calibrated probabilities; absent when the model is not calibrated."
    )
    malignancy: Fraction | None = Field(
        default=None,
        description="Calibrated probability of a malignant lesion; absent when the model is not calibrated.",
    )
    abstention: AbstentionRecord | None = Field(
        default=None, description="Decision with controlled error beside the joint class; absent likewise."
    )

    @classmethod
    def of(cls, base: PatientClass, high: PatientClass, factors: SensitivityFactors) -> VerdictRecord:
        """Verdict from the classes of Base and High, without probabilities."""
        joint = joint_class(base, high)
        return cls(base=base, high=high, joint=joint, meaning=verdict_meaning(base, high, (factors.base, factors.high)))

    @model_validator(mode="after")
    def _joint_follows(self) -> VerdictRecord:
        expected = joint_class(self.base, self.high)
        if self.joint is not expected:
            raise ValueError(
                f"joint class must be {expected.value} for base {self.base.value} and high {self.high.value}"
            )
        return self


class LiverRecord(Record):
    """The liver with its lesions and hepatic vessels."""

    volume_ml: NonNegativeFloat
    touches_border: bool = Field(description="True if the liver reaches the edge of the scan and may be cut.")
    hu_median: dict[Phase, float] = Field(description="Median of the parenchyma in HU, per phase.")


class HuRecord(Record):
    """Attenuation of one lesion in one phase, in HU."""

    mean: float
    sd: NonNegativeFloat
    median: float
    n: PositiveInt = Field(description="Voxels measured.")
    liver_median: float | None = Field(default=None, description="Median of the liver 5 to 10 mm from the lesion.")
    delta: float | None = Field(default=None, description="Lesion median less liver_median.")


class LesionRecord(Record):
    """One candidate: the detection, its measures and what became of it."""

    id: str = Field(pattern=r"^L[1-9][0-9]*$", description="The number is the lesion's value in lesions.nii.gz.")
    type: TypeName
    original_type: TypeName = Field(description="Type before reclassification.")
    votes: dict[TypeName, Fraction] = Field(description="Fraction of each type in the vote.")
    status: CandidateStatus
    found_at: FoundAt = Field(description="Settings that found it; their factors are in `factors`.")
    score: float | None = Field(default=None, description="Reclassification score; absent when not scored.")
    threshold: float | None = Field(default=None, description="Score needed to stay, in the same unit.")
    probability: Fraction | None = Field(
        default=None,
        description="Calibrated probability of a true lesion here; absent when the model is not calibrated.",
    )
    type_probabilities: dict[TypeName, Fraction] | None = Field(
        default=None, description="Calibrated probabilities of the types, given that it is a lesion; absent likewise."
    )
    enhancement: dict[TypeName, Fraction] | None = Field(
        default=None,
        description="Probability of each type by its enhancement, from which original_type follows; absent where types "
        "are those of UNet^whole.",
    )
    network_type: TypeName | None = Field(
        default=None, description="Type by UNet^whole; absent where original_type is that."
    )
    reason: str
    volume_ml: PositiveFloat
    core_ml: NonNegativeFloat | None = Field(
        default=None,
        description="Part of it that is a lesion at Base's sensitivity too; far below the volume, the outline is "
        "unsure. "
        "Absent in results of older versions.",
    )
    centroid_lps_mm: Position
    long_axis_mm: PositiveFloat = Field(description="Longest diameter in one axial slice.")
    short_axis_mm: PositiveFloat = Field(description="Width across the long axis in the same slice.")
    craniocaudal_mm: PositiveFloat = Field(description="Extent across the slices.")
    max3d_mm: PositiveFloat = Field(description="Longest diameter in space.")
    slice_index: NonNegativeInt = Field(description="Index along z, from 0, of the largest cross-section.")
    hu: dict[Phase, HuRecord]

    @property
    def present(self) -> bool:
        """True unless it was removed."""
        return self.status is not CandidateStatus.REMOVED


class TypeCount(Record):
    """Lesions of one type."""

    lesions: NonNegativeInt
    volume_ml: NonNegativeFloat


class SweepRow(Record):
    """What the first network finds at one sensitivity factor, before reclassification (paper, Fig. 11)."""

    factor: PositiveFloat
    lesions: NonNegativeInt
    volume_ml: NonNegativeFloat
    by_type: dict[TypeName, TypeCount]


class OutputRecord(Record):
    """One file of the case folder."""

    path: str = Field(min_length=1, description="Relative to the case folder.")
    sha256: Sha256
    kind: OutputKind


class ModelRecord(Record):
    """One network that was used."""

    name: str
    version: str
    sha256: Sha256


class Provenance(Record):
    """What is needed to make the same result again."""

    software: str = "livercascade"
    version: str
    models: tuple[ModelRecord, ...]
    calibration_sha256: Sha256 | None = Field(default=None, description="Hash of the calibration; absent without one.")
    settings: dict[str, JsonValue]
    settings_sha256: Sha256
    packages: dict[str, str]
    device: str
    seed: int
    started: AwareDatetime
    seconds: dict[str, NonNegativeFloat] = Field(description="Wall time of each stage.")
    peak_rss_mb: NonNegativeFloat | None = None


def _status_rule(schema: dict[str, Any]) -> None:
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$id"] = f"urn:livercascade:case-result:{SCHEMA_VERSION}"
    # Which fields a status needs is beyond what pydantic puts into a schema.
    ended_early = {"properties": {"status": {"enum": ["rejected", "failed"]}}}
    needs_error = {"required": ["error"], "properties": {"error": {"type": "object"}}}
    there = {"lesions": {"type": "array"}, "outputs": {"type": "array"}, "factors": {"type": "object"}}
    needs_lesions = {"required": list(there), "properties": {"error": {"type": "null"}, **there}}
    # The model has a default for it, but every file must name its version.
    schema["required"] = ["schema_version", *schema["required"]]
    schema["allOf"] = [{"if": ended_early, "then": needs_error, "else": needs_lesions}]


class CaseResult(Record):
    """Everything the cascade says about one case."""

    model_config = ConfigDict(json_schema_extra=_status_rule)

    schema_version: Literal["1.1"] = SCHEMA_VERSION
    case_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")
    status: Status
    virtual: bool = Field(default=False, description="True if the input is a virtual patient.")
    error: ErrorRecord | None = None
    warnings: tuple[Notice, ...] = ()
    inputs: tuple[InputRecord, ...]
    reference_phase: Phase | None = Field(default=None, description="Phase on whose grid everything was measured.")
    alignment: tuple[AlignmentRecord, ...] = Field(
        default=(), description="Every phase but the reference; empty if phases were not aligned."
    )
    factors: SensitivityFactors | None = Field(default=None, description="Sensitivities of Base and High.")
    verdict: VerdictRecord | None = Field(
        default=None, description="Absent in a finished result where a warning says that no verdict is given."
    )
    liver: LiverRecord | None = None
    lesions: tuple[LesionRecord, ...] | None = Field(default=None, description="All candidates, removed ones too.")
    sensitivity: tuple[SweepRow, ...] = ()
    not_analysed: tuple[str, ...] = ()
    outputs: tuple[OutputRecord, ...] | None = None
    provenance: Provenance

    @model_validator(mode="before")
    @classmethod
    def _from_1_0(cls, raw: Any) -> Any:
        """Results of schema 1.0 said f = 1 and f = 4 whatever the settings were."""
        if not isinstance(raw, dict) or raw.get("schema_version") != _OLD_SCHEMA:
            return raw
        old: dict[str, Any] = dict(raw)
        settings: dict[str, Any] = (old.get("provenance") or {}).get("settings") or {}
        if old.get("lesions") is not None:
            old["factors"] = {"base": settings.get("low_factor", 1.0), "high": settings.get("high_factor", 4.0)}
            old["lesions"] = [
                lesion | {"found_at": _OLD_FOUND_AT.get(lesion.get("found_at"), lesion.get("found_at"))}
                for lesion in old["lesions"]
            ]
        return old | {"schema_version": SCHEMA_VERSION}

    @model_validator(mode="after")
    def _fits_status(self) -> CaseResult:
        status = self.status.value
        if not self.status.finished:
            if self.error is None:
                raise ValueError(f"status {status} needs an error")
            return self
        if self.error is not None:
            raise ValueError(f"status {status} allows no error")
        if self.lesions is None or self.outputs is None or self.factors is None:
            raise ValueError(f"status {status} needs lesions, factors and outputs")
        if bool(self.warnings) is (self.status is Status.OK):
            raise ValueError(f"status {status} does not fit {len(self.warnings)} warnings")
        return self

    def to_json(self) -> str:
        """Text of ``result.json``: indented, absent fields left out, a newline at the end."""
        return self.model_dump_json(indent=2, exclude_none=True) + "\n"
