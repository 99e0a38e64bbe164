"""When a claim holds: its quantities against their thresholds, as a whole interval or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from pydantic import TypeAdapter

from livercascade.data.record import Record
from livercascade.evaluation.statistics.intervals import Interval
from livercascade.reproduce.claims import Claim, ClaimPart, Relation

LEAST_COUNTED = 10
"""With fewer lesions or patients nothing is decided: intervals from a handful of them are too narrow."""
RULE = (
    "A part holds when its whole 95 % interval lies on the claim's side of the threshold, fails when the whole "
    "interval lies on the other side, and is undecided otherwise, or when it counts fewer than "
    f"{LEAST_COUNTED} lesions or patients. A claim holds when all its parts hold, fails when one of them fails, and is "
    "undecided otherwise. Each claim is judged alone, without correction for their number: one whose truth lies "
    "exactly at its threshold would hold one time in forty."
)


class Statement(Enum):
    """What is said of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"


class PartResult(Record):
    """A part of a claim with what was measured.

    Attributes:
        part: The claim's side.
        value: Quantity that is held against the threshold; None where there is nothing to divide by.
        interval: 95 % interval; None where undefined.
        counted: Number of things it is a share of: lesions, findings or patients, the fewer of two; for a difference
            of counts the larger of both.
        counts: Counts for people, for example ``39 → 14``.
        method: Name of the method that gave the interval.
        statement: What follows.
        why: Reason for being undecided; empty otherwise.
    """

    part: ClaimPart
    value: float | None = None
    interval: Interval | None = None
    counted: int = 0
    counts: str = ""
    method: str = ""
    statement: Statement = Statement.UNDECIDED
    why: str = "the models it compares were not run"


class ClaimResult(Record):
    """A claim with its statement."""

    claim: Claim
    parts: tuple[PartResult, ...]
    statement: Statement


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
    if counted < LEAST_COUNTED:
        return Statement.UNDECIDED, f"it rests on {counted}, fewer than {LEAST_COUNTED}"
    # Mirrored at 0, a claim that something is small is one that something is large.
    low, high = interval if relation.upward else (-interval[1], -interval[0])
    wanted = threshold if relation.upward else -threshold
    strict = relation in (Relation.ABOVE, Relation.BELOW)
    if low > wanted or (low == wanted and not strict):
        return Statement.HOLDS, ""
    if high < wanted or (high == wanted and strict):
        return Statement.FAILS, ""
    return Statement.UNDECIDED, "the interval holds the threshold"


def combined(parts: Sequence[Statement]) -> Statement:
    """Statement of a claim from those of its parts."""
    # One part that fails refutes a sentence, also when others are open.
    if Statement.FAILS in parts:
        return Statement.FAILS
    return Statement.HOLDS if all(p is Statement.HOLDS for p in parts) else Statement.UNDECIDED


def claims_json(results: Sequence[ClaimResult]) -> str:
    """Content of ``claims.json``."""
    return "[" + ",\n".join(result.model_dump_json(indent=1) for result in results) + "]\n"


def read_claim_results(path: Path) -> tuple[ClaimResult, ...]:
    """The claims of a finished run, from its ``claims.json``."""
    return TypeAdapter(tuple[ClaimResult, ...]).validate_json(path.read_bytes())
