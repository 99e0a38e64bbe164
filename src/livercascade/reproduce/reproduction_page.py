"""What comes out, for people: one HTML page that needs no network, and claims and ablation as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from livercascade.evaluation.output.figure_files import Figures
from livercascade.evaluation.output.html_page import Section, environment, inline, sections
from livercascade.evaluation.output.number_text import NONE, percent
from livercascade.evaluation.output.printed_table import PrintedTable
from livercascade.evaluation.output.tables_json import Tables
from livercascade.reproduce.claim_metrics import PatientResults
from livercascade.reproduce.claim_results import RULE, ClaimResult, PartResult, Statement
from livercascade.reproduce.claims import ClaimPart, Contrast
from livercascade.reproduce.experiment import ExperimentSettings
from livercascade.reproduce.reproduction_tables import ablation_table, size_fair_table
from livercascade.reproduce.step_cache import StepRecord


def page_html(
    settings: ExperimentSettings,
    tables: Tables,
    results: PatientResults,
    claims: Sequence[ClaimResult],
    *,
    figures: Figures,
    networks: Mapping[str, str],
    steps: Sequence[StepRecord],
    notes: Sequence[str] = (),
) -> str:
    """The claims, the ablation, then all tables and figures; every text is escaped, every figure inside.

    Args:
        settings: Settings of the experiment.
        tables: Tables of the evaluation.
        results: Counts that the claims were held against.
        claims: The claims as judged.
        figures: Figures of the evaluation.
        networks: SHA-256 of the networks by role.
        steps: Steps in their order, with how long each took.
        notes: Facts a reader has to know: patients refused, networks that were given.
    """
    made = environment("livercascade.reproduce", "livercascade.evaluation")
    made.filters.update(measured=measured, wanted=wanted, sign=_sign, duration=duration)
    return made.get_template("reproduce.html.j2").render(
        title=settings.title,
        settings=settings.model_dump(mode="json"),
        tables=tables,
        networks=networks,
        steps=steps,
        notes=notes,
        counts=_counts(claims),
        paper=[c for c in claims if not c.claim.beyond],
        ours=[c for c in claims if c.claim.beyond],
        rule=RULE,
        own_sections=_own_sections(tables, results),
        sections=sections(tables),
        pictures=[(picture, inline(picture)) for picture in figures.drawn],
        missing=list(figures.missing.values()),
    )


def _own_sections(tables: Tables, results: PatientResults) -> list[Section]:
    """Sections that `livercascade.evaluation` does not have."""
    return [
        Section("ablation", "Ablation", "What each step of the method adds.", (ablation_table(tables, results),)),
        Section(
            "size-fair",
            "Small lesions under a size-fair score",
            "The paper keeps a proposal when 0.5 ml of it are confirmed: all of a lesion of 0.5 ml, a quarter of one "
            "of 2 ml. What a score that asks for a share gives lesions of 0.5 to 2 ml at equal false positives.",
            (size_fair_table(results, virtual=tables.virtual),),
        ),
    ]


def claims_markdown(title: str, claims: Sequence[ClaimResult], ablation: PrintedTable, notes: Sequence[str]) -> str:
    """Claims and ablation as a Markdown document, for a repository or an issue; the page says more.

    Args:
        title: Description of the experiment.
        claims: The claims as judged.
        ablation: The paper's ablation.
        notes: Facts a reader has to know.
    """
    counts = ", ".join(f"{number} {statement.value}" for statement, number in _counts(claims))
    lines = [f"# {title}", "", f"Claims on **virtual** patients: {counts}.", "", *(f"* {note}" for note in notes), ""]
    lines += [f"## {ablation.title}", "", ablation.caption, "", *_markdown_table(ablation), ""]
    lines += ["## Claim by claim", "", "| | claim | measured [95 %] |", "|---|---|---|"]
    lines += [f"| {c.statement.value} | {_cell(c.claim.title)} | {_cell(_all_measured(c))} |" for c in claims]
    return "\n".join(lines) + "\n"


def measured(part: PartResult) -> str:
    """What was measured, with its interval, in the unit of the part."""
    if part.value is None:
        return NONE
    value = in_unit(part.part, part.value)
    if part.interval is None:
        return value
    low, high = (in_unit(part.part, end, unit=False) for end in part.interval)
    return f"{value} [{low} to {high}]"


def wanted(part: ClaimPart) -> str:
    """The threshold in words.

    >>> from livercascade.reproduce.claims import ClaimMetric, Relation
    >>> keys = {"one": "diagnosis/Base", "two": "diagnosis/High"}
    >>> wanted(ClaimPart(metric="false positives", contrast="reduction", relation="at least", threshold=0.5, **keys))
    'at least 50 % fewer'
    """
    if part.contrast is Contrast.DIFFERENCE and part.threshold == 0:
        return "higher" if part.relation.upward else "lower"
    words = f"{part.relation.value} {in_unit(part, part.threshold)}"
    return f"{words} fewer" if part.contrast is Contrast.REDUCTION else words


def in_unit(part: ClaimPart, value: float, *, unit: bool = True) -> str:
    """A quantity in the unit of its part: percent, points, or lesions a case."""
    if part.metric.is_count and part.contrast is not Contrast.REDUCTION:
        signed = f"{value:+.2f}" if part.contrast is Contrast.DIFFERENCE else f"{value:.2f}"
        return signed.replace("-", "−") + (" a case" if unit else "")
    points = part.contrast is Contrast.DIFFERENCE
    number = percent(value, 1 if points or part.contrast is Contrast.VALUE else 0)
    number = f"+{number}" if points and value > 0 else number
    # A minus of its own, which does not break across lines as a hyphen does.
    return number.replace("-", "−") + ((" points" if points else " %") if unit else "")


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(42.3), duration(4000.0)
    ('42 s', '1 h 07 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _counts(claims: Sequence[ClaimResult]) -> list[tuple[Statement, int]]:
    return [(statement, sum(c.statement is statement for c in claims)) for statement in Statement]


def _sign(statement: Statement) -> str:
    """A sign beside the words, so that colour alone says nothing."""
    return {Statement.HOLDS: "✓", Statement.FAILS: "✗", Statement.UNDECIDED: "?"}[statement]


def _all_measured(claim: ClaimResult) -> str:
    def of(row: str) -> str:
        return "" if row == "All" else f" ({row.lower()})"

    return "; ".join(
        f"{p.part.metric.value}{of(p.part.row)}, {p.part.two}: {measured(p)}" + (f" ({p.counts})" if p.counts else "")
        for p in claim.parts
    )


def _markdown_table(table: PrintedTable) -> Iterator[str]:
    head = table.head[-1]
    yield "| " + " | ".join(_cell(text) for text, span in head for _ in range(span)) + " |"
    columns = sum(span for _, span in head)
    yield "|---|" + "---:|" * (columns - 1)
    for row in table.rows:
        # A row with nothing but a name is a heading.
        name = _cell(row.cells[0])
        cells = [name if any(row.cells[1:]) else f"**{name}**", *map(_cell, row.cells[1:])]
        yield "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    # Both would end the cell.
    return text.replace("\n", " ").replace("|", "\\|")
