"""One page that needs no network: what becomes of the paper's claims, the ablation, then all tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livercascade.evaluation.output.html_page import Section, environment, inline, sections
from livercascade.evaluation.output.number_text import NONE, percent
from livercascade.evaluation.output.printed_table import PrintedTable
from livercascade.evaluation.output.tables_json import Tables
from livercascade.evaluation.plots.draw_all import Figures
from livercascade.evaluation.plots.picture import Picture
from livercascade.reproduce.claims import Compared, Part
from livercascade.reproduce.ledger import StepRecord
from livercascade.reproduce.verdict import RULE, JudgedClaim, JudgedPart, Statement


@dataclass(frozen=True, slots=True)
class Beyond:
    """What goes past the paper: a heading, what it answers, its tables and pictures."""

    name: str
    title: str
    lead: str
    tables: tuple[PrintedTable, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class PageParts:
    """Everything on the page.

    Attributes:
        title: What was reproduced, for example ``preset ci: ...``.
        tables: Of the evaluation.
        claims: Judged.
        ablation: The paper's ablation.
        beyond: Past the paper.
        figures: Of the evaluation.
        models: SHA-256 of the networks by role.
        steps: How long each step took.
        settings: Of the reproduction.
        notes: What a reader has to know: patients refused, models that were given.
    """

    title: str
    tables: Tables
    claims: Sequence[JudgedClaim]
    ablation: PrintedTable
    beyond: Sequence[Beyond]
    figures: Figures
    models: Mapping[str, str]
    steps: Sequence[StepRecord]
    settings: Mapping[str, Any]
    notes: Sequence[str] = field(default=())


def render(parts: PageParts) -> str:
    """HTML page; every text is escaped, every figure inside."""
    made = environment("livercascade.reproduce", "livercascade.evaluation")
    made.filters.update(measured=measured, wanted=wanted, sign=_sign, duration=duration)
    counts = {statement: sum(c.statement is statement for c in parts.claims) for statement in Statement}
    return made.get_template("reproduce.html.j2").render(
        parts_=parts,
        tables=parts.tables,
        counts=list(counts.items()),
        paper=[c for c in parts.claims if not c.claim.beyond],
        ours=[c for c in parts.claims if c.claim.beyond],
        rule=RULE,
        ablation=Section("ablation", "Ablation", "What each step of the method adds.", (parts.ablation,)),
        beyond=[(b, [(picture, inline(picture)) for picture in b.pictures]) for b in parts.beyond],
        sections=sections(parts.tables),
        pictures=[(picture, inline(picture)) for picture in parts.figures.drawn],
        missing=parts.figures.missing,
    )


def measured(part: JudgedPart) -> str:
    """What was measured, with its interval, in the unit of the part."""
    if part.value is None:
        return NONE
    value = in_unit(part.part, part.value)
    if part.interval is None:
        return value
    low, high = (in_unit(part.part, end, unit=False) for end in part.interval)
    return f"{value} [{low} to {high}]"


def wanted(part: Part) -> str:
    """The threshold in words.

    >>> from livercascade.reproduce.claims import Figure, Relation
    >>> two = {"figure": Figure.FP, "one": "a/Base", "two": "a/High", "threshold": 0.5}
    >>> wanted(Part(compared=Compared.REDUCTION, relation=Relation.AT_LEAST, **two))
    'at least 50 % fewer'
    """
    if part.compared is Compared.DIFFERENCE and part.threshold == 0:
        return "higher" if part.relation.upward else "lower"
    words = f"{part.relation.value} {in_unit(part, part.threshold)}"
    return f"{words} fewer" if part.compared is Compared.REDUCTION else words


def in_unit(part: Part, value: float, *, unit: bool = True) -> str:
    """A quantity in the unit of its part: percent, points, or lesions a case."""
    if part.figure.is_count and part.compared is not Compared.REDUCTION:
        signed = f"{value:+.2f}" if part.compared is Compared.DIFFERENCE else f"{value:.2f}"
        return signed.replace("-", "−") + (" a case" if unit else "")
    points = part.compared is Compared.DIFFERENCE
    number = percent(value, 1 if points or part.compared is Compared.VALUE else 0)
    number = f"+{number}" if points and value > 0 else number
    return number.replace("-", "−") + ((" points" if points else " %") if unit else "")


def signed_percent(value: float, interval: tuple[float, float] | None, *, digits: int = 1) -> str:
    """A share or a difference of shares in percent, with its interval; either may be negative.

    >>> signed_percent(-0.1, (-0.22, -0.02), digits=0)
    '−10 [−22 to −2]'
    """
    shown = percent(value, digits)
    if interval is not None:
        shown += f" [{percent(interval[0], 0)} to {percent(interval[1], 0)}]"
    return shown.replace("-", "−")


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(42.3), duration(4000.0)
    ('42 s', '1 h 07 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _sign(statement: Statement) -> str:
    """A sign beside the words, so that colour alone says nothing."""
    return {Statement.HOLDS: "✓", Statement.FAILS: "✗", Statement.UNDECIDED: "?"}[statement]
