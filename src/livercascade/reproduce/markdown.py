"""The claims and the ablation as Markdown, for a repository or an issue; the page says more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from livercascade.evaluation.output.printed_table import PrintedTable
from livercascade.reproduce.page import measured
from livercascade.reproduce.verdict import JudgedClaim, Statement


def claims_markdown(title: str, claims: Sequence[JudgedClaim], ablation: PrintedTable, notes: Sequence[str]) -> str:
    """A document of its own.

    Args:
        title: What was reproduced.
        claims: As judged.
        ablation: The paper's ablation.
        notes: What a reader has to know.
    """
    counts = ", ".join(f"{sum(c.statement is s for c in claims)} {s.value}" for s in Statement)
    lines = [f"# {title}", "", f"Claims on **virtual** patients: {counts}.", "", *(f"* {note}" for note in notes), ""]
    lines += [f"## {ablation.title}", "", ablation.caption, "", *_table(ablation), ""]
    lines += ["## Claim by claim", "", "| | claim | measured [95 %] |", "|---|---|---|"]
    lines += [f"| {c.statement.value} | {_cell(c.claim.title)} | {_cell(_parts(c))} |" for c in claims]
    return "\n".join(lines) + "\n"


def _parts(claim: JudgedClaim) -> str:
    def of(row: str) -> str:
        return "" if row == "All" else f" ({row.lower()})"

    return "; ".join(
        f"{p.part.figure.value}{of(p.part.row)}, {p.part.two}: {measured(p)}" + (f" ({p.counts})" if p.counts else "")
        for p in claim.parts
    )


def _table(table: PrintedTable) -> Iterator[str]:
    head = table.head[-1]
    yield "| " + " | ".join(_cell(h.text) for h in head for _ in range(h.span)) + " |"
    columns = sum(h.span for h in head)
    yield "|---|" + "---:|" * (columns - 1)
    for row in table.rows:
        # A row with nothing but a name is a heading.
        name = _cell(row.cells[0])
        cells = [name if any(row.cells[1:]) else f"**{name}**", *map(_cell, row.cells[1:])]
        yield "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")
