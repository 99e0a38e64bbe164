"""``tables.json``: every table of the paper and what a reviewer asks beyond it; typed, with a published JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, NonNegativeFloat, NonNegativeInt, PositiveInt

SCHEMA_VERSION = "1.0"
Share = Annotated[float, Field(ge=0, le=1)]
Ends = tuple[float, float]
Table = tuple[tuple[NonNegativeInt, ...], ...]


class Record(BaseModel):
    """Base of every part: unchangeable, closed to unknown fields and to NaN; what is undefined is null."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LesionRow(Record):
    """One type, or all lesions. Intervals are 95 % from a cluster bootstrap over patients."""

    TP: NonNegativeInt
    FL: NonNegativeInt = Field(description="Wrong type, by true type.")
    FL_pred: NonNegativeInt = Field(description="Wrong type, by found type.")
    FN: NonNegativeInt
    FP: NonNegativeInt
    precision: Share | None = Field(description="TP / (TP + FP + FL_pred); Malign as in the paper: TP / (TP + FP).")
    recall: Share | None = Field(description="TP / (TP + FN + FL).")
    recall_rough: Share | None = Field(description="(TP + FL) / (TP + FN + FL).")
    precision_rough: Share | None = Field(description="(TP + FL_pred) / (TP + FP + FL_pred).")
    f1: Share | None = Field(description="Harmonic mean of recall and precision (Malign: corrected).")
    type_accuracy: Share | None = Field(description="TP / (TP + FL).")
    fp_per_case: NonNegativeFloat | None = Field(description="FP over all decided cases, empty ones too.")
    intervals: dict[str, Ends | None] = Field(description="95 % interval by the name of the figure.")


class MalignRow(LesionRow):
    """All malignant lesions: another malignant type counts as right."""

    precision_corrected: Share | None = Field(description="TP / (TP + FP + FL_pred): benign called malignant counts.")


class LesionTable(Record):
    """Lesion figures by type in one counting mode."""

    HCC: LesionRow
    ICC: LesionRow
    Meta: LesionRow
    Hem: LesionRow
    Other: LesionRow
    Cyst: LesionRow
    All: LesionRow
    Malign: MalignRow


class LesionTables(Record):
    """Lesion figures in the three counting modes."""

    paper: LesionTable = Field(description="TP, FL and FP per found lesion, FN per true one.")
    gt: LesionTable = Field(description="One count per true lesion; FP per found one.")
    one2one: LesionTable = Field(description="One count per pair of a one-to-one matching.")


class Confusions(Record):
    """True type (rows, then spurious) by found type (columns, then missed), in the three counting modes."""

    paper: Table
    gt: Table
    one2one: Table


class BinFigures(Record):
    """Lesions of one type and volume."""

    n: NonNegativeInt = Field(description="True lesions.")
    TP: NonNegativeInt
    FL: NonNegativeInt
    FN: NonNegativeInt
    FP: NonNegativeInt = Field(description="False positives of this found type and volume.")
    recall: Share | None
    recall_rough: Share | None
    intervals: dict[str, Ends | None]


class PredictiveValues(Record):
    """Predictive values where a share of the patients is malignant."""

    prevalence: Share
    ppv: Share | None
    ppv_interval: Ends | None
    npv: Share | None
    npv_interval: Ends | None


class Restated(Record):
    """Sensitivity and specificity over all patients."""

    sensitivity: Share | None
    sensitivity_interval: Ends | None
    specificity: Share | None
    specificity_interval: Ends | None


class ReliabilityRow(Record):
    """Patients of like malignancy score."""

    patients: PositiveInt
    mean_score: Share
    malignant: NonNegativeInt
    share: Share
    interval: Ends


class CalibrationRecord(Record):
    """Agreement of the malignancy score with the share of malignant patients."""

    ece: Share
    brier: Share
    bins: tuple[ReliabilityRow, ...]


