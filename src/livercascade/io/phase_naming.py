"""Phases that people name: series of a DICOM study one by one, and a site's own rules for its texts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from livercascade.data.errors import UsageError
from livercascade.data.labels import Phase

_NONE = "NONE"
_NUMBER = re.compile(r"(?:series\s*)?(-?\d+)(\s+part\s+\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NamedSeries:
    """What a series can be called.

    Attributes:
        name: Name in messages: its number, and the part if it was split.
        uid: SeriesInstanceUID.
        texts: Its descriptions, the most telling first.
    """

    name: str
    uid: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PhaseNaming:
    """Phases that people name; they come before everything that headers and images say.

    Attributes:
        series: Phase and series in pairs; the series is a number, a UID, or a description. None leaves it out.
        rules: Regular expression and phase in pairs, tried in order on the texts of each series; None leaves it out.
    """

    series: tuple[tuple[Phase | None, str], ...] = ()
    rules: tuple[tuple[re.Pattern[str], Phase | None], ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str] = (), rules: str | Path | None = None) -> PhaseNaming:
        """From ``PHASE=SERIES`` texts and a TOML file of rules.

        The file has one table, ``[phases]``, of regular expressions (without case) and phases::

            [phases]
            "leber.*art" = "AP"
            "monitoring|topogram" = "none"

        Raises:
            UsageError: ``BAD_PHASE_NAME`` for another text, ``BAD_PHASE_RULES`` for a file that cannot be used.

        >>> PhaseNaming.of(["AP=series 3"]).series
        ((<Phase.AP: 'AP'>, 'series 3'),)
        """
        named: list[tuple[Phase | None, str]] = []
        for text in texts:
            phase, equals, series = (part.strip() for part in text.partition("="))
            if not equals or not series or phase.upper() not in (*Phase.__members__, _NONE):
                message = f"--phase {text!r} is not PHASE=SERIES."
                remedy = "Phases are NC, AP, VP, DP and none: --phase AP='series 3'."
                raise UsageError("BAD_PHASE_NAME", message, remedy, stage="phase")
            named.append((_phase(phase), series))
        return cls(tuple(named), () if rules is None else _read_rules(Path(rules)))

    def phases_of(self, series: Sequence[NamedSeries]) -> dict[int, Phase | None]:
        """Phase by place of each series that is named, None for one that is left out.

        Raises:
            UsageError: ``SERIES_NOT_FOUND`` if a series that is named is not there, ``SERIES_AMBIGUOUS`` if there are
                several, ``PHASE_NAMED_TWICE`` if two are named as one phase, or one as two.
        """
        found: dict[int, Phase | None] = {}
        for place, one in enumerate(series):
            rule = next((r for r in self.rules if any(r[0].search(text) for text in one.texts if text)), None)
            if rule is not None:
                found[place] = rule[1]
        named: dict[int, Phase | None] = {}
        for phase, text in self.series:
            place = _only(text, series)
            taken = [k for k, other in named.items() if other is phase and phase is not None]
            if place in named or taken:
                message = (
                    f"--phase names {series[place].name} or the {phase.title if phase else 'left out'} phase twice."
                )
                raise UsageError("PHASE_NAMED_TWICE", message, "Name each phase and each series once.", stage="phase")
            named[place] = phase
        wanted = {phase for phase in named.values() if phase is not None}
        # What is named one by one comes before a rule that would say the same of another series.
        return {k: p for k, p in found.items() if k not in named and p not in wanted} | named


def _phase(name: str) -> Phase | None:
    return None if name.upper() == _NONE else Phase[name.upper()]


def _only(text: str, series: Sequence[NamedSeries]) -> int:
    number = _NUMBER.fullmatch(text)
    wanted = re.sub(r"\s+", " ", f"series {number[1]}{number[2] or ''}".lower()) if number else text.lower()
    same = [k for k, one in enumerate(series) if wanted in (one.name.lower(), one.uid.lower())]
    same = same or [k for k, one in enumerate(series) if number and one.name.lower().startswith(f"{wanted} part ")]
    same = same or [k for k, one in enumerate(series) if text.lower() in (t.strip().lower() for t in one.texts)]
    if len(same) == 1:
        return same[0]
    names = ", ".join(one.name for one in series)
    if not same:
        remedy = f"Name it by number, description or UID; there are {names}."
        raise UsageError("SERIES_NOT_FOUND", f"--phase: there is no series {text!r}.", remedy, stage="phase")
    several = ", ".join(series[k].name for k in same)
    remedy = "Name it by its number and part, or its UID."
    raise UsageError("SERIES_AMBIGUOUS", f"--phase: {text!r} is {several}.", remedy, stage="phase")


def _read_rules(path: Path) -> tuple[tuple[re.Pattern[str], Phase | None], ...]:
    remedy = 'Write [phases], then lines such as "leber.*art" = "AP".'

    def wrong(reason: str) -> UsageError:
        return UsageError("BAD_PHASE_RULES", f"{path.name}: {reason}.", remedy, stage="phase")

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise wrong(str(error).rstrip(".")) from error
    rules = table.get("phases")
    if not isinstance(rules, Mapping) or set(table) != {"phases"}:
        raise wrong("there must be one table, [phases]")
    made: list[tuple[re.Pattern[str], Phase | None]] = []
    for pattern, name in rules.items():
        if not isinstance(name, str) or name.upper() not in (*Phase.__members__, _NONE):
            raise wrong(f"{pattern!r} names {name!r}, which is no phase")
        try:
            made.append((re.compile(pattern, re.IGNORECASE), _phase(name)))
        except re.error as error:
            raise wrong(f"{pattern!r} is no regular expression ({error})") from error
    return tuple(made)
