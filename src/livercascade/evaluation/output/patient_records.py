"""From the answers of one model to the patient part of ``tables.json``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from livercascade.evaluation.matching.model_counts import Answers
from livercascade.evaluation.metrics.patient_metrics import PREVALENCES, PatientFigures, predictive_values
from livercascade.evaluation.output.tables_json import (
    CalibrationRecord,
    PatientFiguresRecord,
    PredictiveValues,
    ReliabilityRow,
    Restated,
)
from livercascade.evaluation.statistics.delong import delong
from livercascade.evaluation.statistics.intervals import Interval, Resampling, as_interval, percentile_interval, wilson
from livercascade.evaluation.statistics.reliability import calibration


def patient_record(answers: Answers, resampling: Resampling) -> PatientFiguresRecord:
    """Patient figures of one model, see `PatientFigures`."""
    whole = PatientFigures(answers.patients.sum(axis=0))
    drawn = PatientFigures(resampling.sums(answers.patients))
    tp, tn = int(whole.true_positive), int(whole.true_negative)
    malignant, other = int(whole.malignant), int(whole.other)
    area, area_interval = _auroc(answers)
    balanced, macro = _value(whole.balanced_accuracy), _value(whole.macro_f1)
    cases = len(answers.decided)
    return PatientFiguresRecord(
        accuracy=_value(whole.accuracy),
        sensitivity=_value(whole.sensitivity),
        specificity=_value(whole.specificity),
        n_malignant=malignant,
        n_other=other,
        true_positive=tp,
        true_negative=tn,
        balanced_accuracy=balanced,
        macro_f1=macro,
        auroc=area,
        coverage=int(whole.decided) / cases,
        uncertain=cases - int(whole.decided),
        uncertain_malignant=int(whole.uncertain_malignant),
        uncertain_as_positive=_restated(whole, tp + int(whole.uncertain_malignant)),
        uncertain_as_error=_restated(whole, tp),
        predictive_values=tuple(_predictive(whole, drawn, prevalence) for prevalence in PREVALENCES),
        calibration=_calibration(answers),
        confusion=_table(whole.table),
        distribution=_table(whole.distribution),
        intervals={
            "accuracy": wilson(int(whole.right), int(whole.decided)),
            "sensitivity": wilson(tp, malignant),
            "specificity": wilson(tn, other),
            "balanced_accuracy": _interval(balanced, lambda: drawn.balanced_accuracy),
            "macro_f1": _interval(macro, lambda: drawn.macro_f1),
            "auroc": area_interval,
            "coverage": wilson(int(whole.decided), cases),
        },
    )


def _auroc(answers: Answers) -> tuple[float | None, Interval | None]:
    kept = answers.decided
    areas = delong(answers.malignancy[None, kept], answers.truly_malignant[kept])
    return (None, None) if areas is None else (float(areas.areas[0]), areas.interval())


def _restated(whole: PatientFigures, right: int) -> Restated:
    malignant = int(whole.malignant) + int(whole.uncertain_malignant)
    other, negative = int(whole.other) + int(whole.uncertain_other), int(whole.true_negative)
    return Restated(
        sensitivity=right / malignant if malignant else None,
        sensitivity_interval=wilson(right, malignant),
        specificity=negative / other if other else None,
        specificity_interval=wilson(negative, other),
    )


def _predictive(whole: PatientFigures, drawn: PatientFigures, prevalence: float) -> PredictiveValues:
    ppv, npv = (_value(v) for v in whole.predictive_values(prevalence))
    drawn_ppv, drawn_npv = drawn.predictive_values(prevalence)
    ends_ppv, ends_npv = _interval(ppv, lambda: drawn_ppv), _interval(npv, lambda: drawn_npv)
    sensitivity = wilson(int(whole.true_positive), int(whole.malignant))
    specificity = wilson(int(whole.true_negative), int(whole.other))
    if sensitivity and specificity and (_extreme(whole.sensitivity) or _extreme(whole.specificity)):
        # Resampling never leaves a proportion of 0 or 1: both ends of Wilson's intervals together are cautious.
        low = predictive_values(sensitivity[0], specificity[0], prevalence)
        high = predictive_values(sensitivity[1], specificity[1], prevalence)
        ends_ppv = None if ppv is None else (float(low[0]), float(high[0]))
        ends_npv = None if npv is None else (float(low[1]), float(high[1]))
    return PredictiveValues(prevalence=prevalence, ppv=ppv, ppv_interval=ends_ppv, npv=npv, npv_interval=ends_npv)


def _extreme(proportion: object) -> bool:
    return float(np.asarray(proportion)) in (0.0, 1.0)


def _calibration(answers: Answers) -> CalibrationRecord | None:
    kept = answers.decided
    return calibration_record(answers.malignancy[kept], answers.truly_malignant[kept])


def calibration_record(
    score: Float[np.ndarray, " patients"], malignant: Bool[np.ndarray, " patients"]
) -> CalibrationRecord | None:
    """Agreement of a score with the share of malignant patients; None without patients."""
    made = calibration(score, malignant)
    if made is None:
        return None
    rows = tuple(
        ReliabilityRow(
            patients=b.patients,
            mean_score=b.score,
            malignant=b.malignant,
            share=b.malignant / b.patients,
            interval=b.interval,
        )
        for b in made.bins
    )
    return CalibrationRecord(ece=made.ece, brier=made.brier, bins=rows)


def _interval(point: float | None, drawn: Callable[[], object]) -> Interval | None:
    return None if point is None else as_interval(percentile_interval(np.asarray(drawn())))


def _value(figure: object) -> float | None:
    number = float(np.asarray(figure))
    return None if np.isnan(number) else number


def _table(counts: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in row) for row in counts)
