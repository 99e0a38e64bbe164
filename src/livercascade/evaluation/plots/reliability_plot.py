"""Reliability of calibrated probabilities beside the scores they were made from, for lesions and patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from livercascade.evaluation.evaluation import Evaluation
from livercascade.evaluation.output.figure_files import DrawnFigure
from livercascade.evaluation.plots.plot_style import BLUE, INK, MUTED, picture, plain, sheet
from livercascade.evaluation.statistics.intervals import Interval
from livercascade.evaluation.statistics.reliability import Reliability

_Point = tuple[float, float, Interval, int]
"""Mean score, share, its interval, how many."""


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    unit: str
    raw: tuple[Sequence[_Point], float] | None
    calibrated: tuple[Sequence[_Point], float]


def reliability_plot(evaluation: Evaluation) -> DrawnFigure | None:
    """Share of true candidates and of malignant patients over score and probability; None without calibrated models."""
    panels = list(_panels(evaluation))
    if not panels:
        return None
    rows = (len(panels) + 1) // 2
    figure = sheet(0.5 + 3.3 * rows)
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.tight_layout(rect=(0, 0, 1, 0.96))
    return picture(
        figure,
        "reliability",
        "Reliability of the calibrated probabilities",
        "Bins of equal mass; bars: Wilson 95 %; on the dashed line a probability means what it says. Grey: the score "
        "before calibration. Fitted on validation patients, drawn on these.",
        virtual=evaluation.cohort.virtual,
    )


def _panels(evaluation: Evaluation) -> Iterator[_Panel]:
    for name, curves in evaluation.curves.items():
        if curves.calibrated is not None:
            raw = None if curves.calibration is None else _points(curves.calibration)
            yield _Panel(f"{name}: lesions", "candidates of High", raw, _points(curves.calibrated))
    for key, model in evaluation.tables.models.items():
        if model.calibrated is not None and model.calibrated.probability is not None:
            score = model.calibrated.score
            raw = None if score is None else _points(score)
            yield _Panel(f"{key}: malignancy", "patients", raw, _points(model.calibrated.probability))


def _points(made: Reliability) -> tuple[list[_Point], float]:
    return [(b.mean_score, b.share, b.interval, b.patients) for b in made.bins], made.ece


def _draw(axes: Axes, panel: _Panel) -> None:
    axes.plot([0, 1], [0, 1], color="#c4cbd1", linewidth=0.9, linestyle=(0, (2, 2)))
    sides = (("score", panel.raw, "#a9b2ba", 0.6), ("calibrated", panel.calibrated, BLUE, 1.1))
    for name, made, colour, width in sides:
        if made is None:
            continue
        points, ece = made
        for score, _, ends, _ in points:
            axes.plot([score] * 2, ends, color=colour, linewidth=width)
        sizes = [8 + 60 * n / max(sum(p[3] for p in points), 1) for *_, n in points]
        axes.scatter([p[0] for p in points], [p[1] for p in points], s=sizes, color=colour, zorder=3, linewidths=0,
                     label=f"{name}: ECE {100 * ece:.1f} points")  # fmt: skip
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    total = int(np.sum([p[3] for p in panel.calibrated[0]]))
    plain(axes, xlabel="score or probability", ylabel="share that are true", title=panel.title, grid="both")
    axes.text(1.0, -0.005, f"{total} {panel.unit}", fontsize=7, color=MUTED, ha="right", va="bottom")
    axes.legend(fontsize=7, frameon=False, loc="upper left", labelcolor=INK, handletextpad=0.3)