class PatientFiguresRecord(Record):
    """Patients; counts and proportions are of the decided ones unless said otherwise."""

    accuracy: Share | None = Field(description="Right class of seven.")
    sensitivity: Share | None = Field(description="Malignant patients called malignant.")
    specificity: Share | None = Field(description="Other patients not called malignant.")
    n_malignant: NonNegativeInt
    n_other: NonNegativeInt
    true_positive: NonNegativeInt
    true_negative: NonNegativeInt
    balanced_accuracy: Share | None
    macro_f1: Share | None
    auroc: Share | None = Field(
        description="Of the score max over malignant lesions of confidence x share of malignant votes."
    )
    coverage: Share = Field(description="Share of patients with a verdict.")
    uncertain: NonNegativeInt
    uncertain_malignant: NonNegativeInt
    uncertain_as_positive: Restated
    uncertain_as_error: Restated
    predictive_values: tuple[PredictiveValues, ...]
    calibration: CalibrationRecord | None
    confusion: Table = Field(description="True class (rows) by found class (columns), the last UNCERTAIN.")
    distribution: Table = Field(description="Malignant, benign, normal (rows) by these and UNCERTAIN (paper, Fig. 10).")
    intervals: dict[str, Ends | None] = Field(
        description="95 %: Wilson for proportions, DeLong for auroc, else bootstrap."
    )


class AbstentionFigures(Record):
    """Malignant or not by split conformal prediction: errors against what it allows, over all patients."""

    alpha: Share = Field(description="Error allowed in each class of patients, on average.")
    decided: NonNegativeInt
    patients: PositiveInt
    decided_interval: Ends | None
    n_malignant: NonNegativeInt
    missed: NonNegativeInt = Field(description="Malignant patients called not malignant.")
    missed_interval: Ends | None
    n_other: NonNegativeInt
    alarms: NonNegativeInt = Field(description="Other patients called malignant.")
    alarms_interval: Ends | None


class CalibratedRecord(Record):
    """Calibrated probability of malignancy against the truth, beside the score it was made from."""

    score: CalibrationRecord | None
    probability: CalibrationRecord | None
    abstention: AbstentionFigures


class ModelTables(Record):
    """Everything about one model."""

    title: str
    setting: str
    joint: bool = Field(description="True if it decides only where two models agree.")
    cases: NonNegativeInt = Field(description="Cases evaluated.")
    decided: NonNegativeInt = Field(description="Cases with a verdict; lesion figures are of these.")
    lesion: LesionTables
    patient: PatientFiguresRecord
    table1: dict[str, dict[str, NonNegativeInt]] = Field(
        description="True lesions by type and volume in ml, [from, to)."
    )
    confusion: Confusions
    splits: NonNegativeInt = Field(description="True lesions found in two or more parts.")
    merges: NonNegativeInt = Field(description="Found lesions that join two or more true ones.")
    by_volume: dict[str, dict[str, BinFigures]] = Field(description="One count per true lesion, by type and volume.")
    calibrated: CalibratedRecord | None = Field(
        default=None, description="Of High+ReCls, where every case folder tells calibrated probabilities."
    )


class ComparisonRow(Record):
    """Difference of one figure between two models on the same patients."""

    one: str
    two: str
    figure: str
    difference: float | None = Field(description="Two less one.")
    interval: Ends | None
    p: Share | None
    p_holm: Share | None = Field(description="Corrected by Holm over all comparisons.")
    test: str
    cases: NonNegativeInt


def _identity(schema: dict[str, Any]) -> None:
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$id"] = f"urn:livercascade:evaluation-tables:{SCHEMA_VERSION}"


class Tables(Record):
    """The whole evaluation."""

    model_config = ConfigDict(json_schema_extra=_identity)

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    software: str
    version: str
    virtual: bool = Field(description="True if the patients are virtual: no figure says anything about real ones.")
    cases: NonNegativeInt
    settings: dict[str, JsonValue]
    settings_sha256: str
    table1: dict[str, dict[str, NonNegativeInt]] = Field(
        description="True lesions by type and volume in ml, [from, to)."
    )
    models: dict[str, ModelTables]
    comparisons: tuple[ComparisonRow, ...]
    curves: dict[str, JsonValue] = Field(
        default={}, description="Curves over sensitivity and score by found side, where its cases keep the evidence."
    )
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Text of ``tables.json``: indented, a newline at the end."""
        return self.model_dump_json(indent=2) + "\n"
