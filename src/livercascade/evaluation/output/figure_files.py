"""Figures as the page and the output folder take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DrawnFigure:
    """One figure.

    Attributes:
        name: File stem in the output folder and anchor in the page, for example ``figure_11_sensitivity_sweep``.
        title: Heading; names the figure of the paper where there is one.
        caption: One or two sentences: what is seen, what counts, how many cases.
        svg: Vector drawing, one ``<svg>`` element with or without XML prologue; None if there is only a bitmap.
        png: Bitmap; None if there is only a drawing.
        alt: Text for a person who cannot see it; the title if empty.

    Raises:
        ValueError: There is neither drawing nor bitmap.
    """

    name: str
    title: str
    caption: str
    svg: bytes | None = None
    png: bytes | None = None
    alt: str = ""

    def __post_init__(self) -> None:
        if self.svg is None and self.png is None:
            raise ValueError(f"figure {self.name} has neither drawing nor bitmap")


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one evaluation, in the order of the paper.

    Attributes:
        drawn: Figures that were drawn.
        missing: Heading and reason of the figures that could not be drawn, by the file stem they would have had.
    """

    drawn: tuple[DrawnFigure, ...]
    missing: Mapping[str, str]


NO_FIGURES = Figures((), {})
"""What an evaluation without figures has."""
