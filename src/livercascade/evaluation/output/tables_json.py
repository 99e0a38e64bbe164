"""``tables.json``: every table of the paper and what a reviewer asks beyond it; typed, with a published JSON Schema."""

from __future__ import annotations

import json
from typing import Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field, JsonValue, NonNegativeFloat, NonNegativeInt, PositiveInt

from livercascade.data.record import Fraction, Record
from livercascade.evaluation.metrics.model_comparison import ModelComparison
from livercascade.evaluation.statistics.intervals import Interval
from livercascade.evaluation.statistics.reliability import Reliability

SCHEMA_VERSION = "1.0"
Table = tuple[tuple[NonNegativeInt, ...], ...]


class LesionRow(Record):
    """One type, or all lesions. Intervals are 95 % from a cluster bootstrap over patients."""

    TP: NonNegativeInt
    FL: NonNegativeInt = Field(description="Wrong type, by true type.")
    FL_pred: NonNegativeInt = Field(description="Wrong type, by found type.")
    FN: NonNegativeInt
    FP: NonNegativeInt
    precision: Fraction | None = Field(description="TP / (TP + FP + FL_pred); Malign as in the paper: TP / (TP + FP).")
    recall: Fraction | None = Field(description="TP / (TP + FN + FL).")
    recall_rough: Fraction | None = Field(description="(TP + FL) / (TP + FN + FL).")
    precision_rough: Fraction | None = Field(description="(TP + FL_pred) / (TP + FP + FL_pred).")
    f1: Fraction | None = Field(description="Harmonic mean of recall and precision (Malign: corrected).")
    type_accuracy: Fraction | None = Field(description="TP / (TP + FL).")
    fp_per_case: NonNegativeFloat | None = Field(description="FP over all decided cases, empty ones too.")
    intervals: dict[str, Interval | None] = Field(description="95 % interval by the name of the figure.")


class MalignRow(LesionRow):
    """All malignant lesions: another malignant type counts as right."""

    precision_corrected: Fraction | None = Field(
        description="TP / (TP + FP + FL_pred): benign called malignant counts."
    )


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


_Counted = TypeVar("_Counted")


class ByCounting(Record, Generic[_Counted]):
    """The same in the three counting modes."""

    paper: _Counted = Field(description="TP, FL and FP per found lesion, FN per true one.")
    gt: _Counted = Field(description="One count per true lesion; FP per found one.")
    one2one: _Counted = Field(description="One count per pair of a one-to-one matching.")


class VolumeRow(Record):
    """Lesions of one type and volume."""

    n: NonNegativeInt = Field(description="True lesions.")
    TP: NonNegativeInt
    FL: NonNegativeInt
    FN: NonNegativeInt
    FP: NonNegativeInt = Field(description="False positives of this found type and volume.")
    recall: Fraction | None
    recall_rough: Fraction | None
    intervals: dict[str, Interval | None]


class PredictiveValues(Record):
    """Predictive values where a share of the patients is malignant."""

    prevalence: Fraction
    ppv: Fraction | None
    ppv_interval: Interval | None
    npv: Fraction | None
    npv_interval: Interval | None


class Restated(Record):
    """Sensitivity and specificity over all patients."""

    sensitivity: Fraction | None
    sensitivity_interval: Interval | None
    specificity: Fraction | None
    specificity_interval: Interval | None


class PatientMetricsRecord(Record):
    """Patients; counts and proportions are of the decided ones unless said otherwise."""

    accuracy: Fraction | None = Field(description="Right class of seven.")
    sensitivity: Fraction | None = Field(description="Malignant patients called malignant.")
    specificity: Fraction | None = Field(description="Other patients not called malignant.")
    n_malignant: NonNegativeInt
    n_other: NonNegativeInt
    true_positive: NonNegativeInt
    true_negative: NonNegativeInt
    balanced_accuracy: Fraction | None
    macro_f1: Fraction | None
    auroc: Fraction | None = Field(
        description="Of the score max over malignant lesions of confidence x share of malignant votes."
    )
    coverage: Fraction = Field(description="Share of patients with a verdict.")
    uncertain: NonNegativeInt
    uncertain_malignant: NonNegativeInt
    uncertain_as_positive: Restated
    uncertain_as_error: Restated
    predictive_values: tuple[PredictiveValues, ...]
    calibration: Reliability | None
    confusion: Table = Field(description="True class (rows) by found class (columns), the last UNCERTAIN.")
    distribution: Table = Field(description="Malignant, benign, normal (rows) by these and UNCERTAIN (paper, Fig. 10).")
    intervals: dict[str, Interval | None] = Field(
        description="95 %: Wilson for proportions, DeLong for auroc, else bootstrap."
    )


class AbstentionErrors(Record):
    """Malignant or not by split conformal prediction: errors against what it allows, over all patients."""

    alpha: Fraction = Field(description="Error allowed in each class of patients, on average.")
    decided: NonNegativeInt
    patients: PositiveInt
    decided_interval: Interval | None
    n_malignant: NonNegativeInt
    missed: NonNegativeInt = Field(description="Malignant patients called not malignant.")
    missed_interval: Interval | None
    n_other: NonNegativeInt
    alarms: NonNegativeInt = Field(description="Other patients called malignant.")
    alarms_interval: Interval | None


class CalibratedRecord(Record):
    """Calibrated probability of malignancy against the truth, beside the score it was made from."""

    score: Reliability | None
    probability: Reliability | None
    abstention: AbstentionErrors


class ModelTables(Record):
    """Everything about one model."""

    title: str
    setting: str
    joint: bool = Field(description="True if it decides only where two models agree.")
    cases: NonNegativeInt = Field(description="Cases evaluated.")
    decided: NonNegativeInt = Field(description="Cases with a verdict; lesion figures are of these.")
    lesion: ByCounting[LesionTable]
    patient: PatientMetricsRecord
    table1: dict[str, dict[str, NonNegativeInt]] = Field(
        description="True lesions by type and volume in ml, [from, to)."
    )
    confusion: ByCounting[Table] = Field(
        description="True type (rows, then spurious) by found type (columns, then missed)."
    )
    splits: NonNegativeInt = Field(description="True lesions found in two or more parts.")
    merges: NonNegativeInt = Field(description="Found lesions that join two or more true ones.")
    by_volume: dict[str, dict[str, VolumeRow]] = Field(description="One count per true lesion, by type and volume.")
    calibrated: CalibratedRecord | None = Field(
        default=None, description="Of High+ReCls, where every case folder tells calibrated probabilities."
    )


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
    comparisons: tuple[ModelComparison, ...]
    curves: dict[str, JsonValue] = Field(
        default={}, description="Curves over sensitivity and score by found side, where its cases keep the evidence."
    )
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Text of ``tables.json``: indented, a newline at the end."""
        return self.model_dump_json(indent=2) + "\n"


def schema_text() -> str:
    """JSON Schema of `Tables` as indented text with a newline at the end."""
    return json.dumps(Tables.model_json_schema(mode="serialization"), indent=2, ensure_ascii=False) + "\n"
