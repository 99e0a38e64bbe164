"""From the counts of a model to the lesions of its record in ``tables.json``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from livercascade.detect.match import Counting
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase
from livercascade.evaluation.matching.volume_bins import BIN_NAMES
from livercascade.evaluation.metrics.lesion_metrics import MALIGN, ROWS, LesionMetrics, Proportion, ratio
from livercascade.evaluation.metrics.model_counts import ModelCounts
from livercascade.evaluation.output.patient_records import calibrated_record, patient_record
from livercascade.evaluation.output.tables_json import (
    ByCounting,
    LesionRow,
    LesionTable,
    MalignRow,
    ModelTables,
    Table,
    VolumeRow,
)
from livercascade.evaluation.statistics.intervals import (
    Interval,
    Resamples,
    as_interval,
    percentile_interval,
    proportion_interval,
    resampled_sums,
)

_TYPES = tuple(range(6))
_GROUPS: dict[str, Sequence[int]] = {
    **{name: (k,) for k, name in enumerate(ROWS[:6])},
    "All": _TYPES,
    MALIGN: (0, 1, 2),
}


def model_tables(counts: ModelCounts, cases: Sequence[EvaluatedCase], resamples: Resamples) -> ModelTables:
    """Everything about one model.

    Args:
        counts: Counts of the model.
        cases: The same patients in the same order.
        resamples: Resamples of these patients.
    """
    decided = int(counts.decided.sum())
    modes = {mode.value: _lesion_table(counts, mode, resamples) for mode in Counting}
    confusions = {mode.value: as_table(table.sum(axis=0)) for mode, table in counts.confusion.items()}
    true = counts.reference_by_volume.sum(axis=(0, 3))
    return ModelTables(
        title=counts.model.title,
        setting=counts.model.setting,
        joint=counts.joint,
        cases=len(counts.decided),
        decided=decided,
        lesion=ByCounting[LesionTable](**modes),
        patient=patient_record(counts, resamples),
        table1=by_volume(true),
        confusion=ByCounting[Table](**confusions),
        splits=int(counts.splits.sum()),
        merges=int(counts.merges.sum()),
        by_volume=_strata(counts, resamples),
        calibrated=calibrated_record(counts, cases),
    )


def by_volume(counts: Int[np.ndarray, "6 bins"]) -> dict[str, dict[str, int]]:
    """Counts by row and volume bin; the bin below the paper's appears only when it holds a lesion."""
    shown = _shown(counts)
    return {row: {BIN_NAMES[k]: int(counts[list(types), k].sum()) for k in shown} for row, types in _GROUPS.items()}


def as_table(counts: Int[np.ndarray, "rows columns"]) -> tuple[tuple[int, ...], ...]:
    """A table of plain integers."""
    return tuple(tuple(int(n) for n in row) for row in counts)


def value(metric: float | np.floating) -> float | None:
    """A plain number; None for NaN."""
    return None if np.isnan(metric) else float(metric)


def _lesion_table(counts: ModelCounts, mode: Counting, resamples: Resamples) -> LesionTable:
    confusion = counts.confusion[mode]
    whole, drawn = LesionMetrics.of(confusion.sum(axis=0)), LesionMetrics.of(resampled_sums(resamples, confusion))
    patients = resampled_sums(resamples, counts.decided.astype(np.int64))
    ends = {p.value: percentile_interval(drawn.share(p)) for p in Proportion}
    ends["f1"] = percentile_interval(drawn.f1)
    ends["fp_per_case"] = percentile_interval(ratio(drawn.fp, patients[:, None]))
    decided = int(counts.decided.sum())
    return LesionTable.model_validate({row: _lesion_row(whole, k, decided, ends) for k, row in enumerate(ROWS)})


def _lesion_row(whole: LesionMetrics, k: int, decided: int, ends: dict[str, np.ndarray]) -> LesionRow:
    malign = ROWS[k] == MALIGN
    shares: dict[str, float | None] = {}
    intervals: dict[str, Interval | None] = {}
    for proportion in Proportion:
        if malign or proportion is not Proportion.PRECISION_CORRECTED:
            # From the counts, which the fall-back to Wilson's interval needs.
            part, total = (int(n[k]) for n in whole.parts(proportion))
            shares[proportion.value] = part / total if total else None
            intervals[proportion.value] = proportion_interval(ends[proportion.value][k], part, total)
    f1 = value(whole.f1[k])
    rate = int(whole.fp[k]) / decided if decided else None
    intervals["f1"] = None if f1 is None else as_interval(ends["f1"][k])
    intervals["fp_per_case"] = None if rate is None else as_interval(ends["fp_per_case"][k])
    return (MalignRow if malign else LesionRow).model_validate(
        {
            "TP": int(whole.tp[k]),
            "FL": int(whole.fl[k]),
            "FL_pred": int(whole.fl_pred[k]),
            "FN": int(whole.fn[k]),
            "FP": int(whole.fp[k]),
            **shares,
            "f1": f1,
            "fp_per_case": rate,
            "intervals": intervals,
        }
    )


def _strata(counts: ModelCounts, resamples: Resamples) -> dict[str, dict[str, VolumeRow]]:
    true, false = counts.reference_by_volume, counts.false_by_volume
    shown = _shown(true.sum(axis=(0, 3)) + false.sum(axis=0))
    return {
        row: {BIN_NAMES[k]: _bin(true, false, list(types), k, resamples) for k in shown}
        for row, types in _GROUPS.items()
    }


def _bin(
    true: Int[np.ndarray, "cases 6 bins 3"],
    false: Int[np.ndarray, "cases 6 bins"],
    types: list[int],
    k: int,
    resamples: Resamples,
) -> VolumeRow:
    each = true[:, types, k].sum(axis=1)
    tp, fl, fn = (int(n) for n in each.sum(axis=0))
    n = tp + fl + fn
    drawn = resampled_sums(resamples, each)
    total = drawn.sum(axis=1)
    ends = {
        "recall": proportion_interval(percentile_interval(ratio(drawn[:, 0], total)), tp, n),
        "recall_rough": proportion_interval(percentile_interval(ratio(drawn[:, 0] + drawn[:, 1], total)), tp + fl, n),
    }
    return VolumeRow(
        n=n,
        TP=tp,
        FL=fl,
        FN=fn,
        FP=int(false[:, types, k].sum()),
        recall=tp / n if n else None,
        recall_rough=(tp + fl) / n if n else None,
        intervals=ends,
    )


def _shown(counts: Int[np.ndarray, "6 bins"]) -> list[int]:
    # The paper has no bin below its volume limit; only another limit fills it.
    return [k for k in range(len(BIN_NAMES)) if k or counts[:, 0].sum()]
