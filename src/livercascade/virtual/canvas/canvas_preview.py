"""One picture of a painted scan: each lesion in each phase, before and after, with its outline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Int16, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from livercascade.data.labels import Phase
from livercascade.virtual.canvas.canvas_case import CanvasCase, is_closed

_PAPER, _INK, _MUTED = "#101418", "#f2f4f5", "#9aa5ad"
_MOST_ROWS, _HALF_MM = 8, 62.0
Place = tuple[int, int, int]
"""Index (z, y, x) of a voxel."""


def draw_canvas_preview(before: CanvasCase, after: CanvasCase, titled: Sequence[tuple[str, Place]]) -> bytes:
    """PNG with a row for each place: every phase before and after, and the labels' outline.

    Args:
        before: The scan as it was, with the phases that were made of it.
        after: The scan as it is.
        titled: Title and place of each row; the first eight are shown.
    """
    rows, phases = list(titled[:_MOST_ROWS]), list(after.hu)
    columns = 2 * len(phases) + 1
    figure = Figure(figsize=(2.6 * columns, 2.7 * max(len(rows), 1)), dpi=90, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    plots = figure.subplots(max(len(rows), 1), columns, squeeze=False)
    for (title, place), line in zip(rows, plots, strict=False):
        for k, phase in enumerate(phases):
            window = _window(before, phase)
            _show(line[2 * k], before.hu[phase], place, before, window)
            _show(line[2 * k + 1], after.hu[phase], place, after, window)
            line[2 * k].set_title(f"{phase.value} before", color=_MUTED, fontsize=8)
            line[2 * k + 1].set_title(f"{phase.value} after", color=_MUTED, fontsize=8)
        _show(line[-1], after.hu[phases[-1]], place, after, _window(before, phases[-1]))
        _outline(line[-1], after.labels, place, after)
        line[-1].set_title(title, color=_INK, fontsize=8)
    for plot in plots.ravel():
        plot.set_axis_off()
    figure.subplots_adjust(left=0.005, right=0.995, top=0.97, bottom=0.005, wspace=0.02, hspace=0.12)
    stream = BytesIO()
    figure.savefig(stream, format="png", facecolor=_PAPER, metadata={"Software": "livercascade"})
    return stream.getvalue()


def _window(case: CanvasCase, phase: Phase) -> tuple[float, float]:
    """Grey scale round the liver of a phase, HU."""
    liver = case.liver
    middle = float(np.median(case.hu[phase][liver])) if liver.any() else 80.0
    return middle - 110.0, middle + 110.0


def _cut(place: Place, case: CanvasCase) -> tuple[int, slice, slice]:
    _, dy, dx = case.grid.spacing
    height, width = round(_HALF_MM / dy), round(_HALF_MM / dx)
    z, y, x = place
    return z, slice(max(y - height, 0), y + height), slice(max(x - width, 0), x + width)


def _show(
    plot: Axes, image: Int16[np.ndarray, "z y x"], place: Place, case: CanvasCase, window: tuple[float, float]
) -> None:
    _, dy, dx = case.grid.spacing
    plot.imshow(
        image[_cut(place, case)], cmap="gray", vmin=window[0], vmax=window[1], interpolation="bilinear", aspect=dy / dx
    )


def _outline(plot: Axes, labels: UInt8[np.ndarray, "z y x"], place: Place, case: CanvasCase) -> None:
    shown = labels[_cut(place, case)]
    for mask, colour in (
        (is_closed(shown) & (shown < 14), "#ff5a3c"),
        (shown == 14, "#ffd23c"),
        (shown == 255, "#4db8ff"),
        (shown > 0, "#2ee6a8"),
    ):
        if mask.any() and not mask.all():
            plot.contour(mask, levels=[0.5], colors=[colour], linewidths=0.7)


def lesion_rows(case: CanvasCase, centres: Mapping[str, tuple[float, float, float]]) -> list[tuple[str, Place]]:
    """Rows of a preview for lesions given by their title and centre in LPS mm."""
    rows: list[tuple[str, Place]] = []
    for title, centre in centres.items():
        z, y, x = np.rint(case.grid.voxel(np.asarray(centre))).astype(int)
        limit = case.grid.shape
        rows.append(
            (
                title,
                (int(np.clip(z, 0, limit[0] - 1)), int(np.clip(y, 0, limit[1] - 1)), int(np.clip(x, 0, limit[2] - 1))),
            )
        )
    return rows
