"""Pictures of a training: its curves, and held-out patients with reference and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from livercascade.data.labels import FIRST_LESION, LAST_LESION
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_log import read_lines

_REFERENCE, _LOW, _HIGH = "#2ca02c", "#d62728", "#ff9f1c"
_BLUE, _RED, _GREEN, _GREY = "#1f5fa8", "#d62728", "#2ca02c", "#8a8a8a"


@dataclass(frozen=True, slots=True, eq=False)
class SliceComparison:
    """One slice of a held-out patient with reference and prediction, patient's right on the left.

    Attributes:
        title: Title of the picture.
        image: Intensities on any scale.
        reference: Reference labels.
        low: Labels of the network at f = 1.
        high: Labels of the network at f = 4; None where there is no such thing.
        aspect: Height of a pixel over its width.
    """

    title: str
    image: Float[np.ndarray, "y x"]
    reference: Integer[np.ndarray, "y x"]
    low: Integer[np.ndarray, "y x"]
    high: Integer[np.ndarray, "y x"] | None = None
    aspect: float = 1.0


def draw_slices(folder: RunFolder, step: int, slices: Sequence[SliceComparison]) -> None:
    """Write ``figures/patients_<step>.png``: images above, contours of lesions below."""
    if not slices:
        return
    folder.figures.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(3.6 * len(slices), 7.4), layout="constrained")
    axes: Any = figure.subplots(2, len(slices), squeeze=False)
    for column, view in enumerate(slices):
        _show(axes[0][column], view)
        axes[0][column].set_title(view.title, fontsize=9)
        _show(axes[1][column], view)
        _contour(axes[1][column], view.reference, _REFERENCE, "solid", 1.6)
        if view.high is not None:
            _contour(axes[1][column], view.high, _HIGH, "dotted", 1.2)
        _contour(axes[1][column], view.low, _LOW, "dashed", 1.2)
    both = any(view.high is not None for view in slices)
    lines = [
        Line2D([], [], color=_REFERENCE, label="lesion"),
        Line2D([], [], color=_LOW, ls="--", label="prediction, f = 1" if both else "prediction"),
    ]
    if both:
        lines.append(Line2D([], [], color=_HIGH, ls=":", label="prediction, f = 4"))
    figure.legend(handles=lines, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    figure.suptitle(f"Held-out patients at step {step:,}", fontsize=11)
    figure.savefig(folder.figures / f"patients_{step:06d}.png", dpi=110)


def draw_curves(folder: RunFolder) -> None:
    """Write ``figures/curves.png`` from the log; steps done again after a stop count once."""
    lines = read_lines(folder)
    folder.figures.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes: Any = figure.subplots(2, 2, sharex=True)
    _plot(axes[0][0], lines, {"loss": (_BLUE, "-")}, "Loss")
    scores = {"val_score": (_GREY, "o-"), "val_smoothed": (_BLUE, "-")}
    _plot(axes[0][1], lines, scores | {"val_dice_lesion": (_GREEN, "--")}, "Score that picks the best weights")
    _mark_best(axes[0][1], lines)
    recall = {"val_recall": (_BLUE, "o-"), "val_recall_f4": (_BLUE, ":"), "val_type_accuracy": (_GREEN, "--")}
    _plot(axes[1][0], lines, recall, "Lesions detected, and typed")
    false = {"val_false_per_patient": (_RED, "o-"), "val_false_per_patient_f4": (_RED, ":")}
    _plot(axes[1][1], lines, false | {"val_false_share": (_RED, "o-")}, "False findings")
    for axis in (axes[0][1], axes[1][0]):
        axis.set_ylim(-0.03, 1.03)
    axes[1][1].set_ylim(bottom=0)
    for axis in axes[1]:
        axis.set_xlabel("step")
        axis.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    figure.savefig(folder.figures / "curves.png", dpi=110)


def _plot(axis: Axes, lines: list[dict[str, float]], names: dict[str, tuple[str, str]], title: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.25)
    for name, (colour, style) in names.items():
        # A dictionary by step: of steps done again after a stop the last counts.
        points = dict(sorted((line["step"], line[name]) for line in lines if name in line))
        if points:
            label = name.removeprefix("val_").replace("_f4", " at f = 4").replace("_", " ")
            axis.plot(list(points), list(points.values()), style, color=colour, ms=4, lw=1.5, label=label)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8, frameon=False)


def _mark_best(axis: Axes, lines: list[dict[str, float]]) -> None:
    points = [(line["val_smoothed"], -line["step"]) for line in lines if "val_smoothed" in line]
    if points:
        axis.axvline(-max(points)[1], color=_BLUE, lw=1, ls=":")
        axis.annotate(
            "best", (-max(points)[1], 0.02), fontsize=8, color=_BLUE, xytext=(3, 0), textcoords="offset points"
        )


def _show(axis: Axes, view: SliceComparison) -> None:
    low, high = _window(view)
    axis.imshow(view.image, cmap="gray", vmin=low, vmax=high, aspect=view.aspect)
    axis.set_axis_off()


def _window(view: SliceComparison) -> tuple[float, float]:
    """Grey range round the labelled organs, in which lesions stand out; of the whole slice where there is none."""
    inside = view.image[view.reference > 0]
    # Percentiles, since a few voxels of gas or bone would stretch the range of grey.
    low, middle, high = np.percentile(inside if inside.size else view.image, (5, 50, 95))
    reach = max(float(high - low), 1e-6)
    return float(middle - 1.6 * reach), float(middle + 1.2 * reach)


def _contour(axis: Axes, labels: Integer[np.ndarray, "y x"], colour: str, style: str, width: float) -> None:
    inside = (labels >= FIRST_LESION) & (labels <= LAST_LESION)
    # Matplotlib warns of a contour that does not exist.
    if inside.any() and not inside.all():
        axis.contour(inside.astype(float), levels=[0.5], colors=colour, linestyles=style, linewidths=width)
