"""One look for every figure, and how a drawing becomes a figure of the page."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from livercascade.evaluation.output.figure_files import DrawnFigure
from livercascade.evaluation.statistics.ranking import Estimate

INK, MUTED, RULE, GRID_LINE = "#1d2329", "#5b6670", "#b9c0c6", "#e6e9eb"
BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
"""Okabe and Ito's palette, apart also for colour-blind readers; used with different dashes and markers."""
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
DPI = 150
WIDTH = 7.2
"""Inches: two columns of a journal."""


def sheet(height: float, *, width: float = WIDTH) -> Figure:
    """An empty white figure, in inches."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white")


def picture(figure: Figure, name: str, title: str, caption: str, alt: str = "", *, virtual: bool) -> DrawnFigure:
    """The figure as SVG and PNG with its title on top.

    Args:
        figure: The drawing.
        name: File stem.
        title: Heading; names the figure of the paper where there is one.
        caption: What is seen, what counts.
        alt: Text for readers who cannot see it; the caption if empty.
        virtual: True if the patients are virtual; the title says so.
    """
    title = f"{title} (virtual patients)" if virtual else title
    figure.suptitle(title, x=0.012, y=0.995, ha="left", va="top", fontsize=9, fontweight="bold", color=INK)
    # A canvas by hand instead of pyplot, which keeps every figure alive.
    FigureCanvasAgg(figure)
    vector, bitmap = BytesIO(), BytesIO()
    # A fixed salt and no date: the same numbers give the same bytes.
    with rc_context({"svg.hashsalt": "livercascade", "svg.fonttype": "path"}):
        figure.savefig(vector, format="svg", metadata={"Date": None})
    figure.savefig(bitmap, format="png", metadata={"Software": None})
    return DrawnFigure(name, title, caption, vector.getvalue(), bitmap.getvalue(), alt or caption)


def plain(axes: Axes, *, xlabel: str = "", ylabel: str = "", title: str = "", grid: str = "y") -> Axes:
    """Axes without a box, with quiet rules and labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(labelsize=7.5, color=RULE, labelcolor=INK, length=3)
    if grid in ("x", "y", "both"):
        axes.grid(axis="both" if grid == "both" else "x" if grid == "x" else "y", color=GRID_LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, fontsize=8, color=INK)
    axes.set_ylabel(ylabel, fontsize=8, color=INK)
    axes.set_title(title, loc="left", fontsize=8.5, color=INK, pad=6)
    return axes


def factor_axis(axes: Axes, factors: Sequence[float]) -> None:
    """Logarithmic axis with a tick at each sensitivity factor."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(list(factors)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(factors), [f"{f:g}" for f in factors])


def legend(axes: Axes, *, place: Literal["upper left", "upper right", "lower right"], columns: int = 1) -> None:
    """A legend without frame."""
    axes.legend(fontsize=7, frameon=False, ncols=columns, loc=place, labelcolor=INK, handlelength=2.4)


def as_text(estimate: Estimate, *, percent: bool = False, digits: int = 2) -> str:
    """A metric with its interval for people.

    >>> as_text(Estimate(0.5, (0.25, 0.75)))
    '0.50 (0.25 to 0.75)'
    """
    if estimate.value is None:
        return "undefined"
    scale, unit, digits = (100.0, " %", 0) if percent else (1.0, "", digits)
    value = f"{estimate.value * scale:.{digits}f}{unit}"
    if estimate.interval is None:
        return value
    low, high = (f"{end * scale:.{digits}f}" for end in estimate.interval)
    return f"{value} ({low} to {high})"
