"""Reliability of calibrated probabilities beside the scores they were made from, for lesions and patients."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.axes import Axes

from livercascade.evaluation.evaluation import Evaluation
from livercascade.evaluation.output.figure_files import DrawnFigure
from livercascade.evaluation.plots.plot_style import BLUE, INK, MUTED, picture, plain, sheet
from livercascade.evaluation.statistics.reliability import Reliability


def reliability_plot(evaluation: Evaluation) -> DrawnFigure | None:
    """Share of true candidates and of malignant patients over score and probability; None without calibrated models."""
    panels = list(_panels(evaluation))
    if not panels:
        return None
    rows = (len(panels) + 1) // 2
    figure = sheet(0.5 + 3.3 * rows)
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes, (title, unit, score, probability) in zip(grid, panels, strict=False):
        _draw(axes, score, probability)
        plain(axes, xlabel="score or probability", ylabel="share that are true", title=title, grid="both")
        total = sum(b.patients for b in probability.bins)
        axes.text(1.0, -0.005, f"{total} {unit}", fontsize=7, color=MUTED, ha="right", va="bottom")
        axes.legend(fontsize=7, frameon=False, loc="upper left", labelcolor=INK, handletextpad=0.3)
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


def _panels(evaluation: Evaluation) -> Iterator[tuple[str, str, Reliability | None, Reliability]]:
    """Title, things counted, and reliability of score and probability of every panel."""
    for name, curves in evaluation.curves.items():
        if curves.calibrated is not None:
            yield f"{name}: lesions", "candidates of High", curves.calibration, curves.calibrated
    for key, model in evaluation.tables.models.items():
        if model.calibrated is not None and model.calibrated.probability is not None:
            yield f"{key}: malignancy", "patients", model.calibrated.score, model.calibrated.probability


def _draw(axes: Axes, score: Reliability | None, probability: Reliability) -> None:
    axes.plot([0, 1], [0, 1], color="#c4cbd1", linewidth=0.9, linestyle=(0, (2, 2)))
    sides = (("score", score, "#a9b2ba", 0.6), ("calibrated", probability, BLUE, 1.1))
    for name, made, colour, width in sides:
        if made is None:
            continue
        for each in made.bins:
            axes.plot([each.mean_score] * 2, each.interval, color=colour, linewidth=width)
        total = sum(b.patients for b in made.bins)
        # Area by the cases of a bin: a bin of few is not to look as sure as one of many.
        sizes = [8 + 60 * b.patients / total for b in made.bins]
        axes.scatter([b.mean_score for b in made.bins], [b.share for b in made.bins], s=sizes, color=colour, zorder=3,
                     linewidths=0, label=f"{name}: ECE {100 * made.ece:.1f} points")  # fmt: skip
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
