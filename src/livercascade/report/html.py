"""The report of one case: one HTML page that needs no network and reads well on paper."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import JsonValue

from livercascade.alignment.align_phases import PhaseUse
from livercascade.data.labels import LESION_TYPES, LesionType, PatientClass, Phase
from livercascade.reclassification.candidate import FoundAt
from livercascade.report.alignment import in_words
from livercascade.report.panel import WINDOWS
from livercascade.report.pictures import PRINT_COLOURS, ReportPictures
from livercascade.results.result import CaseResult
from livercascade.results.wording import (
    DISCLAIMER,
    INTENDED_USE,
    NO_VERDICT,
    NOT_LIRADS,
    class_meaning,
    headline,
    impression,
    uncertain_meaning,
)

MINUS = "\u2212"
_LIKELY = 0.05
"""Less likely types are not named."""


def render_report(result: CaseResult, pictures: ReportPictures | None = None) -> str:
    """HTML page of a case; every text is escaped.

    Args:
        result: The record; a rejected or failed case gives a page with its error and remedy.
        pictures: Key images and plots; none are shown when absent.
    """
    environment = Environment(
        loader=PackageLoader("livercascade.report"),
        # Descriptions come from other people's files: nothing in them may act as HTML.
        autoescape=True,
        # A name without a value must fail rather than leave a gap in a report.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, signed=signed, share=share)
    lesions, factors = result.lesions or (), result.factors
    return environment.get_template("report.html.j2").render(
        result=result,
        pictures=pictures or ReportPictures(),
        settings=flat(result.provenance.settings),
        present=[lesion for lesion in lesions if lesion.present],
        removed=[lesion for lesion in lesions if not lesion.present],
        by_id={lesion.id: lesion for lesion in lesions},
        phases=phases_measured(result),
        absent=[phase.title for phase in Phase if phase not in {i.phase for i in result.inputs}],
        alignment_words={a.phase: in_words(a, result.reference_phase or Phase.VP) for a in result.alignment},
        aligned={a.phase for a in result.alignment if a.use is PhaseUse.ALIGNED},
        headline=headline(result.verdict.joint.patient_class) if result.verdict else "",
        tone=_tone(result),
        no_verdict=[warning for warning in result.warnings if warning.code in NO_VERDICT],
        classes=[(c.value, class_meaning(c)) for c in PatientClass],
        colours={t: PRINT_COLOURS[t] for t in LESION_TYPES},
        impressions={t: impression(t) for t in LESION_TYPES},
        votes={lesion.id: ranked(lesion.votes) for lesion in lesions},
        likely={lesion.id: ranked(lesion.enhancement or {}, _LIKELY) for lesion in lesions},
        windows={phase: (float(low), float(high)) for phase, (low, high) in WINDOWS.items()},
        disclaimer=DISCLAIMER,
        intended_use=INTENDED_USE,
        not_lirads=NOT_LIRADS,
        uncertain_meaning=uncertain_meaning(None if factors is None else (factors.base, factors.high)),
        base_f="Base" if factors is None else f"f = {factors.base:g}",
        high_f="High" if factors is None else f"f = {factors.high:g}",
        found_at=_found_at(result),
    )


def flat(settings: Mapping[str, JsonValue], prefix: str = "") -> dict[str, JsonValue]:
    """Settings by dotted names; of lists of groups only the length.

    >>> flat({"seed": 0, "gate": {"on_poor": "drop"}, "levels": [{"block": 8}, {"block": 4}]})
    {'seed': 0, 'gate.on_poor': 'drop', 'levels': '2 of them'}
    """
    out: dict[str, JsonValue] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            out |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            out[prefix + name] = f"{len(value)} of them"
        else:
            out[prefix + name] = value
    return out


def phases_measured(result: CaseResult) -> list[Phase]:
    """Phases with a measure in any lesion, in the order of acquisition."""
    found = {phase for lesion in result.lesions or () for phase in lesion.hu}
    return [phase for phase in Phase if phase in found]


def ranked(shares: Mapping[LesionType, float], least: float = 0.0) -> list[tuple[LesionType, float]]:
    """Types with more than the least share, the largest first; of equal ones that of higher priority.

    >>> [(t.title, share) for t, share in ranked({LesionType.CYST: 0.7, LesionType.HCC: 0.3, LesionType.HEM: 0.0})]
    [('Cyst', 0.7), ('HCC', 0.3)]
    """
    return sorted(((t, p) for t, p in shares.items() if p > least), key=lambda pair: (-pair[1], pair[0].priority))


def number(value: float | None, digits: int = 0) -> str:
    """A number with a true minus sign, or a dash for none.

    >>> number(-3.26, 1), number(None)
    ('−3.3', '–')
    """
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "" if float(text) == 0 else MINUS)


def signed(value: float | None) -> str:
    """A whole number with its sign.

    >>> signed(12.4), signed(-7.0), signed(0.2)
    ('+12', '−7', '±0')
    """
    if value is None:
        return "–"
    if round(value) == 0:
        return "±0"
    return ("+" if value > 0 else "") + number(value)


def share(value: float) -> str:
    """A share as a percentage, unbreakable.

    >>> share(0.625)
    '62\\xa0%'
    """
    return f"{100 * value:.0f}\u00a0%"


def _tone(result: CaseResult) -> str:
    if not result.status.finished or result.verdict is None:
        return "stopped"
    joint = result.verdict.joint.patient_class
    return "uncertain" if joint is None else joint.group


def _found_at(result: CaseResult) -> dict[FoundAt, str]:
    """Where a candidate was found, in words with the factors of this result."""
    if result.factors is None:
        return {place: place.value for place in FoundAt}
    base, high = result.factors.base, result.factors.high
    return {FoundAt.BASE_AND_HIGH: f"f = {base:g} and f = {high:g}", FoundAt.HIGH_ONLY: f"f = {high:g} only"}
