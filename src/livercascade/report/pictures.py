"""Pictures of the report: key images per lesion and phase, overview, HU curves, sensitivity sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes as Plot
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from livercascade.data.labels import LAST_LESION, LESION_TYPES, LesionType, Organ, Phase, label_name
from livercascade.data.scan import Scan
from livercascade.reclassification.candidate import Candidate, by_importance, numbered
from livercascade.report.panel import (
    DPI,
    INK,
    LIVER_COLOUR,
    TITLE_PX,
    Field,
    Picture,
    coronal_depth,
    draw_contour,
    draw_scale_bar,
    draw_sides,
    draw_title,
    new_figure,
    of_liver,
    picture_of,
    show_ct,
    within,
)
from livercascade.report.view import View
from livercascade.results.result import LesionRecord, SweepRow

MAX_KEY_IMAGES = 12
PANEL_PX = 232
OVERVIEW_PX = 240
CURVE_PX = 250
LEGEND_PX = 90
MIN_FIELD_MM = 120.0
FIELD_MARGIN_MM = 70.0
OVERVIEW_SLICES = 6
OVERVIEW_MARGIN_MM = 25.0
MUTED = "#6b7580"
TYPE_COLOURS: Mapping[LesionType, str] = {
    LesionType.HCC: "#ff5a3c",
    LesionType.ICC: "#ff9f1c",
    LesionType.META: "#ff5fd2",
    LesionType.HEM: "#4db8ff",
    LesionType.OTHER: "#f2e33a",
    LesionType.CYST: "#2ee6a8",
}
"""Colours that stand out on grey images and from each other, also for colour-blind readers."""

PRINT_COLOURS: Mapping[LesionType, str] = {
    LesionType.HCC: "#d43a1c",
    LesionType.ICC: "#d97b00",
    LesionType.META: "#b8288f",
    LesionType.HEM: "#1c7ec0",
    LesionType.OTHER: "#9a8a00",
    LesionType.CYST: "#0f9468",
}
"""The same hues, dark enough for a white page."""

ORGAN_COLOURS: Mapping[Organ, str] = {
    Organ.LIVER: LIVER_COLOUR,
    Organ.HEPATIC_VESSELS: "#3f7fd0",
    Organ.PORTAL_SPLENIC_VEIN: "#7a68d8",
    Organ.GALLBLADDER: "#5f9f52",
    Organ.SPLEEN: "#a8605c",
    Organ.PANCREAS: "#c0a060",
    Organ.STOMACH: "#8f8f8f",
}
"""Quiet colours, so that lesions stand out among them."""


@dataclass(frozen=True, slots=True)
class ReportPictures:
    """All pictures of one report.

    Attributes:
        overview: Slices through the whole liver with the label map.
        lesions: Key images by lesion id, most important first.
        curves: HU over the phases by lesion id; empty when there is one phase.
        sweep: Lesions and their volume over the sensitivity factor.
        left_out: Number of candidates without key images.
        alignment: Per phase that was aligned, it and the reference before and after, and the field.
    """

    overview: Picture | None = None
    lesions: Mapping[str, Picture] = field(default_factory=dict[str, Picture])
    curves: Mapping[str, Picture] = field(default_factory=dict[str, Picture])
    sweep: Picture | None = None
    left_out: int = 0
    alignment: Mapping[Phase, Picture] = field(default_factory=dict[Phase, Picture])

    @property
    def size(self) -> int:
        """Bytes of all PNG files."""
        singles = [p for p in (self.overview, self.sweep) if p]
        several = (*self.lesions.values(), *self.curves.values(), *self.alignment.values())
        return sum(len(p.png) for p in (*singles, *several))


def build_pictures(
    scan: Scan,
    labels: UInt8[np.ndarray, "z y x"],
    candidates: Sequence[Candidate],
    records: Sequence[LesionRecord],
    sweep: Sequence[SweepRow] = (),
) -> ReportPictures:
    """All pictures of a case.

    Args:
        scan: The phases on one grid.
        labels: Label map 0-13 on the same grid.
        candidates: Every proposal, removed ones too; the 12 most important get key images.
        records: Their measures, in the same order.
        sweep: Rows of the sensitivity sweep; none leaves its plot out.
    """
    view, named = View.of(scan.grid), numbered(candidates)
    shown = by_importance(candidates)[:MAX_KEY_IMAGES]
    measured = {record.id: record for record in records}
    return ReportPictures(
        overview=overview(scan, labels, view),
        lesions={name: key_images(scan, named[name], name, view) for name in shown},
        curves={name: hu_curve(measured[name]) for name in shown if len(measured[name].hu) > 1},
        sweep=sweep_plot(sweep) if sweep else None,
        left_out=len(candidates) - len(shown),
    )


def key_images(scan: Scan, candidate: Candidate, name: str, view: View) -> Picture:
    """The slice with the lesion's largest cross-section in every phase: same field, contour, scale bar.

    The contour is solid in the colour of the type, dashed where the candidate was removed.
    """
    part = view.axial(candidate.lesion.mask)
    box, largest = view.box(candidate.lesion.bbox, scan.grid.shape), int(part.sum(axis=(1, 2)).argmax())
    mask = np.zeros(view.axial(scan.hu[scan.reference]).shape[1:], dtype=np.bool_)
    mask[box[1:]] = part[largest]
    index, field_mm = box[0].start + largest, _field(mask, view)
    figure, pixel = new_figure(PANEL_PX * len(scan.phases), PANEL_PX + TITLE_PX), view.spacing[1:]
    for column, phase in enumerate(scan.phases):
        plot = figure.add_axes(_panel(column, len(scan.phases)))
        show_ct(plot, view.axial(scan.hu[phase])[index], phase, pixel, field_mm)
        draw_contour(plot, mask, pixel, TYPE_COLOURS[candidate.label], dashed=not candidate.present)
        draw_title(plot, f"{phase.value}  {phase.title}")
    draw_sides(figure.axes[0])
    draw_scale_bar(figure.axes[0])
    state = "removed candidate" if not candidate.present else candidate.label.title
    phases = ", ".join(phase.title for phase in scan.phases)
    return picture_of(figure, f"{name}, {state}: axial slice of the largest cross-section in {phases} phase, outlined.")


def _field(mask: np.ndarray, view: View) -> Field:
    rows, columns = np.nonzero(mask)
    y, x = (rows.min() + rows.max()) / 2 * view.spacing[1], (columns.min() + columns.max()) / 2 * view.spacing[2]
    extent = max(np.ptp(rows) * view.spacing[1], np.ptp(columns) * view.spacing[2])
    half = max(MIN_FIELD_MM, float(extent) + FIELD_MARGIN_MM) / 2
    return (x - half, x + half, y + half, y - half)


def _panel(column: int, columns: int) -> Field:
    gap = 4 / (PANEL_PX * columns)
    return (column / columns + gap / 2, 0.0, 1 / columns - gap, PANEL_PX / (PANEL_PX + TITLE_PX))


def overview(scan: Scan, labels: UInt8[np.ndarray, "z y x"], view: View) -> Picture:
    """Six axial slices through the liver and one coronal slice, all on one scale, with the label map in colour."""
    axial, coronal = view.axial(labels), view.coronal(labels)
    hu = scan.hu[scan.reference]
    (z0, z1), (y0, y1), (x0, x1) = _bounds(axial, view)
    column = OVERVIEW_PX / (x1 - x0)
    row_px, coronal_px = (y1 - y0) * column + TITLE_PX, (z1 - z0) * column + TITLE_PX
    height = max(2 * row_px, coronal_px + LEGEND_PX)
    figure = new_figure(round(OVERVIEW_PX * 4), round(height))
    for number, index in enumerate(_slices(axial)):
        corner = (number % 3, height - (number // 3 + 1) * row_px)
        plot = _tile(figure, corner, row_px - TITLE_PX)
        show_ct(plot, view.axial(hu)[index], scan.reference, view.spacing[1:], (x0, x1, y1, y0))
        _overlay(plot, axial[index], view.spacing[1:], (x0, x1, y1, y0))
        draw_title(plot, f"slice {view.source_slice(index, len(axial))}")
    plot = _tile(figure, (3, height - coronal_px), coronal_px - TITLE_PX)
    depth, pixel = coronal_depth(axial), (view.spacing[0], view.spacing[2])
    last = (len(axial) - 1) * view.spacing[0]
    shown = (x0, x1, last - z0, last - z1)
    show_ct(plot, view.coronal(hu)[depth], scan.reference, pixel, shown)
    _overlay(plot, coronal[depth], pixel, shown)
    draw_title(plot, "coronal")
    draw_sides(figure.axes[0])
    draw_scale_bar(figure.axes[0])
    _legend(figure, labels)
    return picture_of(figure, f"Six axial slices and one coronal slice, {scan.reference.title} phase, with labels.")


def _tile(figure: Figure, corner: tuple[int, float], height_px: float) -> Plot:
    width, height = figure.get_size_inches() * DPI
    left = corner[0] * OVERVIEW_PX + 2
    return figure.add_axes((left / width, corner[1] / height, (OVERVIEW_PX - 4) / width, height_px / height))


def _bounds(labels: np.ndarray, view: View) -> tuple[tuple[float, float], ...]:
    """First and last mm of all labels along each axis, with a margin; the whole array where there are none."""
    out: list[tuple[float, float]] = []
    for axis, step in enumerate(view.spacing):
        rest = tuple(a for a in range(3) if a != axis)
        found = np.flatnonzero(labels.any(axis=rest)) if labels.any() else np.arange(labels.shape[axis])
        low, high = found[0] * step - OVERVIEW_MARGIN_MM, found[-1] * step + OVERVIEW_MARGIN_MM
        out.append((max(low, -step / 2), min(high, (labels.shape[axis] - 0.5) * step)))
    return tuple(out)


def _slices(labels: np.ndarray) -> list[int]:
    found = np.flatnonzero(of_liver(labels).any(axis=(1, 2)))
    first, last = (found[0], found[-1]) if found.size else (0, len(labels) - 1)
    # Middles of equal parts: the very top and bottom show hardly any liver.
    middles = (np.arange(OVERVIEW_SLICES) + 0.5) / OVERVIEW_SLICES
    return [int(index) for index in np.round(last - middles * (last - first))]


def _overlay(plot: Plot, labels: np.ndarray, pixel: tuple[float, float], shown: Field) -> None:
    part, extent = within(labels, pixel, shown)
    painted = np.zeros((*part.shape, 4))
    for value, colour in _painted().items():
        alpha = 0.45 if value <= LAST_LESION else 0.35
        painted[part == value] = (*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), alpha)
    plot.imshow(painted, extent=extent, interpolation="nearest", aspect="auto")
    whole = of_liver(labels) | (labels == Organ.HEPATIC_VESSELS)
    draw_contour(plot, whole, pixel, LIVER_COLOUR, dashed=False, width=0.8)


def _painted() -> dict[int, str]:
    """Colours of what is filled; the liver is outlined."""
    lesions = {int(lesion_type): colour for lesion_type, colour in TYPE_COLOURS.items()}
    return lesions | {int(organ): colour for organ, colour in ORGAN_COLOURS.items() if organ is not Organ.LIVER}


def _legend(figure: Figure, labels: np.ndarray) -> None:
    colours = _painted()
    present = [value for value in colours if bool((labels == value).any())]
    marks = [Line2D([], [], color=colours[v], marker="s", linestyle="none", label=label_name(v)) for v in present]
    marks.append(Line2D([], [], color=LIVER_COLOUR, label="liver"))
    columns = 2 if len(marks) > 4 else 1
    figure.legend(
        handles=marks, loc="lower left", bbox_to_anchor=(0.752, 0.0), ncols=columns, fontsize=7, frameon=False,
        labelcolor=INK, handletextpad=0.4, columnspacing=1.0, labelspacing=0.35, borderaxespad=0.2,
    )  # fmt: skip


def hu_curve(record: LesionRecord) -> Picture:
    """Median HU of a lesion and of the liver round it over the phases."""
    figure = new_figure(CURVE_PX, PANEL_PX + TITLE_PX)
    plot = figure.add_axes((0.17, 0.11, 0.8, 0.74))
    phases, places = list(record.hu), range(len(record.hu))
    liver = [record.hu[p].liver_median for p in phases]
    line = [np.nan if value is None else value for value in liver]
    plot.plot(places, line, color=MUTED, marker="o", markersize=3.5, linestyle="--", linewidth=1.3, label="liver")
    medians = [record.hu[p].median for p in phases]
    plot.plot(places, medians, color=INK, marker="o", markersize=4, linewidth=1.8, label=record.id)
    plot.set(xlim=(-0.3, len(phases) - 0.7), xticks=list(places), xticklabels=[p.value for p in phases])
    _plain(plot)
    plot.margins(y=0.2)
    plot.legend(fontsize=7, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.02, 0.98), borderaxespad=0.1)
    draw_title(plot, "median HU")
    values = "; ".join(f"{p.value} {record.hu[p].median:.0f} HU" for p in phases)
    return picture_of(figure, f"Median HU of {record.id} over the phases: {values}.")


def sweep_plot(rows: Sequence[SweepRow]) -> Picture:
    """Number and volume of lesions over the sensitivity factor f, by type (paper, Fig. 11)."""
    rows = sorted(rows, key=lambda row: row.factor)
    figure = new_figure(760, 230)
    left = figure.add_axes((0.06, 0.19, 0.41, 0.66))
    right = figure.add_axes((0.57, 0.19, 0.41, 0.66))
    factors = [row.factor for row in rows]
    _sweep_lines(left, factors, [float(row.lesions) for row in rows], rows, volume=False)
    _sweep_lines(right, factors, [row.volume_ml for row in rows], rows, volume=True)
    draw_title(left, "lesions")
    draw_title(right, "volume (ml)")
    left.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    # Volumes only grow with f: the upper left corner is free.
    right.legend(fontsize=7, frameon=False, ncols=2, loc="upper left", borderaxespad=0.1, columnspacing=1.0)
    ends = (rows[0], rows[-1])
    ends_in_words = ", ".join(f"f = {row.factor:g}: {row.lesions} lesions, {row.volume_ml:.1f} ml" for row in ends)
    return picture_of(figure, f"Lesions and lesion volume over the sensitivity factor; {ends_in_words}.")


def _sweep_lines(
    plot: Plot, factors: Sequence[float], totals: Sequence[float], rows: Sequence[SweepRow], *, volume: bool
) -> None:
    for lesion_type in LESION_TYPES:
        counts = [row.by_type.get(lesion_type) for row in rows]
        values = [0.0 if c is None else c.volume_ml if volume else float(c.lesions) for c in counts]
        if any(values):
            colour = PRINT_COLOURS[lesion_type]
            plot.plot(factors, values, color=colour, linewidth=1.4, marker=".", label=lesion_type.title)
    plot.plot(factors, totals, color=INK, linewidth=1.8, marker="o", markersize=3.5, label="all")
    plot.set_xscale("log")
    plot.xaxis.set_major_locator(FixedLocator(list(factors)))
    plot.xaxis.set_minor_locator(NullLocator())
    plot.set_xticks(list(factors), [f"{factor:g}" for factor in factors])
    plot.set_xlabel("sensitivity factor f", fontsize=7.5, color=MUTED, labelpad=2)
    plot.set_ylim(0, max(*totals, 1.0) * 1.12)
    _plain(plot)


def _plain(plot: Plot) -> None:
    plot.spines[["top", "right"]].set_visible(False)
    plot.spines[["left", "bottom"]].set_color("#b9c0c6")
    plot.tick_params(labelsize=7.5, color="#b9c0c6", labelcolor=INK, length=3)
    plot.grid(axis="y", color="#e6e9eb", linewidth=0.7)
    plot.set_axisbelow(True)
