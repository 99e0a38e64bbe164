"""Plots over sensitivity and over false positives per case: Fig. 11, the fair comparison, FROC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from livercascade.evaluation.curves.all_curves import CohortCurves
from livercascade.evaluation.curves.froc import GRID, RATES, Froc, HitRule
from livercascade.evaluation.curves.sensitivity_sweep import Arm, Sweep, SweepPoint
from livercascade.evaluation.output.figure_files import DrawnFigure
from livercascade.evaluation.plots.plot_style import (
    BLUE,
    DASHES,
    INK,
    MARKERS,
    SERIES,
    VERMILION,
    as_text,
    factor_axis,
    legend,
    picture,
    plain,
    sheet,
)
from livercascade.evaluation.statistics.ranking import Estimate

_SHOWN = (Arm.WHOLE, Arm.RECLASSIFIED)


def sensitivity_sweep(curves: Mapping[str, CohortCurves], *, virtual: bool) -> DrawnFigure:
    """FN and FP over f, with and without reclassification, one row for each setting (paper, Fig. 11)."""
    figure = sheet(0.5 + 2.5 * len(curves))
    grid = figure.subplots(len(curves), 2, squeeze=False)
    for row, (name, made) in zip(grid, curves.items(), strict=True):
        setting = f"{name}: " if len(curves) > 1 else ""
        for axes, key, heading in zip(row, ("fn", "fp"), ("missed lesions (FN)", "false positives (FP)"), strict=True):
            for number, arm in enumerate(_SHOWN):
                _swept(axes, made.sweep.arms[arm], key, arm, number)
            factor_axis(axes, [p.factor for p in made.sweep.arms[Arm.WHOLE]])
            plain(axes, xlabel="sensitivity factor f", ylabel="lesions in all cases", title=setting + heading)
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
            for factor in (made.low_factor, made.high_factor):
                axes.axvline(factor, color="#d8dde1", linewidth=0.8, zorder=0)
        legend(row[1], place="upper left")
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    cases = next(iter(curves.values())).cases
    ends = "; ".join(
        f"{arm.value}: FN {points[0].fn} to {points[-1].fn}, FP {points[0].fp} to {points[-1].fp}"
        for arm in _SHOWN
        for points in [next(iter(curves.values())).sweep.arms[arm]]
    )
    return picture(
        figure,
        "figure_11_sensitivity_sweep",
        "Fig. 11: misses and false positives over the sensitivity factor",
        f"{cases} cases, one sensitivity map each, paper counting. Bands: 95 % by resampling patients. "
        "Grey lines: Base and High.",
        f"From the smallest to the largest factor. {ends}.",
        virtual=virtual,
    )


def equal_misses(curves: CohortCurves, *, virtual: bool, suffix: str = "") -> DrawnFigure:
    """False positives against misses along f: which arm is better where both miss as many (EVAL, fair comparison)."""
    figure = sheet(3.3)
    left, right = figure.subplots(1, 2)
    for number, arm in enumerate(_SHOWN):
        points = curves.sweep.arms[arm]
        colour = SERIES[number]
        left.plot([p.fn for p in points], [p.fp for p in points], color=colour, linestyle=DASHES[number],
                  marker=MARKERS[number], markersize=4, linewidth=1.4, label=arm.value)  # fmt: skip
        _name_ends(left, points, colour, number)
    plain(left, xlabel="missed lesions (FN)", ylabel="false positives (FP)", title="along f", grid="both")
    most = max(p.fn for points in curves.sweep.arms.values() for p in points)
    left.set_xlim(-0.02 * max(most, 1), 1.3 * max(most, 1))
    left.set_ylim(bottom=0)
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
    left.legend(fontsize=7, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.02, 0.99), labelcolor=INK)
    _differences(right, curves.sweep)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    return picture(
        figure,
        f"equal_misses{suffix}",
        "False positives at equal misses",
        "Left: both arms along f. Right: false positives with reclassification less those without it at as many "
        "misses, on straight lines between factors (bars: 95 %); no point where the other arm never misses as many.",
        virtual=virtual,
    )


def free_response(curves: CohortCurves, *, virtual: bool, suffix: str = "") -> DrawnFigure:
    """FROC of every confidence (one common voxel), and recall against false positives of the four models."""
    figure = sheet(3.9)
    axes = figure.subplots(1, 1)
    shown = [f for f in curves.frocs if f.hit is HitRule.ANY]
    for number, curve in enumerate(shown):
        _froc_line(axes, curve, number, band=curve is shown[-1])
    for number, arm in enumerate(_SHOWN):
        for factor, filled in ((curves.low_factor, False), (curves.high_factor, True)):
            _operating_point(axes, curves, arm, factor, MARKERS[number], filled=filled)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(list(RATES)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(RATES), ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xlim(GRID[0], GRID[-1] * 1.05)
    axes.set_ylim(-0.02, 1.02)
    plain(axes, xlabel="false positives per case", ylabel="recall, any type", grid="both")
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0), labelcolor=INK,
                handlelength=2.6, labelspacing=0.7)  # fmt: skip
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    best = shown[-1]
    cpm, area = (as_text(curves.gain[name]) for name in ("cpm", "average_precision"))
    return picture(
        figure,
        f"froc{suffix}",
        "FROC of High's proposals",
        f"{best.lesions} lesions, {best.cases} cases, those without lesions too; a hit is one common voxel. "
        "Band: 95 % by resampling patients. "
        f"Gain of the second network: CPM {cpm}, AP {area}.",
        "; ".join(f"{c.score.words}: CPM {as_text(c.cpm)}, AP {as_text(c.average_precision)}" for c in shown),
        virtual=virtual,
    )


def _swept(axes: Axes, points: Sequence[SweepPoint], key: str, arm: Arm, number: int) -> None:
    values = [p.fn if key == "fn" else p.fp for p in points]
    told_by = [p.fn_estimate if key == "fn" else p.fp_estimate for p in points]
    factors = [p.factor for p in points]
    axes.plot(factors, values, color=SERIES[number], linestyle=DASHES[number], marker=MARKERS[number], markersize=4,
              linewidth=1.5, label=arm.value)  # fmt: skip
    _band(axes, factors, told_by, SERIES[number])


def _band(axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], colour: str) -> None:
    known = [(a, e.interval) for a, e in zip(x, estimates, strict=True) if e.interval is not None]
    if known:
        axes.fill_between([a for a, _ in known], [i[0] for _, i in known], [i[1] for _, i in known], color=colour,
                          alpha=0.13, linewidth=0)  # fmt: skip


def _name_ends(axes: Axes, points: Sequence[SweepPoint], colour: str, number: int) -> None:
    # The arms often end at one place: names stand away from the other arm, which lies below or above.
    place, side = ((6, 4), "left") if number == 0 else ((-6, -8), "right")
    for point in (points[0], points[-1]):
        axes.annotate(f"f = {point.factor:g}", (point.fn, point.fp), xytext=place, textcoords="offset points",
                      ha=side, fontsize=6.5, color=colour)  # fmt: skip


def _differences(axes: Axes, sweep: Sweep) -> None:
    axes.axhline(0, color="#8a949c", linewidth=0.8)
    for match in sweep.matched:
        value, interval = match.difference.value, match.difference.interval
        if value is None:
            continue
        if interval is not None:
            axes.plot([match.factor] * 2, interval, color=BLUE, linewidth=1.2)
        axes.plot(match.factor, value, marker="o", color=VERMILION, markersize=5)
    factor_axis(axes, [m.factor for m in sweep.matched])
    axes.set_xlim(sweep.matched[0].factor / 1.5, sweep.matched[-1].factor * 1.5)
    plain(
        axes, xlabel="f of the reclassified arm", ylabel="difference of FP", title="at equal misses (below 0: better)"
    )
    if all(m.difference.value is None for m in sweep.matched):
        axes.text(0.5, 0.55, "no factor misses as many", transform=axes.transAxes, ha="center", fontsize=8, color=INK)


def _froc_line(axes: Axes, curve: Froc, number: int, *, band: bool) -> None:
    label = f"{curve.score.words}\n   CPM {as_text(curve.cpm)}\n   AP {as_text(curve.average_precision)}"
    known = [(x, e.value) for x, e in zip(GRID, curve.band, strict=True) if e.value is not None]
    # The band's grid is fine enough for the eye; steps say that nothing is interpolated.
    axes.step([x for x, _ in known], [v for _, v in known], where="post", color=SERIES[number],
              linestyle=DASHES[number], linewidth=1.5, label=label)  # fmt: skip
    if band:
        _band(axes, GRID, curve.band, SERIES[number])


def _operating_point(axes: Axes, curves: CohortCurves, arm: Arm, factor: float, marker: str, *, filled: bool) -> None:
    point = next((p for p in curves.sweep.arms[arm] if p.factor == factor), None)
    if point is None or point.recall_rough.value is None:
        return
    name = ("High" if filled else "Base") + ("+ReCls" if arm is Arm.RECLASSIFIED else "")
    # The axis is logarithmic: a model without false positives stands at its left end.
    rate = max(point.fp / curves.cases, GRID[0])
    axes.plot(rate, point.recall_rough.value, marker=marker, markersize=6.5, linestyle="none", color=INK,
              markerfacecolor=INK if filled else "white", label=f"{name} (its own point)", clip_on=False)  # fmt: skip
