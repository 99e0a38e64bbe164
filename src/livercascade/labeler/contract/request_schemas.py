"""What requests may hold; unknown fields are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Coordinate = Annotated[int, Field(ge=0, le=1 << 20)]
VoxelIndex = tuple[Coordinate, Coordinate, Coordinate]
FractionalIndex = tuple[float, float, float]
AxisRange = tuple[Coordinate, Coordinate]
MaskRef = Annotated[str, Field(max_length=80)]
NoteText = Annotated[str, Field(max_length=2000)]
PhaseName = Literal["NC", "AP", "VP", "DP"]
EvidenceKind = Literal["pathology", "report", "imaging", "none"]
StateName = Literal["new", "in_progress", "done"]


class RequestBody(BaseModel):
    """Base: closed, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CaseStateRequest(RequestBody):
    """State in the work list."""

    state: StateName


class OpenDraftRequest(RequestBody):
    """Which draft to open, and what to do with unsaved steps."""

    task: Literal["edit", "review"] = "edit"
    recover: Literal["ask", "continue", "discard"] = "ask"
    base: MaskRef = "head"
    old: MaskRef | None = None
    new: MaskRef | None = None


class GotoRequest(RequestBody):
    """How many steps to apply."""

    position: Annotated[int, Field(ge=0)]


class SaveRequest(RequestBody):
    """What goes with a saved draft."""

    note: NoteText = ""
    beside: bool = False
    state: StateName | None = None


class RestoreRequest(RequestBody):
    """Which version to bring back."""

    ref: MaskRef
    note: NoteText = ""


class RelabelRequest(RequestBody):
    """Lesions under the points get the label."""

    at: Annotated[list[VoxelIndex], Field(min_length=1, max_length=500)]
    label: int


class DeleteRequest(RequestBody):
    """Lesions under the points go away."""

    at: Annotated[list[VoxelIndex], Field(min_length=1, max_length=500)]


class CopyRequest(RequestBody):
    """A lesion of another mask."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)

    source: Annotated[MaskRef, Field(alias="from")]
    at: VoxelIndex
    label: int | None = None
    slice: Coordinate | None = None
    to_slice: Coordinate | None = None


class GrowRequest(RequestBody):
    """Region growing."""

    at: VoxelIndex
    label: int
    phase: PhaseName
    low: float
    high: float
    radius_mm: Annotated[float, Field(gt=0, le=150)] = 30.0
    volume: bool = True
    inside: list[int] | None = None


class InterpolateRequest(RequestBody):
    """Filling of slices between drawn ones."""

    at: VoxelIndex
    label: int
    max_gap: Annotated[int, Field(ge=1, le=100)] = 12


class FillHolesRequest(RequestBody):
    """Holes of the component under the point."""

    at: VoxelIndex


class SplitRequest(RequestBody):
    """Cut along a line."""

    at: VoxelIndex
    line: tuple[tuple[float, float], tuple[float, float]]
    label: int


class SeedBoxRequest(RequestBody):
    """A box becomes a lesion."""

    box: tuple[AxisRange, AxisRange, AxisRange]
    label: int
    method: Literal["prediction", "intensity"] = "prediction"
    source: Annotated[MaskRef, Field(alias="from")] = "prediction"
    phase: PhaseName | None = None
    id: Annotated[str, Field(max_length=40)] | None = None


class VerdictRequest(RequestBody):
    """A judgement on a difference."""

    difference: Annotated[str, Field(pattern=r"^(d[0-9]{1,10}|organs)$")]
    verdict: Literal["accept", "keep", "relabel", "second_reader", "edited", "clear"]
    label: int | None = None
    shape: Literal["old", "new"] | None = None


class EvidenceRequest(RequestBody):
    """What a lesion's type rests on."""

    at: VoxelIndex
    evidence: EvidenceKind
    note: NoteText = ""


class DrawBoxRequest(RequestBody):
    """A box of mask 00."""

    box: tuple[AxisRange, AxisRange, AxisRange]
    label: Annotated[int, Field(ge=1, le=6)] | None = None
    evidence: EvidenceKind = "pathology"
    note: NoteText = ""


class RemoveNoteRequest(RequestBody):
    """A box or a measurement that goes."""

    id: Annotated[str, Field(max_length=40)]


class MeasureRequest(RequestBody):
    """A ruler or an HU circle."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["ruler", "circle"]
    phase: PhaseName
    start: Annotated[FractionalIndex | None, Field(alias="from")] = None
    to: FractionalIndex | None = None
    centre: FractionalIndex | None = None
    radius_mm: Annotated[float, Field(gt=0, le=200)] | None = None
    keep: bool = True
