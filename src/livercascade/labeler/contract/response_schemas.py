"""What answers hold. Indices and points are ``[z, y, x]`` in display order, lengths mm, volumes ml, positions LPS mm.

Fields with `LEFT_OUT` are left out of an answer that does not set them; all others are always there.
Shapes that stand in one answer alone are nested in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from livercascade.data.record import Record
from livercascade.labeler.contract.request_schemas import EvidenceKind, PhaseName, StateName, VerdictKind

LEFT_OUT: Any = Field(default_factory=lambda: None)
"""Default of a field that an answer holds only where it is set; the schema then names no value for it."""
_FROM: Any = Field(default_factory=lambda: None, alias="from")
Voxel = tuple[int, int, int]
Bounds = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Triplet = tuple[float, float, float]
AxisDirections = tuple[Triplet, Triplet, Triplet]
MatrixRow = tuple[float, float, float, float]


class ResponseModel(Record):
    """Base of answers; what a file of an older project holds beside the fields is left out."""

    model_config = ConfigDict(extra="ignore", validate_by_name=True)


class Fault(ResponseModel):
    """What is wrong, in a stable code and in words.

    Attributes:
        code: Stable upper-case code.
        message: Sentence with the value found.
        remedy: What to do about it.
    """

    code: str
    message: str
    remedy: str


class SessionInfo(ResponseModel):
    """What the page needs before it opens a case.

    Attributes:
        version: Version of this package.
        project: Name of the project for people.
        user: Reader who started the server.
        users: Readers who have worked on the project.
        predictions: True if a folder of predictions was given.
        labels: Labels with their looks.
        tools: Names of the tools of a draft.
        windows: Centre and width in HU of the preset windows.
    """

    class LabelInfo(ResponseModel):
        """A label, its letter and its colour; ``malignant`` for lesions alone."""

        value: int
        name: str
        group: Literal["background", "lesion", "organ"]
        letter: str
        color: str
        malignant: bool = LEFT_OUT

    version: str
    project: str
    user: str
    users: list[str]
    predictions: bool
    labels: list[LabelInfo]
    tools: list[str]
    windows: Mapping[str, tuple[int, int]]


class CaseRow(ResponseModel):
    """One line of the work list.

    Attributes:
        id: Name of the case.
        state: State that a reader gave it.
        phases: Phases that are there, or DICOM.
        head: Last version that was not saved beside, None if there is none.
        versions: Number of versions.
        user: Reader of the last event.
        time: Time of the last event.
        report: True if there is a report.
        second_reader: Differences of the last version that wait for a second reader.
    """

    id: str
    state: StateName
    phases: list[Literal["NC", "AP", "VP", "DP", "DICOM"]]
    head: str | None
    versions: int
    user: str | None
    time: str | None
    report: bool
    second_reader: int


class WorkList(ResponseModel):
    """All cases, in the order of their names.

    Attributes:
        cases: Lines of the list.
        counts: Number of cases by state.
        skipped: Folders that look like cases but cannot be opened, and why.
    """

    class SkippedFolder(ResponseModel):
        """A folder that cannot be opened."""

        name: str
        code: str
        message: str

    cases: list[CaseRow]
    counts: Mapping[StateName, int]
    skipped: list[SkippedFolder]


class NextCase(ResponseModel):
    """The next case that is not done, None if all are."""

    id: str | None


class VersionInfo(ResponseModel):
    """A saved version of the mask.

    Attributes:
        ref: Name of the version.
        parent: Mask it was made from.
        user: Reader who saved it.
        time: Time of saving.
        what: Kind of act that made it.
        note: Note of the reader.
        beside: True if it lies beside the others and did not become the head.
        steps: Names of the steps since the last save.
        voxels_changed: Voxels that differ from the parent.
        mask_sha256: SHA-256 of the labels in display order.
        verdicts: Number of verdicts of each kind.
        source: Version that was brought back.
    """

    ref: str
    parent: str
    user: str
    time: str
    what: Literal["edit", "review", "import", "restore", "upload"]
    note: str
    beside: bool
    steps: tuple[str, ...]
    voxels_changed: int
    mask_sha256: str
    verdicts: Mapping[str, int]
    source: str


class CaseInfo(ResponseModel):
    """Everything of a case but its voxels.

    Attributes:
        id: Name of the case.
        state: State in the work list.
        head: Mask on which the next edit starts.
        grid: Grid of the masks, None if no phase can be read.
        reference: Phase whose grid it is.
        phases: All four phases.
        masks: Versions, newest first, then the masks that came with the case.
        report: Report files of the case.
        dicom: True if the case has its DICOM study.
        erase_label: Label that an eraser writes.
        notices: What a reader should know of the images.
        boxes: Number of boxes of mask 00.
        measurements: Number of measurements that are kept.
    """

    class GridInfo(ResponseModel):
        """Where the voxels lie.

        Attributes:
            shape: Voxels along z, y, x.
            spacing: mm along z, y, x.
            origin: Triplet of the first voxel, LPS mm (x, y, z).
            direction: Directions of z, y, x in LPS.
            affine: Matrix from (z, y, x, 1) to LPS mm.
            stored: Directions of the axes of the file.
            oblique_deg: Largest angle to the patient's axes in degrees, 0 if straight.
            letters: Letters of the sides of an axial picture, and of the two ends.
        """

        shape: Voxel
        spacing: Triplet
        origin: Triplet
        direction: AxisDirections
        affine: tuple[MatrixRow, MatrixRow, MatrixRow, MatrixRow]
        stored: str
        oblique_deg: float
        letters: Mapping[Literal["left", "right", "top", "bottom", "up", "down"], str]

    class PhaseInfo(ResponseModel):
        """A phase: its grid if it is another one, window and tag; or what is wrong with it."""

        status: Literal["ok", "missing", "bad"]
        title: str
        grid: CaseInfo.GridInfo | None = LEFT_OUT
        window: tuple[int, int] = LEFT_OUT
        window_auto: bool = LEFT_OUT
        etag: str = LEFT_OUT
        error: Fault = LEFT_OUT

    class VersionMask(VersionInfo):
        """A version as a mask that can be shown."""

        status: Literal["ok"]

    class SourceMask(ResponseModel):
        """A mask that came with the case."""

        ref: str
        status: Literal["ok", "bad"]
        error: Fault = LEFT_OUT

    class ReportFiles(ResponseModel):
        """Names of the report files."""

        status: Literal["ok", "missing"]
        files: list[str]

    class ImageNotice(ResponseModel):
        """Something a reader should know."""

        code: str
        message: str

    id: str
    state: StateName
    head: str
    grid: GridInfo | None
    reference: PhaseName | None
    phases: Mapping[PhaseName, PhaseInfo]
    masks: list[VersionMask | SourceMask]
    report: ReportFiles
    dicom: bool
    erase_label: int
    notices: list[ImageNotice]
    boxes: int
    measurements: int


class VolumeStatus(ResponseModel):
    """How far decoding has come: slices ``[first, end)`` of all, and why it ended early."""

    decoded: tuple[int, int]
    slices: int
    error: Fault | None


class ReportTexts(ResponseModel):
    """Reports of a case as plain text."""

    class ReportPart(ResponseModel):
        """Text of one file."""

        name: str
        text: str

    status: Literal["ok", "missing"]
    parts: list[ReportPart]
    error: Fault | None


class EvidenceRecord(ResponseModel):
    """What the type of the lesion at a voxel rests on; ``id`` in the answer to a request that writes it."""

    id: str = LEFT_OUT
    at: Voxel
    evidence: EvidenceKind
    note: str
    user: str
    time: str


class EvidenceList(ResponseModel):
    """Evidence that belongs to a lesion of a mask, and evidence that has lost its lesion."""

    evidence: list[EvidenceRecord]
    without_lesion: list[EvidenceRecord]


class ComponentInfo(ResponseModel):
    """A lesion, or a connected part of an organ.

    Attributes:
        label: Label; of a lesion the type of most voxels.
        voxels: Number of voxels.
        volume_ml: Volume in ml.
        slices: First and last slice.
        slice: Slice with the largest cross-section.
        at: Voxel of it in that slice, nearest to the middle.
        centroid: Centre of mass, LPS mm (x, y, z).
        box: Half-open box round it.
        first: Smallest flat index.
    """

    label: int
    voxels: int
    volume_ml: float
    slices: tuple[int, int]
    slice: int
    at: Voxel
    centroid: Triplet
    box: Bounds
    first: int


class LesionListing(ResponseModel):
    """Lesions of a mask by number, sums by type, and organs in ml."""

    class ListedLesion(ComponentInfo):
        """A lesion of the table.

        Attributes:
            number: Number in the report, where there is one; else the place by size.
            diameter_mm: Longest axial diameter.
            evidence: What its type rests on.
        """

        number: int
        diameter_mm: float
        evidence: EvidenceRecord | None

    class TypeTotal(ResponseModel):
        """Sum over the lesions of a type."""

        count: int
        volume_ml: float

    ref: str
    lesions: list[ListedLesion]
    totals: Mapping[str, TypeTotal]
    organs: Mapping[str, float]


class DifferenceVerdict(ResponseModel):
    """A judgement on a difference, as draft and version keep it.

    Attributes:
        difference: Difference that was judged.
        kind: Kind of the difference.
        verdict: Judgement.
        label: Type that the region was given, if any.
        shape: Side whose outline was taken, if any.
        time: Time of the judgement.
    """

    difference: str
    kind: str
    verdict: VerdictKind
    label: int | None
    shape: Literal["old", "new"] | None
    time: str = LEFT_OUT


class DifferenceList(ResponseModel):
    """Two masks compared lesion by lesion.

    Attributes:
        old: Old mask.
        new: New mask.
        connectivity: Neighbours of a voxel in a lesion: eight in its slice, one above, one below.
        counts: Number of differences of each kind.
        open: Differences without a verdict.
        of: Differences that need one.
        differences: Most important first.
    """

    class DifferenceRow(ResponseModel):
        """Lesions of two masks that share voxels, or what differs in the organs.

        Attributes:
            id: Name of the difference, the same as long as the two masks are.
            kind: What became of the lesions.
            types: Types of both sides in words.
            old: Lesions of the old mask, largest first.
            new: Lesions of the new mask, largest first.
            old_ml: Volume of the old lesions.
            new_ml: Volume of the new lesions.
            changed_ml: Volume whose labels differ.
            dice: Overlap of the lesion voxels, without types.
            box: Half-open box round the region.
            slices: First and last slice.
            at: Voxel to look at.
            verdict: Judgement of the asking reader.
        """

        class SideLesion(ResponseModel):
            """A lesion of one side."""

            label: int
            voxels: int
            volume_ml: float

        id: str
        kind: Literal["added", "removed", "relabelled", "split", "merged", "boundary", "same"]
        types: str
        old: list[SideLesion]
        new: list[SideLesion]
        old_ml: float
        new_ml: float
        changed_ml: float
        dice: float
        box: Bounds
        slices: tuple[int, int]
        at: Voxel
        verdict: DifferenceVerdict | None

    old: str
    new: str
    connectivity: int
    counts: Mapping[str, int]
    open: int
    of: int
    differences: list[DifferenceRow]


class ReviewList(ResponseModel):
    """How far every reader has come with every comparison."""

    class ReviewRow(ResponseModel):
        """One reader's comparison: ``done`` of ``of`` differences are judged; ``dirty`` if not all is saved."""

        draft: str
        old: str
        new: str
        user: str
        done: int
        of: int
        dirty: bool

    reviews: list[ReviewRow]


