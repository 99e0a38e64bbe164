"""The paper's claims as data: what it says and where, what is measured, and when it holds (``claims.toml``)."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

_FILE = Path(__file__).parent / "claims.toml"


class Figure(StrEnum):
    """A quantity of one model in one setting, from counts of single patients."""

    FN = "missed lesions"
    FP = "false positives"
    RECALL = "recall"
    RECALL_ROUGH = "rough recall"
    PRECISION = "precision"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    COVERAGE = "coverage"
    UNCERTAIN_WITH_LESION = "UNCERTAIN patients who have a lesion"
    PPV = "share of findings that touch a true lesion"
    DIFF_ONLY_HIGH = "share of diff that only f=4 finds"
    VOTE_RIGHT = "share of changed types that became right"
    SMALL_RECALL = "recall of 0.5-2 ml at equal FP"

    @property
    def is_count(self) -> bool:
        """True for a number of lesions, False for a share."""
        return self in (Figure.FN, Figure.FP)


class Compared(StrEnum):
    """What is held against the threshold."""

    VALUE = "value"
    """The figure of ``two``."""
    DIFFERENCE = "difference"
    """``two`` less ``one``; a count as number a case, a share in its own unit."""
    REDUCTION = "reduction"
    """1 - ``two`` / ``one``: the share of a count that is gone."""


class Relation(StrEnum):
    """Side of the threshold on which a claim holds."""

    AT_LEAST = "at least"
    ABOVE = "above"
    AT_MOST = "at most"
    BELOW = "below"

    @property
    def upward(self) -> bool:
        """True if larger is better for the claim."""
        return self in (Relation.AT_LEAST, Relation.ABOVE)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(_Record):
    """One quantity of a claim.

    Attributes:
        figure: What is counted.
        compared: What is held against the threshold.
        one, two: Models as ``setting/title``; ``one`` is what ``two`` is compared with.
        row: Row of the lesion tables: ``All``, ``Malign`` or a type.
        relation, threshold: When the part holds; a share, or lesions a case for differences of counts.
        paper: What the paper prints for it; empty where it prints nothing.
    """

    figure: Figure
    compared: Compared = Compared.VALUE
    one: str = ""
    two: str
    row: str = "All"
    relation: Relation
    threshold: float
    paper: str = ""

    @model_validator(mode="after")
    def _compares(self) -> Part:
        if (self.compared is Compared.VALUE) is bool(self.one):
            raise ValueError(f"{self.figure}: a value has no 'one', a comparison needs it")
        if self.compared is Compared.REDUCTION and not self.figure.is_count:
            raise ValueError(f"{self.figure}: only counts are reduced")
        return self


class Claim(_Record):
    """One claim.

    Attributes:
        id: Stable name.
        title: The claim in a few words.
        sentence: What the paper says, or for claims beyond it what we say.
        place: Where it says so.
        reading: How the sentence became the parts below.
        beyond: True for what the paper does not claim.
        parts: It holds if all of them do, fails if one does, and is undecided otherwise.
    """

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    sentence: str
    place: str
    reading: str = ""
    beyond: bool = False
    parts: tuple[Part, ...] = Field(min_length=1)


@cache
def read_claims() -> tuple[Claim, ...]:
    """All claims, in the order of the page.

    >>> read_claims()[0].id
    'sensitivity-finds-missed'
    """
    made = tuple(Claim.model_validate(each) for each in tomllib.loads(_FILE.read_text(encoding="utf-8"))["claim"])
    ids = [claim.id for claim in made]
    if len(set(ids)) != len(ids):
        raise ValueError("two claims have one id")
    return made
