"""How phases were aligned, for people: measures over the liver, chequerboards before and after, and the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes as Plot
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from livercascade.alignment.align_phases import PhaseAlignment, PhaseUse
from livercascade.alignment.displacement_field import DisplacementField
from livercascade.alignment.registration_quality import BeforeAfter
from livercascade.data.grid import Grid
from livercascade.data.labels import Organ, Phase
from livercascade.data.scan import Scan
from livercascade.report.panel import (
    LIVER_COLOUR,
    TITLE_PX,
    WINDOWS,
    Picture,
    coronal_depth,
    draw_contour,
    draw_scale_bar,
    draw_sides,
    draw_title,
    extent_of,
    hide_frame,
    new_figure,
    of_liver,
    picture_of,
    show_ct,
)
from livercascade.report.view import View
from livercascade.results.result import AlignmentRecord

PANEL_PX = 316
BAR_PX = 52
TILE_MM = 30.0
ARROW_MM = 14.0
"""Distance of the arrows that show the field; they are drawn at true length."""
MIN_SCALE_MM = 5.0
ALREADY_MM = 1.0
"""A liver that moves less than this lay on the reference already."""


def measure_alignment(gated: PhaseAlignment, labels: UInt8[np.ndarray, "z y x"], grid: Grid) -> AlignmentRecord:
    """Record of one phase.

    Args:
        gated: What alignment and gate did with it.
        labels: Label map 0-13, for the displacement over the liver.
        grid: Grid of the reference phase and the label map.
    """
    quality = gated.quality
    length = _lengths_in_liver(gated, labels, grid)
    return AlignmentRecord(
        phase=gated.phase,
        use=gated.use,
        similarity=_rounded(quality.similarity),
        body_overlap=_rounded(quality.body_overlap),
        folded=quality.folded,
        mean_mm=_mm(quality.mean_mm),
        p95_mm=_mm(quality.p95_mm),
        max_mm=_mm(quality.max_mm),
        liver_mean_mm=round(float(length.mean()), 2) if length.size else None,
        liver_p95_mm=round(float(np.percentile(length, 95)), 2) if length.size else None,
        offset_mm=round(gated.offset_mm, 2),
        sideways_mm=(round(gated.sideways_mm[0], 2), round(gated.sideways_mm[1], 2)),
        seconds=round(gated.seconds, 2),
        reasons=quality.reasons,
    )


def in_words(record: AlignmentRecord, reference: Phase) -> str:
    """What was done with a phase, for a reader of images."""
    if record.use is PhaseUse.DROPPED:
        return "left out: nothing below rests on it."
    if record.use is PhaseUse.UNALIGNED:
        return (
            "used as the headers place it, since the alignment was poor. Organs may lie apart from the "
            f"{reference.title} phase; read its HU with care."
        )
    if record.liver_mean_mm is None or record.liver_p95_mm is None:
        return f"moved onto the {reference.title} phase."
    if record.liver_p95_mm == 0:
        return f"lay on the {reference.title} phase already, and was left there."
    if record.liver_p95_mm < ALREADY_MM:
        return f"lay on the {reference.title} phase already, to within {record.liver_p95_mm:.1f} mm in the liver."
    return (
        f"moved onto the {reference.title} phase: the liver lay {record.liver_mean_mm:.0f} mm away on average, "
        f"95 % of it within {record.liver_p95_mm:.0f} mm."
    )


def _mm(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _rounded(measure: BeforeAfter) -> BeforeAfter:
    # Mutual information of unrelated images comes out a rounding error below 0.
    return BeforeAfter(round(max(measure.before, 0.0), 4), round(max(measure.after, 0.0), 4))


def _lengths_in_liver(gated: PhaseAlignment, labels: UInt8[np.ndarray, "z y x"], grid: Grid) -> np.ndarray:
    coarse = gated.field
    if coarse is None:
        return np.empty(0)
    steps = [round(wide / fine) for wide, fine in zip(coarse.grid.spacing, grid.spacing, strict=True)]
    seen = labels[:: steps[0], :: steps[1], :: steps[2]]
    vectors = coarse.vectors_mm[of_liver(seen) | (seen == Organ.HEPATIC_VESSELS)].copy()
    vectors -= np.asarray(gated.shift_mm, dtype=np.float32)
    return np.linalg.norm(vectors, axis=1)


def alignment_pictures(
    scan: Scan, labels: UInt8[np.ndarray, "z y x"], phases: Sequence[PhaseAlignment]
) -> Mapping[Phase, Picture]:
    """One picture per phase: a coronal slice with the reference before and after, and the field.

    Args:
        scan: Gives the reference phase.
        labels: Label map 0-13; the slice with the most liver is shown.
        phases: What alignment and gate did.
    """
    view = View.of(scan.grid)
    return {gated.phase: _picture(scan, labels, gated, view) for gated in phases}


def _picture(scan: Scan, labels: UInt8[np.ndarray, "z y x"], gated: PhaseAlignment, view: View) -> Picture:
    depth = coronal_depth(view.axial(labels))
    pixel = (view.spacing[0], view.spacing[2])
    reference, liver = (view.coronal(a)[depth] for a in (scan.hu[scan.reference], _whole_liver(labels)))
    left, right, bottom, top = _field_of_view(reference, pixel)
    height = round(PANEL_PX * (bottom - top) / (right - left))
    width = 3 * PANEL_PX + BAR_PX
    figure = new_figure(width, height + TITLE_PX)
    words = "used" if gated.use is PhaseUse.ALIGNED else "not used"
    names = (f"{scan.reference.value} and {gated.phase.value} before", f"after alignment ({words})")
    shown = (left, right, bottom, top)
    for column, (image, name) in enumerate(zip((gated.before, gated.after), names, strict=True)):
        plot = _panel(figure, column, (width, height), shown, name)
        board = _chequered(reference, view.coronal(image)[depth], (scan.reference, gated.phase), pixel)
        plot.imshow(board, cmap="gray", vmin=0, vmax=1, extent=extent_of(board, pixel), aspect="auto")
        draw_contour(plot, liver, pixel, LIVER_COLOUR, dashed=False, width=0.8)
        draw_sides(plot)
    name = "the aligner gave no field" if gated.field is None else "displacement, arrows at true length"
    plot = _panel(figure, 2, (width, height), shown, name)
    show_ct(plot, reference, scan.reference, pixel, shown)
    if gated.field is not None:
        vectors = _plane_vectors(gated.field, gated.shift_mm, scan.grid, view, depth)
        _draw_field(figure, plot, vectors, reference, pixel)
    draw_contour(plot, liver, pixel, LIVER_COLOUR, dashed=False, width=0.8)
    draw_scale_bar(plot)
    title = f"{gated.phase.title} phase"
    return picture_of(
        figure, f"{title}: coronal chequerboards with the {scan.reference.title} phase before and after, and the field."
    )


def _whole_liver(labels: UInt8[np.ndarray, "z y x"]) -> np.ndarray:
    return of_liver(labels) | (labels == Organ.HEPATIC_VESSELS)


def _field_of_view(image: np.ndarray, pixel: tuple[float, float]) -> tuple[float, float, float, float]:
    """The whole slice, cut at the sides to the body: left, right, bottom, top in mm."""
    # Air and lung lie below -300 HU, fat and skin above.
    columns = np.flatnonzero((image > -300).mean(axis=0) > 0.05)
    first, last = (columns[0], columns[-1]) if columns.size else (0, image.shape[1] - 1)
    left, right, bottom, top = extent_of(image, pixel)
    return max(left, first * pixel[1] - 10.0), min(right, last * pixel[1] + 10.0), bottom, top


def _panel(
    figure: Figure, column: int, size: tuple[int, int], shown: tuple[float, float, float, float], name: str
) -> Plot:
    width, height = size
    plot = figure.add_axes(((column * PANEL_PX + 2) / width, 0.0, (PANEL_PX - 4) / width, height / (height + TITLE_PX)))
    plot.set(xlim=shown[:2], ylim=shown[2:])
    plot.set_autoscale_on(False)
    hide_frame(plot)
    draw_title(plot, name)
    return plot


def _chequered(
    reference: np.ndarray, moving: np.ndarray, phases: tuple[Phase, Phase], pixel: tuple[float, float]
) -> np.ndarray:
    """Grey values 0 to 1: tiles of the reference and of the other phase in turn, each in its own window."""
    rows, columns = np.indices(reference.shape)
    second = ((rows * pixel[0] // TILE_MM + columns * pixel[1] // TILE_MM) % 2).astype(bool)
    grey = [
        np.clip((image - WINDOWS[phase][0]) / (WINDOWS[phase][1] - WINDOWS[phase][0]), 0.0, 1.0)
        for image, phase in zip((reference, moving), phases, strict=True)
    ]
    return np.where(second, grey[1], grey[0])


def _plane_vectors(
    field: DisplacementField, shift_mm: tuple[float, float, float], grid: Grid, view: View, depth: int
) -> np.ndarray:
    """Displacement (x, y, z) in LPS mm at each pixel of a coronal slice, without the shift of the headers."""
    ranges = [np.arange(n).reshape([-1 if a == axis else 1 for a in range(3)]) for axis, n in enumerate(grid.shape)]
    index = np.stack([view.coronal(np.broadcast_to(r, grid.shape))[depth] for r in ranges], axis=-1)
    vectors = field.at(grid.world(index.reshape(-1, 3).astype(np.float64)))
    vectors -= np.asarray(shift_mm, dtype=np.float32)
    return vectors.reshape(index.shape)


def _draw_field(
    figure: Figure, plot: Plot, vectors: np.ndarray, reference: np.ndarray, pixel: tuple[float, float]
) -> None:
    length = np.linalg.norm(vectors, axis=-1)
    scale = Normalize(0.0, max(MIN_SCALE_MM, float(np.percentile(length, 99.5))))
    shown = np.ma.masked_where(reference < -300, length)
    plot.imshow(shown, cmap="viridis", norm=scale, alpha=0.4, extent=extent_of(length, pixel), aspect="auto")
    rows, columns = (np.arange(0, n, max(1, round(ARROW_MM / p))) for n, p in zip(length.shape, pixel, strict=True))
    at = np.ix_(rows, columns)
    body = reference[at] > -300
    z, x = np.meshgrid(rows * pixel[0], columns * pixel[1], indexing="ij")
    # Picture coordinates grow to the left of the patient and to the feet.
    right, down = vectors[at][..., 0], -vectors[at][..., 2]
    plot.quiver(
        x[body], z[body], right[body], down[body], angles="xy", scale_units="xy", scale=1.0, color="white", width=0.006
    )
    place = plot.get_position()
    bar = figure.add_axes((place.x1 + 0.008, place.y0 + 0.08, 0.011, place.height - 0.16))
    figure.colorbar(ScalarMappable(scale, "viridis"), cax=bar)
    bar.tick_params(labelsize=7, length=2)
    draw_title(bar, "mm")