class BoxRecord(ResponseModel):
    """A box of mask 00.

    Attributes:
        id: Name of the box.
        box: Half-open box.
        label: Type of the lesion, None if unknown.
        evidence: What the type rests on.
        note: Note of the reader.
        status: What became of the box.
        source: Origin of the box.
        user: Reader who drew or changed it.
        time: Time of the last change.
    """

    id: str
    box: Bounds
    label: int | None
    evidence: str
    note: str
    status: Literal["open", "seeded", "needs_drawing"]
    source: Literal["file", "reader"]
    user: str | None
    time: str | None


class BoxList(ResponseModel):
    """Boxes of mask 00, and why those of the case's file cannot be read."""

    boxes: list[BoxRecord]
    error: Fault | None


class MeasurementRecord(ResponseModel):
    """A ruler, or a circle with the HU in it; ``id``, ``user`` and ``time`` if it is kept.

    Attributes:
        kind: Ruler or circle.
        phase: Phase it was measured in.
        start: First end of a ruler, fractions of voxels; ``from`` in JSON.
        to: Second end of a ruler.
        centre: Centre of a circle.
        radius_mm: Radius of a circle.
        mm: Length of a ruler.
        mean: Mean HU.
        sd: Standard deviation in HU.
        min: Smallest HU.
        max: Largest HU.
        pixels: Pixels in the circle.
        area_mm2: Area of these pixels.
        id: Name of the measurement.
        user: Reader who kept it.
        time: Time of keeping.
    """

    kind: Literal["ruler", "circle"]
    phase: PhaseName
    start: Triplet = _FROM
    to: Triplet = LEFT_OUT
    centre: Triplet = LEFT_OUT
    radius_mm: float = LEFT_OUT
    mm: float = LEFT_OUT
    mean: float = LEFT_OUT
    sd: float = LEFT_OUT
    min: int = LEFT_OUT
    max: int = LEFT_OUT
    pixels: int = LEFT_OUT
    area_mm2: float = LEFT_OUT
    id: str = LEFT_OUT
    user: str = LEFT_OUT
    time: str = LEFT_OUT


