"""The paper's claims as data: what it says and where, what is measured, and when it holds (``claims.toml``)."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from livercascade.data.record import Record
from livercascade.evaluation.metrics.lesion_metrics import ROWS
from livercascade.reclassification.reclassify import ScoreMode
from livercascade.reproduce.experiment import FindingGroup, ModelKey, PaperModel

_FILE = Path(__file__).parent / "claims.toml"


class ClaimMetric(StrEnum):
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
        return self in (ClaimMetric.FN, ClaimMetric.FP)

    @property
    def of(self) -> type[PaperModel | ScoreMode | FindingGroup]:
        """What it is a quantity of."""
        if self in (ClaimMetric.PPV, ClaimMetric.DIFF_ONLY_HIGH):
            return FindingGroup
        return ScoreMode if self is ClaimMetric.SMALL_RECALL else PaperModel


class Contrast(StrEnum):
    """What is held against the threshold."""

    VALUE = "value"
    """The metric of ``two``."""
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


def _parsed(key: object) -> object:
    return ModelKey.parse(key) if isinstance(key, str) and key else key or None


def _written(key: ModelKey | None) -> str:
    return "" if key is None else str(key)


_KeyText = Annotated[ModelKey, BeforeValidator(_parsed), PlainSerializer(_written)]
_KeyTextOrNone = Annotated[ModelKey | None, BeforeValidator(_parsed), PlainSerializer(_written)]


class ClaimPart(Record):
    """One quantity of a claim.

    Attributes:
        metric: Quantity of the models; ``figure`` in files.
        contrast: Which combination of ``one`` and ``two`` is held against the threshold; ``compared`` in files.
        one, two: Models; ``one`` is what ``two`` is compared with, and None for a value. In files ``setting/variant``.
        row: Row of the lesion tables: ``All``, ``Malign`` or a type.
        relation, threshold: Side of which number the part lies on if it holds; a share, or lesions a case for
            differences of counts.
        paper: The paper's number as printed; empty where it prints none.
    """

    # The files keep the names that they were written with before.
    model_config = ConfigDict(serialize_by_alias=True)

    metric: ClaimMetric = Field(validation_alias=AliasChoices("figure", "metric"), serialization_alias="figure")
    contrast: Contrast = Field(
        default=Contrast.VALUE,
        validation_alias=AliasChoices("compared", "contrast"),
        serialization_alias="compared",
    )
    one: _KeyTextOrNone = None
    two: _KeyText
    row: str = "All"
    relation: Relation
    threshold: float
    paper: str = ""

    @model_validator(mode="after")
    def _fits(self) -> ClaimPart:
        if (self.contrast is Contrast.VALUE) is (self.one is not None):
            raise ValueError(f"{self.metric}: a value has no 'one', a comparison needs it")
        if self.contrast is Contrast.REDUCTION and not self.metric.is_count:
            raise ValueError(f"{self.metric}: only counts are reduced")
        if self.row not in ROWS:
            raise ValueError(f"the tables have no row {self.row!r}")
        for key in (self.one, self.two):
            if key is not None and not isinstance(key.variant, self.metric.of):
                raise ValueError(f"{self.metric}: {key} has no such quantity")
        return self


class Claim(Record):
    """One claim.

    Attributes:
        id: Stable name.
        title: The claim in a few words.
        sentence: The paper's words, or for claims beyond it ours.
        place: Section, table or figure where it says so.
        reading: Explanation of how the sentence became the parts below.
        beyond: True for what the paper does not claim.
        parts: Quantities; the claim holds if all of them do, fails if one does, and is undecided otherwise.
    """

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    sentence: str
    place: str
    reading: str = ""
    beyond: bool = False
    parts: tuple[ClaimPart, ...] = Field(min_length=1)


@cache
def read_claims() -> tuple[Claim, ...]:
    """All claims, in the order of the page.

    >>> read_claims()[0].id
    'sensitivity-finds-missed'
    """
    claims = tuple(Claim.model_validate(each) for each in tomllib.loads(_FILE.read_text(encoding="utf-8"))["claim"])
    ids = [claim.id for claim in claims]
    if len(set(ids)) != len(ids):
        raise ValueError("two claims have one id")
    return claims
