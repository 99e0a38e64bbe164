"""What the page shows past the paper and past `evaluate`: small lesions under the size-fair score."""

from __future__ import annotations

from livercascade.evaluation.curves.small_lesions import SizeFair, size_fair
from livercascade.evaluation.output.number_text import NONE, of_cohort, percent, percent_interval
from livercascade.evaluation.output.printed_table import Head, PrintedTable, Row, heads
from livercascade.evaluation.statistics.ranking import Estimate
from livercascade.reclassify.reclassify import ScoreMode
from livercascade.reproduce.measure import Ground
from livercascade.reproduce.page import Beyond, signed_percent

_RULES = {
    ScoreMode.VOLUME: "volume: 0.5 ml confirmed (paper)",
    ScoreMode.RATIO: "ratio: half of it confirmed",
    ScoreMode.ADAPTIVE: "adaptive: the smaller of both",
}


def beyond_sections(ground: Ground, *, virtual: bool) -> tuple[Beyond, ...]:
    """Sections past the paper."""
    return (
        Beyond(
            "size-fair",
            "Small lesions under a size-fair score",
            "The paper keeps a proposal when 0.5 ml of it are confirmed: all of a lesion of 0.5 ml, a quarter of one "
            "of 2 ml. What a score that asks for a share gives lesions of 0.5 to 2 ml at equal false positives.",
            (size_fair_table(ground, virtual=virtual),),
        ),
    )


def size_fair_table(ground: Ground, *, virtual: bool) -> PrintedTable:
    """Recall of lesions of 0.5 to 2 ml by score, as set and at equal false positives, in both settings."""
    rows: list[Row] = []
    for setting, cases in ground.curves.items():
        told = size_fair(cases, ground.settings, ground.draws)
        rows.append(Row((f"{setting}: {told.lesions} lesions of 0.5-2 ml", *[""] * 4), True))
        rows.append(Row(("without reclassification", _share(told.without), NONE, NONE, NONE)))
        rows += [_row(mode, told) for mode in _RULES]
    return PrintedTable(
        "size_fair",
        of_cohort("High+ReCls: lesions of 0.5-2 ml found, whatever the type", virtual=virtual),
        "As set: at the cascade's threshold. Equal FP: the lowest multiple of the threshold that leaves no more false "
        "positives a case than the paper's rule, found anew in each resample. Gain: points more than the paper's "
        "score, in pairs. Brackets: 95 % interval, bootstrap over patients.",
        (
            (Head(""), Head("As set", 2), Head("At equal FP", 2)),
            heads("Score", "Recall %", "FP a case", "Recall %", "Gain, points"),
        ),
        tuple(rows),
    )


def _row(mode: ScoreMode, told: SizeFair) -> Row:
    recall, rate = told.as_set[mode]
    won = told.gain[mode]
    gain = NONE if mode is ScoreMode.VOLUME or won.value is None else signed_percent(won.value, won.interval)
    return Row((_RULES[mode], _share(recall), _number(rate), _share(told.recall[mode]), gain))


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
