"""Tables of a reproduction: the paper's ablation, and small lesions under the size-fair score."""

from __future__ import annotations

from collections.abc import Iterator

from livercascade.evaluation.curves.small_lesions import SizeFair, size_fair
from livercascade.evaluation.output.number_text import NONE, of_cohort, percent, percent_interval, with_interval
from livercascade.evaluation.output.printed_table import PrintedTable, Row, heads
from livercascade.evaluation.output.tables_json import ModelTables, Tables
from livercascade.evaluation.statistics.ranking import Estimate
from livercascade.reclassification.reclassify import ScoreMode
from livercascade.reproduce.claim_metrics import PatientResults, measure
from livercascade.reproduce.claims import ClaimMetric, ClaimPart, Contrast, Relation
from livercascade.reproduce.experiment import ModelKey, PaperModel, PaperSetting

_SCORES = {
    ScoreMode.VOLUME: "volume: 0.5 ml confirmed (paper)",
    ScoreMode.RATIO: "ratio: half of it confirmed",
    ScoreMode.ADAPTIVE: "adaptive: the smaller of both",
}


def ablation_table(tables: Tables, results: PatientResults) -> PrintedTable:
    """Misses, false positives, lesion and patient metrics of every model, with the change against Base."""
    rows: list[Row] = []
    for setting in PaperSetting:
        phases = ", ".join(phase.value for phase in setting.phases)
        rows.append(Row((f"{setting.value} ({phases})", *[""] * 10), True))
        rows += _model_rows(setting, tables, results)
    return PrintedTable(
        "ablation",
        of_cohort("Ablation", virtual=tables.virtual),
        "Counting mode paper; the joint model's figures are of the patients it decides on. Fewer FN and FP: share of "
        "Base's that are gone, negative if there are more, paired bootstrap over patients. Percent; brackets: 95 % "
        "interval (lesions: bootstrap over patients; patients: Wilson).",
        (
            heads("", ("Missed (FN)", 2), ("False positives (FP)", 2), ("Lesions", 3), ("Patients", 3)),
            heads(
                *("Model", "FN", "fewer", "FP", "fewer"),
                *("Precision", "Recall", "Rough recall", "Sensitivity", "Specificity", "Decided"),
            ),
        ),
        tuple(rows),
    )


def _model_rows(setting: PaperSetting, tables: Tables, results: PatientResults) -> Iterator[Row]:
    for variant in PaperModel:
        key = ModelKey(setting, variant)
        model = tables.models.get(str(key))
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
        fewer = [_fewer(metric, key, model, results) for metric in (ClaimMetric.FN, ClaimMetric.FP)]
        title = "Base+ReCls &\nHigh+ReCls" if variant is PaperModel.JOINT else variant.value
        yield Row(
            (
                *(title, str(every.FN), fewer[0], str(every.FP), fewer[1]),
                *(*lesion, *people, f"{model.decided}/{model.cases}"),
            )
        )


def _fewer(metric: ClaimMetric, key: ModelKey, model: ModelTables, results: PatientResults) -> str:
    # The joint model leaves patients out: fewer misses would not be its merit.
    if key.variant is PaperModel.BASE or model.joint:
        return NONE
    part = ClaimPart(
        metric=metric,
        contrast=Contrast.REDUCTION,
        one=ModelKey(key.setting, PaperModel.BASE),
        two=key,
        relation=Relation.AT_LEAST,
        threshold=0.0,
    )
    made = measure(part, results)
    if made.value is None:
        return NONE
    # On two lines, so that the last column is on the page as well.
    return signed_percent(made.value, made.interval, digits=0).replace(" [", "\n[")


def size_fair_table(results: PatientResults, *, virtual: bool) -> PrintedTable:
    """Recall of lesions of 0.5 to 2 ml by score, as set and at equal false positives, in both settings."""
    rows: list[Row] = []
    for setting, cases in results.curves.items():
        compared = size_fair(cases, results.resampling)
        rows.append(Row((f"{setting.value}: {compared.lesions} lesions of 0.5-2 ml", *[""] * 4), True))
        rows.append(Row(("without reclassification", _share(compared.without), NONE, NONE, NONE)))
        rows += [_score_row(mode, compared) for mode in _SCORES]
    return PrintedTable(
        "size_fair",
        of_cohort("High+ReCls: lesions of 0.5-2 ml found, whatever the type", virtual=virtual),
        "As set: at the cascade's threshold. Equal FP: the lowest multiple of the threshold that leaves no more false "
        "positives a case than the paper's rule, found anew in each resample. Gain: points more than the paper's "
        "score, in pairs. Brackets: 95 % interval, bootstrap over patients.",
        (
            heads("", ("As set", 2), ("At equal FP", 2)),
            heads("Score", "Recall %", "FP a case", "Recall %", "Gain, points"),
        ),
        tuple(rows),
    )


def _score_row(mode: ScoreMode, compared: SizeFair) -> Row:
    recall, rate = compared.as_set[mode]
    gain = compared.gain[mode]
    shown = NONE if mode is ScoreMode.VOLUME or gain.value is None else signed_percent(gain.value, gain.interval)
    return Row((_SCORES[mode], _share(recall), _number(rate), _share(compared.recall[mode]), shown))


def _share(estimate: Estimate) -> str:
    if estimate.value is None:
        return NONE
    value = percent(estimate.value)
    return value if estimate.interval is None else f"{value} [{percent_interval(estimate.interval, 0)}]"


def _number(estimate: Estimate) -> str:
    if estimate.value is None:
        return NONE
    ends = "" if estimate.interval is None else f" [{estimate.interval[0]:.2f}–{estimate.interval[1]:.2f}]"
    return f"{estimate.value:.2f}{ends}"


def signed_percent(value: float, interval: tuple[float, float] | None, *, digits: int = 1) -> str:
    """A share or a difference of shares in percent, with its interval; either may be negative.

    >>> signed_percent(-0.1, (-0.22, -0.02), digits=0)
    '−10 [−22 to −2]'
    """
    shown = percent(value, digits)
    if interval is not None:
        shown += f" [{percent(interval[0], 0)} to {percent(interval[1], 0)}]"
    return shown.replace("-", "−")
