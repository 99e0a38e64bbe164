"""What requests may hold; unknown fields are refused. Points are ``[z, y, x]`` in display order."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from livercascade.data.record import Record

Coordinate = Annotated[int, Field(ge=0, le=1 << 20)]
VoxelPoint = tuple[Coordinate, Coordinate, Coordinate]
FractionalIndex = tuple[float, float, float]
AxisRange = tuple[Coordinate, Coordinate]
MaskRef = Annotated[str, Field(max_length=80)]
NoteText = Annotated[str, Field(max_length=2000)]
PhaseName = Literal["NC", "AP", "VP", "DP"]
EvidenceKind = Literal["pathology", "report", "imaging", "none"]
StateName = Literal["new", "in_progress", "done"]
VerdictKind = Literal["accept", "keep", "relabel", "second_reader", "edited", "clear"]


class CaseStateRequest(Record):
    """State in the work list."""

    state: StateName


class OpenDraftRequest(Record):
    """Which draft to open, and what to do with unsaved steps."""

    task: Literal["edit", "review"] = "edit"
    recover: Literal["ask", "continue", "discard"] = "ask"
    base: MaskRef = "head"
    old: MaskRef | None = None
    new: MaskRef | None = None


class GotoRequest(Record):
    """How many steps to apply."""

    position: Annotated[int, Field(ge=0)]


class SaveRequest(Record):
    """What goes with a saved draft."""

    note: NoteText = ""
    beside: bool = False
    state: StateName | None = None


class RestoreRequest(Record):
    """Which version to bring back."""

    ref: MaskRef
    note: NoteText = ""


class RelabelRequest(Record):
    """Lesions under the points get the label."""

    at: Annotated[list[VoxelPoint], Field(min_length=1, max_length=500)]
    label: int


class DeleteRequest(Record):
    """Lesions under the points go away."""

    at: Annotated[list[VoxelPoint], Field(min_length=1, max_length=500)]


class CopyRequest(Record):
    """A lesion of another mask."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)

    source: Annotated[MaskRef, Field(alias="from")]
    at: VoxelPoint
    label: int | None = None
    slice: Coordinate | None = None
    to_slice: Coordinate | None = None


class GrowRequest(Record):
    """Region growing."""

    at: VoxelPoint
    label: int
    phase: PhaseName
    low: float
    high: float
    radius_mm: Annotated[float, Field(gt=0, le=150)] = 30.0
    volume: bool = True
    inside: list[int] | None = None


class InterpolateRequest(Record):
    """Filling of slices between drawn ones."""

    at: VoxelPoint
    label: int
    max_gap: Annotated[int, Field(ge=1, le=100)] = 12


class FillHolesRequest(Record):
    """Holes of the component under the point."""

    at: VoxelPoint


class SplitRequest(Record):
    """Cut along a line."""

    at: VoxelPoint
    line: tuple[tuple[float, float], tuple[float, float]]
    label: int


class SeedBoxRequest(Record):
    """A box becomes a lesion."""

    box: tuple[AxisRange, AxisRange, AxisRange]
    label: int
    method: Literal["prediction", "intensity"] = "prediction"
    source: Annotated[MaskRef, Field(alias="from")] = "prediction"
    phase: PhaseName | None = None
    id: Annotated[str, Field(max_length=40)] | None = None


class VerdictRequest(Record):
    """A judgement on a difference."""

    difference: Annotated[str, Field(pattern=r"^(d[0-9]{1,10}|organs)$")]
    verdict: VerdictKind
    label: int | None = None
    shape: Literal["old", "new"] | None = None


class EvidenceRequest(Record):
    """What a lesion's type rests on."""

    at: VoxelPoint
    evidence: EvidenceKind
    note: NoteText = ""


class DrawBoxRequest(Record):
    """A box of mask 00."""

    box: tuple[AxisRange, AxisRange, AxisRange]
    label: Annotated[int, Field(ge=1, le=6)] | None = None
    evidence: EvidenceKind = "pathology"
    note: NoteText = ""


class RemoveNoteRequest(Record):
    """A box or a measurement that goes."""

    id: Annotated[str, Field(max_length=40)]


class MeasureRequest(Record):
    """A ruler or an HU circle."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["ruler", "circle"]
    phase: PhaseName
    start: Annotated[FractionalIndex | None, Field(alias="from")] = None
    to: FractionalIndex | None = None
    centre: FractionalIndex | None = None
    radius_mm: Annotated[float, Field(gt=0, le=200)] | None = None
    keep: bool = True
