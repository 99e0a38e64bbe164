"""Axial pictures: grey CT in the radiological view, labels on top, square millimetres, a scale bar and sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int16, Shaped, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from livercascade.data.grid import Grid
from livercascade.data.labels import LESION_TYPES, LesionType, Phase
from livercascade.evaluation.plots.plot_style import INK, WIDTH, sheet
from livercascade.report.panel import WINDOWS
from livercascade.report.pictures import TYPE_COLOURS
from livercascade.report.view import View

HALO = (Stroke(linewidth=2.2, foreground="black"), Normal())
TRUTH_COLOUR = "white"
_FILL = 0.5
_GAP, _HEAD, _TOP = 0.09, 0.23, 0.27
"""Inches between panels, above each, and for the title."""
Panels = list[list[Axes]]
Window = tuple[slice, slice]
"""Rows and columns of an axial picture that are shown."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One axial slice of a grid and the part of it that is shown.

    Attributes:
        view: Turn of the arrays into the radiological view.
        index: Slice, from foot to head.
        window: Rows and columns shown.
    """

    view: View
    index: int
    window: Window

    @classmethod
    def whole(cls, grid: Grid, index: int) -> Plane:
        """All of a slice."""
        return cls(View.of(grid), index, (slice(None), slice(None)))

    def cut(self, array: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "rows columns"]:
        """The shown part of an array."""
        return self.view.axial(array)[self.index][self.window]

    @property
    def pixel(self) -> tuple[float, float]:
        """Distance of rows and columns in mm."""
        return self.view.spacing[1], self.view.spacing[2]

    def aspect(self, array: Shaped[np.ndarray, "z y x"]) -> float:
        """Height of the shown part over its width, in mm."""
        rows, columns = self.cut(array).shape
        return rows * self.pixel[0] / (columns * self.pixel[1])

    def around(self, region: Bool[np.ndarray, "z y x"], *, margin_mm: float, least_mm: float = 0.0) -> Plane:
        """The same slice, cut to the box of ``region`` in all slices with a margin, at least ``least_mm`` wide."""
        seen = self.view.axial(region).any(axis=0)
        parts: list[slice] = []
        for occupied, step in ((seen.any(axis=-1), self.pixel[0]), (seen.any(axis=0), self.pixel[1])):
            hit, size = np.flatnonzero(occupied), np.size(occupied)
            if not hit.size:
                return self
            middle = (hit[0] + hit[-1]) / 2
            half = max((hit[-1] - hit[0]) / 2 + margin_mm / step, least_mm / 2 / step)
            parts.append(slice(max(0, int(middle - half)), min(size, int(np.ceil(middle + half)) + 1)))
        return Plane(self.view, self.index, (parts[0], parts[1]))


def panels(
    rows: int, columns: int, aspect: float, *, width: float = WIDTH, below: float = 0.0
) -> tuple[Figure, Panels]:
    """A figure of equal panels with a heading each, as high as they need; and its axes, row by row.

    Args:
        rows: Panels down.
        columns: Panels across.
        aspect: Height of a panel over its width.
        width: Width of the figure in inches.
        below: Room left below for a legend, in inches.
    """
    across = (width - _GAP * (columns + 1)) / columns
    down = across * aspect
    height = _TOP + rows * (_HEAD + down) + below + _GAP
    figure = sheet(height, width=width)
    grid = [
        [
            figure.add_axes(
                (
                    (_GAP + column * (across + _GAP)) / width,
                    (height - _TOP - (row + 1) * (_HEAD + down)) / height,
                    across / width,
                    down / height,
                )
            )
            for column in range(columns)
        ]
        for row in range(rows)
    ]
    return figure, grid


def largest_slice(region: Bool[np.ndarray, "z y x"], grid: Grid) -> int:
    """Slice, from foot to head, with most of a region; the middle one if it is empty."""
    area = View.of(grid).axial(region).sum(axis=(1, 2))
    return int(area.argmax()) if area.any() else len(area) // 2


def show_ct(
    axes: Axes, image: Int16[np.ndarray, "rows columns"] | Float[np.ndarray, "rows columns"], plane: Plane, phase: Phase
) -> None:
    """A slice of CT in the window of its phase."""
    low, high = WINDOWS[phase]
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, extent=extent(image, plane), interpolation="bilinear")
    _bare(axes)


def show_map(
    axes: Axes, image: Float[np.ndarray, "rows columns"], plane: Plane, *, cmap: str = "magma", top: float = 1.0
) -> AxesImage:
    """A slice of probabilities from 0 to ``top``; NaN stays black."""
    shown = axes.imshow(np.nan_to_num(image), cmap=cmap, vmin=0, vmax=top, extent=extent(image, plane))
    _bare(axes)
    return shown


def paint(axes: Axes, labels: UInt8[np.ndarray, "rows columns"], plane: Plane) -> None:
    """Lesion labels 1-6 filled with the colours of their types, with a thin edge."""
    colours = np.zeros((*labels.shape, 4))
    for lesion_type, colour in TYPE_COLOURS.items():
        colours[labels == lesion_type] = to_rgba(colour, _FILL)
    axes.imshow(colours, extent=extent(labels, plane), interpolation="nearest")
    for lesion_type, colour in TYPE_COLOURS.items():
        outline(axes, labels == lesion_type, plane, colour=colour, width=0.8)


def outline(
    axes: Axes,
    region: Bool[np.ndarray, "rows columns"],
    plane: Plane,
    *,
    colour: str = TRUTH_COLOUR,
    width: float = 1.1,
    dashed: bool = False,
) -> None:
    """Edge of a region."""
    if not region.any():
        return
    # A border of 0, so that a region at the edge of the picture has a closed outline.
    padded = np.pad(region, 1).astype(float)
    y, x = ((np.arange(n) - 1) * size for n, size in zip(padded.shape, plane.pixel, strict=True))
    axes.contour(x, y, padded, levels=[0.5], colors=[colour], linewidths=width, linestyles="--" if dashed else "-")


def extent(image: Shaped[np.ndarray, "rows columns"], plane: Plane) -> tuple[float, float, float, float]:
    """Edges of the picture in mm from the centre of its first pixel: left, right, bottom, top."""
    rows, columns = image.shape
    height, width = plane.pixel
    return -width / 2, (columns - 0.5) * width, (rows - 0.5) * height, -height / 2


def heading(axes: Axes, text: str) -> None:
    """Letter and words above a panel."""
    axes.set_title(text, loc="left", fontsize=7.5, color=INK, pad=3)


def sides(axes: Axes) -> None:
    """R and L: the patient's right is on the left."""
    for side, place in (("R", 0.02), ("L", 0.98)):
        axes.text(place, 0.5, side, transform=axes.transAxes, color="white", fontsize=7, va="center",
                  ha="left" if side == "R" else "right", path_effects=HALO)  # fmt: skip


