"""Plots of the reclassification score: ROC, recall by volume, calibration of the confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from livercascade.evaluation.curves.all_curves import DEFAULT_SCORE, CohortCurves
from livercascade.evaluation.curves.recall_by_volume import VolumeRecall
from livercascade.evaluation.curves.score_roc import ScoreRoc
from livercascade.evaluation.matching.volume_bins import BIN_NAMES
from livercascade.evaluation.output.figure_files import DrawnFigure
from livercascade.evaluation.plots.plot_style import (
    DASHES,
    INK,
    MUTED,
    SERIES,
    as_text,
    picture,
    plain,
    sheet,
)
from livercascade.evaluation.statistics.ranking import Estimate
from livercascade.reclassification.reclassify import ScoreMode

_SMALLEST = 1e-6


def score_roc_plot(curves: CohortCurves, *, virtual: bool, suffix: str = "") -> DrawnFigure | None:
    """ROC of the three scores with the cascade's thresholds marked; None without both kinds of proposals."""
    shown = [roc for roc in curves.score_rocs if roc.true_kept]
    if not shown:
        return None
    figure = sheet(3.9)
    axes = figure.subplots(1, 1)
    axes.plot([0, 1], [0, 1], color="#c4cbd1", linewidth=0.9, linestyle=(0, (2, 2)))
    for number, roc in enumerate(shown):
        label = f"{roc.mode.value}: area {as_text(roc.area)}"
        axes.step(roc.false_kept, roc.true_kept, where="post", color=SERIES[number], linestyle=DASHES[number],
                  linewidth=1.5, label=label)  # fmt: skip
        _mark(axes, roc, number)
    axes.set_aspect("equal")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.04))
    plain(axes, xlabel="share of false proposals kept", ylabel="share of true proposals kept", grid="both")
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.02, 1.0), labelcolor=INK,
                labelspacing=0.8)  # fmt: skip
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    first = shown[0]
    return picture(
        figure,
        f"score_roc{suffix}",
        "The reclassification score as a classifier of proposals",
        f"Proposals of High: {first.true} touch a true lesion, {first.false} do not; {first.bypassed} were too large "
        "to be judged. Marks: the thresholds of the cascade, 0.5 ml for volume.",
        "; ".join(
            f"{r.mode.value}: area {as_text(r.area)}, keeps {as_text(r.true_at, percent=True)} of true and "
            f"{as_text(r.false_at, percent=True)} of false proposals"
            for r in shown
        ),
        virtual=virtual,
    )


def volume_plot(curves: CohortCurves, *, virtual: bool, suffix: str = "") -> DrawnFigure:
    """Recall of each volume bin without reclassification and with each score."""
    figure = sheet(3.7)
    left, right = figure.subplots(1, 2, sharey=True)
    bins = [k for k, n in enumerate(curves.volume.lesions) if n]
    _bars(left, curves.volume.as_set, bins, curves)
    _bars(right, (curves.volume.as_set[0], *curves.volume.at_equal_fp), bins, curves)
    plain(left, ylabel="recall, any type", xlabel="lesion volume (ml)", title="thresholds of the cascade")
    plain(right, xlabel="lesion volume (ml)", title="thresholds that leave as many FP")
    left.set_ylim(0, 1.02)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=7, frameon=False, ncols=4, loc="lower center", labelcolor=INK)
    figure.tight_layout(rect=(0, 0.06, 1, 0.95))
    fp = ", ".join(f"{r.name} {r.fp.value:.0f}" for r in curves.volume.as_set if r.fp.value is not None)
    equal = ", ".join(f"{r.name} {r.fp.value:.0f}" for r in curves.volume.at_equal_fp if r.fp.value is not None)
    return picture(
        figure,
        f"volume_strata{suffix}",
        "Recall by lesion volume under the three scores",
        f"Proposals of High. Whiskers: 95 % by resampling patients. False positives: {fp} (left); {equal} (right).",
        virtual=virtual,
    )


def calibration_plot(curves: CohortCurves, *, virtual: bool, suffix: str = "") -> DrawnFigure | None:
    """Share of true proposals over their confidence; None without proposals."""
    made = curves.calibration
    if made is None:
        return None
    figure = sheet(3.6, width=4.4)
    axes = figure.subplots(1, 1)
    axes.plot([0, 1], [0, 1], color="#c4cbd1", linewidth=0.9, linestyle=(0, (2, 2)), label="perfect")
    for number, part in enumerate(made.bins):
        true = part.malignant / part.patients
        axes.plot([part.mean_score] * 2, part.interval, color=SERIES[0], linewidth=1.1)
        axes.plot(part.mean_score, true, marker="o", color=SERIES[0], markersize=3 + 2 * np.sqrt(part.patients) / 3,
                  linestyle="none", label="proposals of like confidence" if number == 0 else None)  # fmt: skip
    axes.set_aspect("equal")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    plain(axes, xlabel="confidence", ylabel="share that touch a true lesion", grid="both")
    axes.legend(fontsize=7, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(-0.03, 0.99), labelcolor=INK)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    proposals = sum(part.patients for part in made.bins)
    return picture(
        figure,
        f"calibration{suffix}",
        "Calibration of the confidence",
        f"{proposals} proposals of High in bins of equal mass; confidence: {DEFAULT_SCORE.words}, not calibrated. "
        f"Bars: Wilson 95 %. ECE {made.ece:.2f}, Brier {made.brier:.2f}.",
        virtual=virtual,
    )


def _mark(axes: Axes, roc: ScoreRoc, number: int) -> None:
    if roc.true_at.value is None or roc.false_at.value is None:
        return
    unit = " ml" if roc.mode is ScoreMode.VOLUME else ""
    size = 11 - 2.5 * number
    axes.plot(roc.false_at.value, roc.true_at.value, marker="o", markersize=size, markerfacecolor="none",
              markeredgecolor=SERIES[number], markeredgewidth=1.6, linestyle="none", clip_on=False,
              label=f"   at {roc.threshold:g}{unit}: keeps {as_text(roc.true_at, percent=True)} of true,\n"
              f"   {as_text(roc.false_at, percent=True)} of false")  # fmt: skip


def _bars(axes: Axes, rows: Sequence[VolumeRecall], bins: Sequence[int], curves: CohortCurves) -> None:
    width = 0.8 / len(rows)
    for number, row in enumerate(rows):
        colour = MUTED if number == 0 else SERIES[number - 1]
        places = [k + (number - (len(rows) - 1) / 2) * width for k in range(len(bins))]
        values = [row.recall[b] for b in bins]
        axes.bar(places, [v.value or 0.0 for v in values], width=width * 0.92, color=colour, label=row.name)
        for place, value in zip(places, values, strict=True):
            _whisker(axes, place, value)
    names = [f"{BIN_NAMES[b]}\nn={curves.volume.lesions[b]}" for b in bins]
    axes.set_xticks(range(len(bins)), names)


def _whisker(axes: Axes, place: float, value: Estimate) -> None:
    if value.interval is not None and value.interval[1] - value.interval[0] > _SMALLEST:
        axes.plot([place, place], value.interval, color=INK, linewidth=0.8)
