"""Routes that read: session, work list, one case, its voxels, lesions and comparisons."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from livercascade.data.errors import CascadeError
from livercascade.data.labels import PHASES, Phase
from livercascade.labeler.contract.request_schemas import CaseStateRequest, PhaseName
from livercascade.labeler.contract.response_schemas import (
    CaseInfo,
    CaseRow,
    ComponentInfo,
    DifferenceList,
    EvidenceList,
    LesionListing,
    NextCase,
    ReportTexts,
    ReviewList,
    SessionInfo,
    VolumeStatus,
    WorkList,
)
from livercascade.labeler.editing.lesion_components import component_at, flat_indices, lesions_of
from livercascade.labeler.http.dependencies import (
    CaseDep,
    UserDep,
    WorkspaceDep,
    error_responses,
    slab_range,
    slab_response,
    unchanged,
)
from livercascade.labeler.http.responses import (
    case_info,
    component_info,
    difference_list,
    fault,
    lesion_listing,
    report_texts,
    session_info,
)
from livercascade.labeler.imaging.mask_delta import LabelMask
from livercascade.labeler.label_error import not_found
from livercascade.labeler.project.draft_store import REVIEW
from livercascade.labeler.project.identifiers import user_of_folder
from livercascade.labeler.project.notebooks import evidence_of
from livercascade.labeler.project.tool_steps import differences
from livercascade.labeler.project.versions import mask_sha256

router = APIRouter(prefix="/api", responses=error_responses())
_BYTES = "application/octet-stream"


@router.get("/session", response_model_exclude_unset=True)
def session(workspace: WorkspaceDep) -> SessionInfo:
    """What the page needs before it opens a case."""
    return session_info(workspace)


@router.get("/cases")
def cases(workspace: WorkspaceDep) -> WorkList:
    """The work list."""
    return workspace.work_list()


@router.get("/cases/next")
def next_case(workspace: WorkspaceDep, after: str | None = None) -> NextCase:
    """The next case that is not done."""
    return NextCase(id=workspace.next_case(after))


@router.put("/cases/{case_id}/state")
def put_state(case: CaseDep, workspace: WorkspaceDep, user: UserDep, body: CaseStateRequest) -> CaseRow:
    """Set the state of a case in the work list."""
    with case.lock:
        case.note("state", user, body.state)
    return workspace.row(case.id)


@router.get("/cases/{case_id}", response_model_exclude_unset=True)
def one_case(case: CaseDep, workspace: WorkspaceDep) -> CaseInfo:
    """Everything of a case but its voxels; decoding begins."""
    workspace.prefetch(case)
    return case_info(case, workspace)


@router.get("/cases/{case_id}/windows")
def windows(case: CaseDep) -> dict[PhaseName, tuple[int, int] | None]:
    """Automatic window per phase, None for phases that cannot be shown."""
    found: dict[PhaseName, tuple[int, int] | None] = {}
    for phase in PHASES:
        try:
            found[phase.value] = case.window(phase)
        except CascadeError:
            found[phase.value] = None
    return found


@router.get("/cases/{case_id}/volumes/{phase}", response_class=Response, responses=error_responses(binary=_BYTES))
def volume(request: Request, case: CaseDep, phase: str, z0: int | None = None, n: int | None = None) -> Response:
    """Slices of a phase in HU, as soon as they are decoded."""
    found = case.volume(_phase(phase))
    if unchanged(request, found.tag):
        return Response(status_code=304)
    nz, ny, nx = found.grid.shape
    first, end = slab_range(nz, z0, n, ny * nx * 2)
    return slab_response(request, found.slab(first, end), first, found.tag, pack=False)


@router.get("/cases/{case_id}/volumes/{phase}/status")
def volume_status(case: CaseDep, phase: str) -> VolumeStatus:
    """How far decoding has come."""
    found = case.volume(_phase(phase))
    error = fault(found.error) if found.error else None
    return VolumeStatus(decoded=found.ready, slices=found.grid.shape[0], error=error)


@router.get("/cases/{case_id}/masks/{ref}", response_class=Response, responses=error_responses(binary=_BYTES))
def mask(
    request: Request, case: CaseDep, user: UserDep, ref: str, z0: int | None = None, n: int | None = None
) -> Response:
    """Slices of a mask."""
    with case.lock:
        labels = case.mask(ref, user)
        tag = mask_sha256(labels)
        if unchanged(request, tag):
            return Response(status_code=304)
        nz, ny, nx = labels.shape
        first, end = slab_range(nz, z0, nz if n is None else n, 1 if n is None else ny * nx)
        # Packed while the lock is held: a draft changes in place.
        answer = slab_response(request, labels[first:end], first, tag, pack=True)
    answer.headers["X-Mask-Sha256"] = tag
    return answer


@router.get("/cases/{case_id}/report")
def report(case: CaseDep) -> ReportTexts:
    """Text of the reports."""
    return report_texts(case)


@router.get("/cases/{case_id}/lesions", response_model_exclude_unset=True)
def lesions(case: CaseDep, user: UserDep, ref: str = "head") -> LesionListing:
    """Table of the lesions of a mask."""
    return lesion_listing(case, _steady(case, ref, user), ref, user)


@router.get("/cases/{case_id}/component", response_model=ComponentInfo, responses=error_responses(binary=_BYTES))
def component(
    case: CaseDep,
    user: UserDep,
    z: int,
    y: int,
    x: int,
    ref: str = "head",
    form: Annotated[str, Query(alias="as", pattern="^(json|indices)$")] = "json",
) -> ComponentInfo | Response:
    """The whole lesion under a voxel, or the connected part of an organ."""
    labels = _steady(case, ref, user)
    label, box, part = component_at(labels, (z, y, x))
    if form == "indices":
        data = flat_indices(part, box, labels.shape).astype("<u4").tobytes()
        return Response(data, media_type=_BYTES)
    return component_info(label, part, box, case.grid)


@router.get("/cases/{case_id}/differences", response_model_exclude_unset=True)
def compare_masks(
    case: CaseDep, user: UserDep, old: str, new: str, min_ml: Annotated[float, Query(ge=0)] = 0.0
) -> DifferenceList:
    """Two masks compared lesion by lesion, with the asking reader's verdicts."""
    with case.lock:
        one, other = case.resolve(old), case.resolve(new)
        found = differences(case, one, other, user)
        name = f"{REVIEW}.{one}.{other}"
        drafted = "draft." not in name and case.drafts.journal(name, user).path.exists()
        verdicts = case.drafts.open(name, user).verdicts if drafted else {}
        return difference_list((one, other), found, case.grid, verdicts, min_ml=min_ml)


