"""The numbers of ``tables.json`` as tidy tables, one line per observation, for statistics programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from livercascade.detect.match import Counting
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase
from livercascade.evaluation.metrics.lesion_metrics import ROWS
from livercascade.evaluation.metrics.model_counts import ModelCounts
from livercascade.evaluation.output.tables_json import LesionRow, ModelTables, Tables


def tidy_tables(
    tables: Tables, cases: Sequence[EvaluatedCase], counts: Sequence[ModelCounts]
) -> dict[str, pd.DataFrame]:
    """Every table by its file stem."""
    models = tables.models.items()
    return {
        "table1": pd.DataFrame([{"type": row, **bins} for row, bins in tables.table1.items()]),
        "lesions": pd.DataFrame([row for key, model in models for row in _lesions(key, model)]),
        "patients": pd.DataFrame([_patient(key, model) for key, model in models]),
        "volumes": pd.DataFrame([row for key, model in models for row in _volumes(key, model)]),
        "confusion": pd.DataFrame([row for key, model in models for row in _confusion(key, model)]),
        "predictive_values": pd.DataFrame([row for key, model in models for row in _predictive(key, model)]),
        "comparisons": pd.DataFrame([_flat(row.model_dump()) for row in tables.comparisons]),
        "cases": pd.DataFrame([_case(number, case, counts) for number, case in enumerate(cases)]),
    }


def _lesions(key: str, model: ModelTables) -> Iterator[dict[str, Any]]:
    for mode in Counting:
        table = getattr(model.lesion, mode.value)
        for name in ROWS:
            row: LesionRow = getattr(table, name)
            yield {"model": key, "counting": mode.value, "type": name, **_flat(row.model_dump())}


def _patient(key: str, model: ModelTables) -> dict[str, Any]:
    record = model.patient.model_dump(exclude={"predictive_values", "calibration", "confusion", "distribution"})
    calibrated = model.patient.calibration
    ece, brier = (None, None) if calibrated is None else (calibrated.ece, calibrated.brier)
    return {"model": key, "cases": model.cases, "decided": model.decided, **_flat(record), "ece": ece, "brier": brier}


def _volumes(key: str, model: ModelTables) -> Iterator[dict[str, Any]]:
    for name, bins in model.by_volume.items():
        for volume, record in bins.items():
            yield {"model": key, "type": name, "volume_ml": volume, **_flat(record.model_dump())}


def _confusion(key: str, model: ModelTables) -> Iterator[dict[str, Any]]:
    names = ROWS[:6]
    for mode in Counting:
        for true, row in zip((*names, "spurious"), getattr(model.confusion, mode.value), strict=True):
            counts = dict(zip((*names, "missed"), row, strict=True))
            yield {"model": key, "counting": mode.value, "true": true, **counts}


def _predictive(key: str, model: ModelTables) -> Iterator[dict[str, Any]]:
    for record in model.patient.predictive_values:
        yield {"model": key, **_flat(record.model_dump())}


def _case(number: int, case: EvaluatedCase, counts: Sequence[ModelCounts]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "case": case.case_id,
        "true_class": case.reference_class.value,
        "true_lesions": len(case.reference),
        "true_ml": round(sum(lesion.volume_ml for lesion in case.reference), 3),
    }
    for made in counts:
        key, table = str(made.model), made.confusion[Counting.PAPER][number]
        prediction = case.predictions.get(made.model)
        decided = bool(made.decided[number])
        if prediction is not None:
            row[f"{key}: class"] = prediction.patient_class.value
        row[f"{key}: decided"] = decided
        # Mode paper, as everything that is read patient by patient.
        right = int(table[:6, :6].trace())
        outcomes = (right, int(table[:6, :6].sum()) - right, int(table[:6, 6].sum()), int(table[6, :6].sum()))
        row |= {f"{key}: {c}": n if decided else None for c, n in zip(("TP", "FL", "FN", "FP"), outcomes, strict=True)}
        row[f"{key}: malignancy"] = round(float(made.malignancy[number]), 4)
    return row


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Intervals become two columns, nested records get their name in front."""
    out: dict[str, Any] = {}
    for name, value in record.items():
        if name == "intervals":
            out |= {f"{n}_{end}": v for n, ends in value.items() for end, v in _ends(ends)}
        elif name.endswith("interval"):
            out |= {f"{name.removesuffix('interval')}{end}": v for end, v in _ends(value)}
        elif isinstance(value, dict):
            out |= {f"{name}_{n}": v for n, v in _flat(value).items()}
        else:
            out[name] = value
    return out


def _ends(ends: Sequence[float] | None) -> Iterator[tuple[str, float | None]]:
    low, high = (None, None) if ends is None else ends
    yield "low", low
    yield "high", high
