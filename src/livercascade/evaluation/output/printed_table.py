"""A table as it is printed: header rows with spans, rows of text, a caption; and the same as LaTeX with booktabs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "\n": ", ",
    "×": r"$\times$",
}


Head = tuple[str, int]
"""One heading and the number of columns it spans."""


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
        caption: Words on how to read it.
        head: Header rows, top first; the spans of each sum to the number of columns.
        rows: The rows.
    """

    name: str
    title: str
    caption: str
    head: tuple[tuple[Head, ...], ...]
    rows: tuple[Row, ...]


def heads(*texts: str | Head) -> tuple[Head, ...]:
    """A header row; a heading without a number of columns is over one."""
    return tuple((text, 1) if isinstance(text, str) else text for text in texts)


def latex_table(table: PrintedTable) -> str:
    """A ``table`` environment for a document that loads ``booktabs`` and ``graphicx``."""
    columns = sum(span for _, span in table.head[0])
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{escaped(table.title)}. {escaped(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}",
        r"\toprule",
        *_head(table),
        r"\midrule",
        *_body(table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    r"""Text with the characters that LaTeX takes for commands escaped.

    >>> print(escaped("FL_pred 5 %"))
    FL\_pred 5 \%
    """
    return "".join(_ESCAPED.get(letter, letter) for letter in text)


def _head(table: PrintedTable) -> Iterable[str]:
    for number, row in enumerate(table.head):
        cells = [
            escaped(text) if span == 1 else rf"\multicolumn{{{span}}}{{c}}{{{escaped(text)}}}" for text, span in row
        ]
        yield _line(cells)
        if number < len(table.head) - 1:
            yield _rules(table, number)


def _rules(table: PrintedTable, number: int) -> str:
    start, rules = 1, list[str]()
    for _, span in table.head[number]:
        if span > 1:
            rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    return " ".join(rules)


def _body(rows: Iterable[Row]) -> Iterable[str]:
    for number, row in enumerate(rows):
        if row.ruled and number:
            yield r"\midrule"
        yield _line([escaped(cell) for cell in row.cells])


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