@router.get("/cases/{case_id}/reviews")
def reviews(case: CaseDep) -> ReviewList:
    """How far every reader has come with every comparison."""
    found: list[ReviewList.ReviewRow] = []
    for folder, name in case.drafts.reviews():
        reader = user_of_folder(folder)
        _, old, new = name.split(".")
        with case.lock:
            draft = case.drafts.open(name, reader)
            items = difference_list((old, new), differences(case, old, new), case.grid, draft.verdicts, min_ml=0)
            row = {"draft": name, "old": old, "new": new, "user": reader, "done": items.of - items.open, "of": items.of}
            found.append(ReviewList.ReviewRow.model_validate({**row, "dirty": draft.dirty}))
    return ReviewList(reviews=found)


@router.get("/cases/{case_id}/evidence", response_model_exclude_unset=True)
def evidence(case: CaseDep, user: UserDep, ref: str = "head") -> EvidenceList:
    """Evidence that belongs to a lesion of a mask, and what has lost its lesion."""
    by_lesion, lost = evidence_of(case.evidence.all(), lesions_of(_steady(case, ref, user)))
    return EvidenceList(evidence=list(by_lesion.values()), without_lesion=lost)


def _phase(name: str) -> Phase:
    if name not in Phase.__members__:
        raise not_found("phase")
    return Phase[name]


def _steady(case: CaseDep, ref: str, user: str) -> LabelMask:
    """A mask that nobody changes while it is looked at."""
    with case.lock:
        found = case.mask(ref, user)
        return found.copy() if ref.startswith("draft.") else found