def scale_bar(axes: Axes) -> None:
    """A bar of 2 or 5 cm at the lower left."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    length = 50.0 if right - left > 150 else 20.0
    x, y = left + 0.04 * (right - left), bottom + 0.06 * (top - bottom)
    axes.plot([x, x + length], [y, y], color="white", linewidth=2, solid_capstyle="butt", path_effects=HALO)
    axes.text(x, y + 0.02 * (top - bottom), f"{length / 10:.0f} cm", color="white", fontsize=6.5, va="bottom",
              path_effects=HALO)  # fmt: skip
    # Plotting widens the limits, and the picture would shrink.
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def type_marks(types: set[LesionType], *, truth: bool = False) -> list[Line2D]:
    """Entries of a legend for the types shown, and for the outline of the reference."""
    marks = [
        Line2D([], [], color=TYPE_COLOURS[t], marker="s", linestyle="none", markersize=6, markeredgecolor="#555555",
               markeredgewidth=0.4, label=t.title)
        for t in LESION_TYPES
        if t in types
    ]  # fmt: skip
    if truth:
        marks.append(Line2D([], [], color="white", linewidth=1.2, path_effects=HALO, label="truth"))
    return marks


def types_in(*labels: UInt8[np.ndarray, "rows columns"]) -> set[LesionType]:
    """Types that occur in pictures of labels."""
    return {LesionType(int(v)) for part in labels for v in np.unique(part) if v in tuple(LESION_TYPES)}


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[], facecolor="black")
    for spine in axes.spines.values():
        spine.set_visible(False)
