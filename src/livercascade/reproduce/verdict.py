"""Whether a claim holds: its quantities against their thresholds, as a whole interval or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from pydantic import BaseModel, ConfigDict

from livercascade.evaluation.statistics.intervals import Interval
from livercascade.reproduce.claims import Claim, Part, Relation
from livercascade.reproduce.measure import Ground, Measured, measure

LEAST = 10
"""Fewer lesions or patients decide nothing: intervals from a handful of them are too narrow."""
RULE = (
    "A part holds when its whole 95 % interval lies on the claim's side of the threshold, fails when the whole "
    "interval lies on the other side, and is undecided otherwise, or when it counts fewer than "
    f"{LEAST} lesions or patients. A claim holds when all its parts hold, fails when one of them fails, and is "
    "undecided otherwise. Each claim is judged alone, without correction for their number: one whose truth lies "
    "exactly at its threshold would hold one time in forty."
)


class Statement(Enum):
    """What is said of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"


class JudgedPart(BaseModel):
    """A part of a claim with what was measured.

    Attributes:
        part: The claim's side.
        value, interval: What was measured; None where undefined.
        counted: Lesions, findings or patients it rests on.
        counts: For people.
        method: How the interval was found.
        statement: What follows.
        why: Why it is undecided; empty otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    part: Part
    value: float | None
    interval: Interval | None
    counted: int
    counts: str
    method: str
    statement: Statement
    why: str = ""


class JudgedClaim(BaseModel):
    """A claim with its statement."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: Claim
    parts: tuple[JudgedPart, ...]
    statement: Statement


def judge_claims(claims: Sequence[Claim], ground: Ground) -> tuple[JudgedClaim, ...]:
    """Every claim with what was measured and its statement."""
    return tuple(_judge(claim, ground) for claim in claims)


def statement_of(
    relation: Relation, threshold: float, interval: Interval | None, counted: int
) -> tuple[Statement, str]:
    """What an interval says of a threshold, and why it says nothing.

    >>> statement_of(Relation.ABOVE, 0.0, (0.01, 0.2), 50)[0].value
    'holds'
    >>> statement_of(Relation.AT_LEAST, 0.5, (0.1, 0.4), 50)[0].value
    'does not hold'
    >>> statement_of(Relation.BELOW, 0.0, (-0.2, -0.1), 4)
    (<Statement.UNDECIDED: 'undecided'>, 'it rests on 4, fewer than 10')
    """
    if interval is None:
        return Statement.UNDECIDED, "there is nothing to divide by"
    if counted < LEAST:
        return Statement.UNDECIDED, f"it rests on {counted}, fewer than {LEAST}"
    low, high = interval if relation.upward else (-interval[1], -interval[0])
    wanted = threshold if relation.upward else -threshold
    strict = relation in (Relation.ABOVE, Relation.BELOW)
    if low > wanted or (low == wanted and not strict):
        return Statement.HOLDS, ""
    if high < wanted or (high == wanted and strict):
        return Statement.FAILS, ""
    return Statement.UNDECIDED, "the interval holds the threshold"


def together(parts: Sequence[Statement]) -> Statement:
    """Statement of a claim from those of its parts."""
    if Statement.FAILS in parts:
        return Statement.FAILS
    return Statement.HOLDS if all(p is Statement.HOLDS for p in parts) else Statement.UNDECIDED


def _judge(claim: Claim, ground: Ground) -> JudgedClaim:
    patients = ground.draws.weights.shape[1]
    parts = tuple(_judge_part(part, measure(part, ground), patients) for part in claim.parts)
    return JudgedClaim(claim=claim, parts=parts, statement=together([part.statement for part in parts]))


def _judge_part(part: Part, measured: Measured | None, patients: int) -> JudgedPart:
    if measured is None:
        why = "the models it compares were not run"
        return JudgedPart(
            part=part,
            value=None,
            interval=None,
            counted=0,
            counts="",
            method="",
            statement=Statement.UNDECIDED,
            why=why,
        )
    # Many lesions of a few patients are few: the bootstrap resamples patients.
    counted = min(measured.counted, patients)
    statement, why = statement_of(part.relation, part.threshold, measured.interval, counted)
    return JudgedPart(
        part=part,
        value=measured.value,
        interval=measured.interval,
        counted=measured.counted,
        counts=measured.counts,
        method=measured.method,
        statement=statement,
        why=why,
    )
