"""From the counts of a model to the patients of its record in ``tables.json``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool

from livercascade.diagnose.conformal import Decision
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase
from livercascade.evaluation.metrics.model_counts import ModelCounts
from livercascade.evaluation.metrics.patient_metrics import PREVALENCES, PatientMetrics, predictive_values
from livercascade.evaluation.output.tables_json import (
    AbstentionErrors,
    CalibratedRecord,
    PatientMetricsRecord,
    PredictiveValues,
    Restated,
)
from livercascade.evaluation.statistics.delong import delong
from livercascade.evaluation.statistics.intervals import (
    Interval,
    Resamples,
    as_interval,
    percentile_interval,
    resampled_sums,
    wilson,
)
from livercascade.evaluation.statistics.reliability import Reliability
from livercascade.results.result import AbstentionRecord


def patient_record(counts: ModelCounts, resamples: Resamples) -> PatientMetricsRecord:
    """Patient metrics of one model, see `PatientMetrics`."""
    whole = PatientMetrics(counts.patients.sum(axis=0))
    drawn = PatientMetrics(resampled_sums(resamples, counts.patients))
    tp, tn = int(whole.true_positive), int(whole.true_negative)
    malignant, other = int(whole.malignant), int(whole.other)
    area, area_interval = _auroc(counts)
    balanced, macro = _value(whole.balanced_accuracy), _value(whole.macro_f1)
    cases = len(counts.decided)
    return PatientMetricsRecord(
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
        calibration=_calibration(counts),
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


def calibrated_record(counts: ModelCounts, cases: Sequence[EvaluatedCase]) -> CalibratedRecord | None:
    """Probabilities and decisions of a model; None unless every patient has them.

    Args:
        counts: Counts of the model.
        cases: The same patients in the same order.
    """
    if counts.joint:
        return None
    verdicts = [case.predictions[counts.model].verdict for case in cases]
    known = [v for v in verdicts if v is not None and v.malignancy is not None and v.abstention is not None]
    # Errors are promised for all patients: those of some of them would say nothing about the promise.
    if len(known) != len(verdicts):
        return None
    malignant = counts.truly_malignant
    return CalibratedRecord(
        score=Reliability.of(counts.malignancy, malignant),
        probability=Reliability.of(np.array([v.malignancy for v in known]), malignant),
        abstention=_abstention([v.abstention for v in known if v.abstention is not None], malignant),
    )


def _abstention(records: Sequence[AbstentionRecord], malignant: Bool[np.ndarray, " patients"]) -> AbstentionErrors:
    decisions = np.array([record.decision.value for record in records])
    n_malignant, n_other = int(malignant.sum()), int((~malignant).sum())
    missed = int((decisions[malignant] == Decision.NOT_MALIGNANT.value).sum())
    alarms = int((decisions[~malignant] == Decision.MALIGNANT.value).sum())
    decided = int((decisions != Decision.UNCERTAIN.value).sum())
    return AbstentionErrors(
        alpha=records[0].alpha,
        decided=decided,
        patients=len(records),
        decided_interval=wilson(decided, len(records)),
        n_malignant=n_malignant,
        missed=missed,
        missed_interval=wilson(missed, n_malignant),
        n_other=n_other,
        alarms=alarms,
        alarms_interval=wilson(alarms, n_other),
    )


def _auroc(counts: ModelCounts) -> tuple[float | None, Interval | None]:
    # On a patient that it leaves open a joint model says nothing about malignancy.
    kept = counts.decided
    areas = delong(counts.malignancy[None, kept], counts.truly_malignant[kept])
    return (None, None) if areas is None else (float(areas.areas[0]), areas.interval())


def _restated(whole: PatientMetrics, right: int) -> Restated:
    malignant = int(whole.malignant) + int(whole.uncertain_malignant)
    other, negative = int(whole.other) + int(whole.uncertain_other), int(whole.true_negative)
    return Restated(
        sensitivity=right / malignant if malignant else None,
        sensitivity_interval=wilson(right, malignant),
        specificity=negative / other if other else None,
        specificity_interval=wilson(negative, other),
    )


def _predictive(whole: PatientMetrics, drawn: PatientMetrics, prevalence: float) -> PredictiveValues:
    ppv, npv = (_value(v) for v in whole.predictive_values(prevalence))
    drawn_ppv, drawn_npv = drawn.predictive_values(prevalence)
    ends_ppv, ends_npv = _interval(ppv, lambda: drawn_ppv), _interval(npv, lambda: drawn_npv)
    sensitivity = wilson(int(whole.true_positive), int(whole.malignant))
    specificity = wilson(int(whole.true_negative), int(whole.other))
    if sensitivity and specificity and (_extreme(whole.sensitivity) or _extreme(whole.specificity)):
        # The bootstrap never leaves a proportion of 0 or 1: both ends of Wilson's intervals together are cautious.
        low = predictive_values(sensitivity[0], specificity[0], prevalence)
        high = predictive_values(sensitivity[1], specificity[1], prevalence)
        ends_ppv = None if ppv is None else (float(low[0]), float(high[0]))
        ends_npv = None if npv is None else (float(low[1]), float(high[1]))
    return PredictiveValues(prevalence=prevalence, ppv=ppv, ppv_interval=ends_ppv, npv=npv, npv_interval=ends_npv)


def _extreme(proportion: object) -> bool:
    return float(np.asarray(proportion)) in (0.0, 1.0)


def _calibration(counts: ModelCounts) -> Reliability | None:
    kept = counts.decided
    return Reliability.of(counts.malignancy[kept], counts.truly_malignant[kept])


def _interval(point: float | None, drawn: Callable[[], object]) -> Interval | None:
    return None if point is None else as_interval(percentile_interval(np.asarray(drawn())))


def _value(metric: object) -> float | None:
    number = float(np.asarray(metric))
    return None if np.isnan(number) else number


def _table(counts: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in row) for row in counts)