class MeasurementList(ResponseModel):
    """Measurements that are kept."""

    measurements: list[MeasurementRecord]


class DraftState(ResponseModel):
    """State of a draft.

    Attributes:
        draft: Name of the draft.
        case: Name of the case.
        user: Reader whose draft it is.
        base: Mask it was begun on.
        parent: Mask that the next version names as its parent.
        head: Head of the case.
        n: Confirmed records of the journal; what ``If-Match`` must name.
        position: Steps that are applied.
        steps_count: Number of steps.
        steps: Steps, None where they were not asked for.
        saved_position: Triplet of the last save, None if its steps were dropped.
        dirty: True if a version would hold something new.
        recovery: Offer to go on with unsaved steps.
        undo: Name of the step that undo would take back.
        redo: Name of the step that redo would bring again.
        mask_sha256: SHA-256 of the working mask, None where steps were not asked for.
    """

    class DraftStep(ResponseModel):
        """A named step and the number of voxels it changed."""

        number: int
        name: str
        kind: str
        voxels: int
        time: str
        verdict: DifferenceVerdict | None

    class RecoveryOffer(ResponseModel):
        """Number of unsaved steps, and the time of the last one."""

        steps: int
        time: str

    draft: str
    case: str
    user: str
    base: str
    parent: str
    head: str
    n: int
    position: int
    steps_count: int
    steps: list[DraftStep] | None
    saved_position: int | None
    dirty: bool
    recovery: RecoveryOffer | None
    undo: str | None
    redo: str | None
    mask_sha256: str | None


