"""Pieces that every picture of the report is made of: window, panel, outline, scale, PNG."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from math import ceil, floor

import numpy as np
from matplotlib.axes import Axes as Plot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from PIL import Image

from livercascade.data.labels import FIRST_LESION, LAST_LESION, Organ, Phase

TITLE_PX = 20
DPI = 100
GREY_STEP = 6
_ROUND = 2
INK = "#1d2329"
HALO = (Stroke(linewidth=2.5, foreground="black"), Normal())
LIVER_COLOUR = "#7fd0c4"
Field = tuple[float, float, float, float]
"""Left, right, bottom and top of what a panel shows, in mm from the first voxel."""

WINDOWS: Mapping[Phase, tuple[int, int]] = {
    Phase.NC: (-20, 120),
    Phase.AP: (-20, 180),
    Phase.VP: (0, 200),
    Phase.DP: (-10, 180),
}
"""Displayed HU range of each phase, narrow enough to tell a lesion from liver."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One PNG with the words that stand for it.

    Attributes:
        png: The file.
        alt: What it shows, for readers who cannot see it.
        width: Pixels across.
        height: Pixels down.
    """

    png: bytes
    alt: str
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def show_ct(plot: Plot, image: np.ndarray, phase: Phase, pixel: tuple[float, float], shown: Field) -> None:
    """An image in the window of a phase, over a field in mm."""
    (low, high), (part, extent) = WINDOWS[phase], within(image, pixel, shown)
    plot.imshow(part, cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="bilinear", aspect="auto")
    plot.set(xlim=shown[:2], ylim=shown[2:])
    hide_frame(plot)


def extent_of(image: np.ndarray, pixel: tuple[float, float]) -> Field:
    """Left, right, bottom and top in mm of a whole image, the first voxel at 0."""
    return _extent(slice(0, image.shape[0]), slice(0, image.shape[1]), pixel)


def within(image: np.ndarray, pixel: tuple[float, float], shown: Field) -> tuple[np.ndarray, Field]:
    """What a field in mm shows of an image, and its extent: the rest would be drawn too, and cost as much.

    A little more than the field, so that interpolation at its border does not change.
    """
    rows, columns = (
        slice(max(0, floor(min(ends) / size) - _ROUND), max(0, ceil(max(ends) / size) + _ROUND + 1))
        for ends, size in zip((shown[2:], shown[:2]), pixel, strict=True)
    )
    part = image[rows, columns]
    if not part.size:
        return image, extent_of(image, pixel)
    rows, columns = (slice(s.start, s.start + n) for s, n in zip((rows, columns), part.shape[:2], strict=True))
    return part, _extent(rows, columns, pixel)


def _extent(rows: slice, columns: slice, pixel: tuple[float, float]) -> Field:
    left, right = ((at - 0.5) * pixel[1] for at in (columns.start, columns.stop))
    return (left, right, (rows.stop - 0.5) * pixel[0], (rows.start - 0.5) * pixel[0])


def hide_frame(plot: Plot) -> None:
    """No ticks and no box; black where there is no image."""
    plot.set(xticks=[], yticks=[], facecolor="black")
    for spine in plot.spines.values():
        spine.set_visible(False)


def draw_contour(
    plot: Plot, mask: np.ndarray, pixel: tuple[float, float], colour: str, *, dashed: bool, width: float = 1.3
) -> None:
    """Outline of a mask."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return
    first = (int(rows[0]), int(columns[0]))
    # Padded: the outline of a mask at the edge must close.
    padded = np.pad(mask[first[0] : rows[-1] + 1, first[1] : columns[-1] + 1], 1)
    y, x = ((np.arange(n) + at - 1) * size for n, at, size in zip(padded.shape, first, pixel, strict=True))
    plot.contour(x, y, padded, levels=[0.5], colors=[colour], linewidths=width, linestyles="--" if dashed else "-")


def draw_title(plot: Plot, text: str) -> None:
    """Small words above a panel."""
    plot.set_title(text, loc="left", fontsize=8, color=INK, pad=3)


def draw_sides(plot: Plot) -> None:
    """The letters R and L at the sides."""
    for side, place in (("R", 0.02), ("L", 0.98)):
        plot.text(
            place, 0.5, side, transform=plot.transAxes, color="white", fontsize=8, va="center", path_effects=HALO,
            ha="left" if side == "R" else "right",
        )  # fmt: skip


def draw_scale_bar(plot: Plot) -> None:
    """A bar of 20 or 50 mm in the lower left corner."""
    left, right = plot.get_xlim()
    bottom, top = plot.get_ylim()
    length = 50.0 if right - left > 150 else 20.0
    x, y = left + 0.04 * (right - left), bottom + 0.05 * (top - bottom)
    plot.plot([x, x + length], [y, y], color="white", linewidth=2, solid_capstyle="butt", path_effects=HALO)
    plot.text(
        x, y + 0.02 * (top - bottom), f"{length:.0f} mm", color="white", fontsize=7, va="bottom", path_effects=HALO
    )


def of_liver(labels: np.ndarray) -> np.ndarray:
    """Liver parenchyma and lesions."""
    return ((labels >= FIRST_LESION) & (labels <= LAST_LESION)) | (labels == Organ.LIVER)


def coronal_depth(labels: np.ndarray) -> int:
    """Front-back position with the most lesion, or else the most liver."""
    lesions = ((labels >= FIRST_LESION) & (labels <= LAST_LESION)).sum(axis=(0, 2))
    return int((lesions if lesions.any() else of_liver(labels).sum(axis=(0, 2))).argmax())


def new_figure(width: int, height: int) -> Figure:
    """White figure of this many pixels."""
    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")


def picture_of(figure: Figure, alt: str) -> Picture:
    """The figure as a PNG in few greys."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(np.uint16)
    # Noise in the lowest bits is most of a CT picture's size and is not seen.
    coarse = ((pixels + GREY_STEP // 2) // GREY_STEP * GREY_STEP).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(coarse)
    packed = BytesIO()
    # The highest level takes eight times as long and saves a tenth.
    image.save(packed, format="png", compress_level=6)
    return Picture(packed.getvalue(), alt, image.width, image.height)
