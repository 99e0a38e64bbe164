"""Calibrated probabilities and abstention, as printed."""

from __future__ import annotations

from collections.abc import Iterator

from livercascade.evaluation.output.number_text import NONE, of_cohort, percent, percent_interval
from livercascade.evaluation.output.printed_table import PrintedTable, Row, heads
from livercascade.evaluation.output.tables_json import CalibratedRecord, ModelTables, Tables
from livercascade.evaluation.statistics.intervals import wilson
from livercascade.evaluation.statistics.reliability import Reliability


def abstention_tables(tables: Tables) -> Iterator[PrintedTable]:
    """Abstention beside the joint model's UNCERTAIN, and the probabilities; none without calibrated models."""
    told = {key: model.calibrated for key, model in tables.models.items() if model.calibrated is not None}
    if told:
        yield _decisions(told, tables)
        yield _probabilities(told, tables)


def _decisions(told: dict[str, CalibratedRecord], tables: Tables) -> PrintedTable:
    rows = [Row((f"{key}, conformal", *_conformal(each))) for key, each in told.items()]
    rows += [Row((f"{key}, UNCERTAIN", *_joint(model))) for key, model in tables.models.items() if model.joint]
    alphas = sorted({each.abstention.alpha for each in told.values()})
    return PrintedTable(
        "abstention",
        of_cohort("Malignant or not, decided or left to a human", virtual=tables.virtual),
        f"Conformal: split conformal prediction in each class of patients; of malignant patients at most "
        f"{', '.join(f'{100 * a:g} %' for a in alphas)} are expected to be called not malignant, and of the others "
        "called malignant, on average over patients like those it was set on. UNCERTAIN: the joint model, which "
        "promises nothing. Shares are of all patients of the class, undecided ones too; brackets: Wilson 95 %.",
        (
            heads("", "Decided", ("Malignant patients", 2), ("Other patients", 2)),
            heads("Model", "% of patients", "called not malignant", "%", "called malignant", "%"),
        ),
        tuple(rows),
    )


def _conformal(told: CalibratedRecord) -> tuple[str, ...]:
    a = told.abstention
    return (
        _share(a.decided, a.patients, a.decided_interval),
        f"{a.missed}/{a.n_malignant}",
        _share(a.missed, a.n_malignant, a.missed_interval),
        f"{a.alarms}/{a.n_other}",
        _share(a.alarms, a.n_other, a.alarms_interval),
    )


def _joint(model: ModelTables) -> tuple[str, ...]:
    p = model.patient
    malignant, other = p.n_malignant + p.uncertain_malignant, p.n_other + p.uncertain - p.uncertain_malignant
    missed, alarms = p.n_malignant - p.true_positive, p.n_other - p.true_negative
    return (
        _share(model.decided, model.cases, wilson(model.decided, model.cases)),
        f"{missed}/{malignant}",
        _share(missed, malignant, wilson(missed, malignant)),
        f"{alarms}/{other}",
        _share(alarms, other, wilson(alarms, other)),
    )


def _probabilities(told: dict[str, CalibratedRecord], tables: Tables) -> PrintedTable:
    rows = [
        Row((key, *_agreement(each.score), *_agreement(each.probability), percent(_largest(each.probability))))
        for key, each in told.items()
    ]
    return PrintedTable(
        "patient_calibration",
        of_cohort("Probability of a malignant lesion against the share of malignant patients", virtual=tables.virtual),
        "ECE: mean distance of probability and share over ten bins of equal mass, in points; Brier: mean squared "
        "distance. Score: before calibration. Largest distance: of a bin of the calibrated probability.",
        (
            heads("", ("Score", 2), ("Calibrated", 2), ""),
            heads("Model", "ECE", "Brier", "ECE", "Brier", "Largest distance"),
        ),
        tuple(rows),
    )


def _agreement(made: Reliability | None) -> tuple[str, str]:
    return (NONE, NONE) if made is None else (percent(made.ece), f"{made.brier:.3f}")


def _largest(made: Reliability | None) -> float | None:
    return None if made is None else max(abs(row.mean_score - row.share) for row in made.bins)


def _share(part: int, whole: int, ends: tuple[float, float] | None) -> str:
    return NONE if not whole else f"{percent(part / whole)} [{percent_interval(ends, 0)}]"