class StepAnswer(ResponseModel):
    """Answer to a step: as JSON if the client made it, else as header of the delta that the server made.

    Attributes:
        name: Name of the step.
        kind: Kind of the step.
        notes: Notebooks that changed with it.
        state: State of the draft.
        count: Voxels that changed; those of a delta follow.
    """

    name: str
    kind: str
    notes: list[Literal["boxes", "evidence", "measurements"]]
    state: DraftState
    count: int


class SavedVersion(VersionInfo):
    """A version that was saved from a draft, and the draft as it is then."""

    draft: DraftState


class VersionList(ResponseModel):
    """Versions, oldest first, and the head."""

    head: str
    versions: list[VersionInfo]


class History(ResponseModel):
    """What happened to a case, oldest first."""

    class HistoryEvent(ResponseModel):
        """Something a reader did."""

        time: str
        user: str
        event: str
        ref: str | None
        parent: str | None
        text: str

    events: list[HistoryEvent]


class ErrorAnswer(ResponseModel):
    """Body of every error."""

    class ErrorDetail(Fault):
        """Why a request was refused, with further fields for some codes.

        Attributes:
            state: State of the draft (``DRAFT_MOVED``).
            head: Head of the case (``VERSION_CONFLICT``).
            parent: Mask that the version was drawn on (``VERSION_CONFLICT``).
            segments: Segments whose label is not known (``SEG_UNKNOWN_SEGMENTS``).
        """

        class UnknownSegment(ResponseModel):
            """A segment of a DICOM Segmentation whose label must be given."""

            number: int
            label: str
            type: str

        state: DraftState = LEFT_OUT
        head: str = LEFT_OUT
        parent: str = LEFT_OUT
        segments: list[UnknownSegment] = LEFT_OUT

    error: ErrorDetail
