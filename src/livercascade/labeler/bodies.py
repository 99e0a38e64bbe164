"""What requests may hold; unknown fields are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Coordinate = Annotated[int, Field(ge=0, le=1 << 20)]
Point = tuple[Coordinate, Coordinate, Coordinate]
Place = tuple[float, float, float]
Side = tuple[Coordinate, Coordinate]
Ref = Annotated[str, Field(max_length=80)]
Words = Annotated[str, Field(max_length=2000)]
PhaseName = Literal["NC", "AP", "VP", "DP"]
EvidenceKind = Literal["pathology", "report", "imaging", "none"]
StateName = Literal["new", "in_progress", "done"]


class Body(BaseModel):
    """Base: closed, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CaseState(Body):
    """State in the work list."""

    state: StateName


class OpenDraft(Body):
    """Which draft to open, and what to do with unsaved steps."""

    task: Literal["edit", "review"] = "edit"
    recover: Literal["ask", "continue", "discard"] = "ask"
    base: Ref = "head"
    old: Ref | None = None
    new: Ref | None = None


class Goto(Body):
    """How many steps to apply."""

    position: Annotated[int, Field(ge=0)]


class Save(Body):
    """What goes with a saved draft."""

    note: Words = ""
    beside: bool = False
    state: StateName | None = None


class Restore(Body):
    """Which version to bring back."""

    ref: Ref
    note: Words = ""


class Relabel(Body):
    """Lesions under the points get the label."""

    at: Annotated[list[Point], Field(min_length=1, max_length=500)]
    label: int


class Delete(Body):
    """Lesions under the points go away."""

    at: Annotated[list[Point], Field(min_length=1, max_length=500)]


class Copy(Body):
    """A lesion of another mask."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)

    source: Annotated[Ref, Field(alias="from")]
    at: Point
    label: int | None = None
    slice: Coordinate | None = None
    to_slice: Coordinate | None = None


class Grow(Body):
    """Region growing."""

    at: Point
    label: int
    phase: PhaseName
    low: float
    high: float
    radius_mm: Annotated[float, Field(gt=0, le=150)] = 30.0
    volume: bool = True
    inside: list[int] | None = None


class Interpolate(Body):
    """Filling of slices between drawn ones."""

    at: Point
    label: int
    max_gap: Annotated[int, Field(ge=1, le=100)] = 12


class FillHoles(Body):
    """Holes of the component under the point."""

    at: Point


class Split(Body):
    """Cut along a line."""

    at: Point
    line: tuple[tuple[float, float], tuple[float, float]]
    label: int


class BoxSeed(Body):
    """A box becomes a lesion."""

    box: tuple[Side, Side, Side]
    label: int
    method: Literal["prediction", "intensity"] = "prediction"
    source: Annotated[Ref, Field(alias="from")] = "prediction"
    phase: PhaseName | None = None
    id: Annotated[str, Field(max_length=40)] | None = None


class Verdict(Body):
    """A judgement on a difference."""

    difference: Annotated[str, Field(pattern=r"^(d[0-9]{1,10}|organs)$")]
    verdict: Literal["accept", "keep", "relabel", "second_reader", "edited", "clear"]
    label: int | None = None
    shape: Literal["old", "new"] | None = None


class Evidence(Body):
    """What a lesion's type rests on."""

    at: Point
    evidence: EvidenceKind
    note: Words = ""


class Box(Body):
    """A box of mask 00."""

    box: tuple[Side, Side, Side]
    label: Annotated[int, Field(ge=1, le=6)] | None = None
    evidence: EvidenceKind = "pathology"
    note: Words = ""


class RemoveNote(Body):
    """A box or a measurement that goes."""

    id: Annotated[str, Field(max_length=40)]


class Measurement(Body):
    """A ruler or an HU circle."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["ruler", "circle"]
    phase: PhaseName
    start: Annotated[Place | None, Field(alias="from")] = None
    to: Place | None = None
    centre: Place | None = None
    radius_mm: Annotated[float, Field(gt=0, le=200)] | None = None
    keep: bool = True
