"""A table as it is printed: header rows with spans, rows of text, a caption; what LaTeX and the page share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Head:
    """One heading over ``span`` columns."""

    text: str
    span: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        cells: Text of every column; the first names the row. A newline asks for a second line in the cell.
        ruled: True draws a line above it.
    """

    cells: tuple[str, ...]
    ruled: bool = False


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """One table for people.

    Attributes:
        name: File stem and anchor.
        title: Heading; says ``virtual`` where the patients are.
        caption: How to read it.
        head: Header rows, top first; the spans of each sum to the number of columns.
        rows: The rows.
    """

    name: str
    title: str
    caption: str
    head: tuple[tuple[Head, ...], ...]
    rows: tuple[Row, ...]


def heads(*texts: str) -> tuple[Head, ...]:
    """Headings over one column each."""
    return tuple(Head(text) for text in texts)
