"""The paper's ablation: Base, what each step adds to it, and the joint model, in diagnosis and screening."""

from __future__ import annotations

from collections.abc import Iterator

from livercascade.evaluation.cohort.model_keys import JOINT, Variant
from livercascade.evaluation.output.number_text import NONE, of_cohort, with_interval
from livercascade.evaluation.output.printed_table import Head, PrintedTable, Row, heads
from livercascade.evaluation.output.tables_json import ModelTables, Tables
from livercascade.reproduce.claims import Compared, Figure, Part, Relation
from livercascade.reproduce.judging import WITH_LS, WITHOUT_LS, key_of
from livercascade.reproduce.measure import Ground, measure
from livercascade.reproduce.page import signed_percent
from livercascade.reproduce.settings import Setting

ORDER = (
    Variant.BASE.value,
    WITHOUT_LS,
    WITH_LS,
    Variant.BASE_RECLS.value,
    Variant.HIGH.value,
    Variant.HIGH_RECLS.value,
    JOINT,
)
"""Titles of the rows; High without ReCls is not in the paper's tables."""
_TITLES = {JOINT: "Base+ReCls &\nHigh+ReCls"}


def ablation_table(tables: Tables, ground: Ground) -> PrintedTable:
    """Misses, false positives, lesion and patient figures of every model, with the change against Base."""
    rows: list[Row] = []
    for setting in Setting:
        phases = ", ".join(phase.value for phase in setting.phases)
        rows.append(Row((f"{setting.value} ({phases})", *[""] * 10), True))
        rows += _rows(setting, tables, ground)
    return PrintedTable(
        "ablation",
        of_cohort("Ablation", virtual=tables.virtual),
        "Counting mode paper; the joint model's figures are of the patients it decides on. Fewer FN and FP: share of "
        "Base's that are gone, negative if there are more, paired bootstrap over patients. Percent; brackets: 95 % "
        "interval (lesions: bootstrap over patients; patients: Wilson).",
        (
            (
                Head(""),
                Head("Missed (FN)", 2),
                Head("False positives (FP)", 2),
                Head("Lesions", 3),
                Head("Patients", 3),
            ),
            heads(
                *("Model", "FN", "fewer", "FP", "fewer"),
                *("Precision", "Recall", "Rough recall", "Sensitivity", "Specificity", "Decided"),
            ),
        ),
        tuple(rows),
    )


def _rows(setting: Setting, tables: Tables, ground: Ground) -> Iterator[Row]:
    for title in ORDER:
        model = tables.models.get(key_of(setting, title))
        if model is None:
            continue
        every, patient = model.lesion.paper.All, model.patient
        lesion = [
            with_interval(getattr(every, name), every.intervals[name])
            for name in ("precision", "recall", "recall_rough")
        ]
        people = [
            with_interval(getattr(patient, name), patient.intervals[name]) for name in ("sensitivity", "specificity")
        ]
        fewer = [_fewer(figure, setting, title, model, ground) for figure in (Figure.FN, Figure.FP)]
        yield Row(
            (
                *(_TITLES.get(title, title), str(every.FN), fewer[0], str(every.FP), fewer[1]),
                *(*lesion, *people, f"{model.decided}/{model.cases}"),
            )
        )


def _fewer(figure: Figure, setting: Setting, title: str, model: ModelTables, ground: Ground) -> str:
    base = key_of(setting, Variant.BASE.value)
    if title == Variant.BASE.value or model.joint:
        return NONE
    part = Part(
        figure=figure,
        compared=Compared.REDUCTION,
        one=base,
        two=key_of(setting, title),
        relation=Relation.AT_LEAST,
        threshold=0.0,
    )
    made = measure(part, ground)
    if made is None or made.value is None:
        return NONE
    # On two lines, so that the last column is on the page as well.
    return signed_percent(made.value, made.interval, digits=0).replace(" [", "\n[")
