"""Routes that read: session, work list, one case, its voxels, lesions and comparisons."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from livercascade import __version__
from livercascade.data.errors import CascadeError
from livercascade.data.labels import PHASES, Phase
from livercascade.labeler.contract.request_schemas import CaseStateRequest
from livercascade.labeler.editing.lesion_components import component_at, describe, flat_indices, lesions_of
from livercascade.labeler.editing.review_verdicts import told_differences
from livercascade.labeler.http.dependencies import (
    CaseDep,
    UserDep,
    WorkspaceDep,
    slab_range,
    told,
    told_slab,
    unchanged,
)
from livercascade.labeler.http.responses import told_case, told_labels, told_lesions, told_report
from livercascade.labeler.imaging.mask_delta import LabelMask
from livercascade.labeler.imaging.windowing import PRESETS
from livercascade.labeler.label_error import not_found, told_error
from livercascade.labeler.project.draft_store import REVIEW
from livercascade.labeler.project.identifiers import user_of_folder
from livercascade.labeler.project.notebooks import evidence_of
from livercascade.labeler.project.tool_steps import TOOLS, differences
from livercascade.labeler.project.versions import mask_sha256

router = APIRouter(prefix="/api")


@router.get("/session")
def session(workspace: WorkspaceDep) -> Response:
    """What the page needs before it opens a case."""
    record = {
        "version": __version__,
        "project": workspace.project.title,
        "user": workspace.user,
        "users": workspace.users(),
        "predictions": workspace.project.predictions is not None,
        "labels": told_labels(),
        "tools": list(TOOLS),
        "windows": {name: list(window) for name, window in PRESETS.items()},
    }
    return told(record)


@router.get("/cases")
def cases(workspace: WorkspaceDep) -> Response:
    """The work list."""
    return told(workspace.work_list())


@router.get("/cases/next")
def next_case(workspace: WorkspaceDep, after: str | None = None) -> Response:
    """The next case that is not done."""
    return told({"id": workspace.next_case(after)})


@router.put("/cases/{case_id}/state")
def put_state(case: CaseDep, workspace: WorkspaceDep, user: UserDep, body: CaseStateRequest) -> Response:
    """Set the state of a case in the work list."""
    with case.lock:
        case.note("state", user, body.state)
    return told(workspace.row(case.id))


@router.get("/cases/{case_id}")
def one_case(case: CaseDep, workspace: WorkspaceDep) -> Response:
    """Everything of a case but its voxels; decoding begins."""
    workspace.warm(case)
    return told(told_case(case, workspace.row(case.id)["state"]))


@router.get("/cases/{case_id}/windows")
def windows(case: CaseDep) -> Response:
    """Automatic window per phase, None for phases that cannot be shown."""
    found: dict[str, list[int] | None] = {}
    for phase in PHASES:
        try:
            found[phase.value] = list(case.window(phase))
        except CascadeError:
            found[phase.value] = None
    return told(found)


@router.get("/cases/{case_id}/volumes/{phase}")
def volume(request: Request, case: CaseDep, phase: str, z0: int | None = None, n: int | None = None) -> Response:
    """Slices of a phase in HU, as soon as they are decoded."""
    found = case.volume(_phase(phase))
    if unchanged(request, found.tag):
        return Response(status_code=304)
    nz, ny, nx = found.grid.shape
    first, end = slab_range(nz, z0, n, ny * nx * 2)
    return told_slab(request, found.slab(first, end), first, found.tag, pack=False)


@router.get("/cases/{case_id}/volumes/{phase}/status")
def volume_status(case: CaseDep, phase: str) -> Response:
    """How far decoding has come."""
    found = case.volume(_phase(phase))
    error = told_error(found.error) if found.error else None
    return told({"decoded": list(found.ready), "slices": found.grid.shape[0], "error": error})


@router.get("/cases/{case_id}/masks/{ref}")
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
        answer = told_slab(request, labels[first:end], first, tag, pack=True)
    answer.headers["X-Mask-Sha256"] = tag
    return answer


@router.get("/cases/{case_id}/report")
def report(case: CaseDep) -> Response:
    """Text of the reports."""
    return told(told_report(case))


@router.get("/cases/{case_id}/lesions")
def lesions(case: CaseDep, user: UserDep, ref: str = "head") -> Response:
    """Table of the lesions of a mask."""
    return told(told_lesions(case, _steady(case, ref, user), ref))


@router.get("/cases/{case_id}/component")
def component(
    case: CaseDep,
    user: UserDep,
    z: int,
    y: int,
    x: int,
    ref: str = "head",
    form: Annotated[str, Query(alias="as", pattern="^(json|indices)$")] = "json",
) -> Response:
    """The whole 3D component under a point."""
    labels = _steady(case, ref, user)
    box, part = component_at(labels, (z, y, x))
    if form == "indices":
        data = flat_indices(part, box, labels.shape).astype("<u4").tobytes()
        return Response(data, media_type="application/octet-stream")
    return told({"label": int(labels[z, y, x]), **describe(part, box, case.grid)})


@router.get("/cases/{case_id}/differences")
def compare_masks(
    case: CaseDep, user: UserDep, old: str, new: str, min_ml: Annotated[float, Query(ge=0)] = 0.0
) -> Response:
    """Two masks compared lesion by lesion, with the asking reader's verdicts."""
    with case.lock:
        one, other = case.resolve(old), case.resolve(new)
        found = differences(case, one, other, user)
        name = f"{REVIEW}.{one}.{other}"
        drafted = "draft." not in name and case.drafts.journal(name, user).path.exists()
        verdicts = case.drafts.open(name, user).verdicts if drafted else {}
        return told({"old": one, "new": other, **told_differences(found, case.grid, verdicts, min_ml=min_ml)})


@router.get("/cases/{case_id}/reviews")
def reviews(case: CaseDep) -> Response:
    """How far every reader has come with every comparison."""
    found: list[dict[str, object]] = []
    for folder, name in case.drafts.reviews():
        reader = user_of_folder(folder)
        _, old, new = name.split(".")
        with case.lock:
            draft = case.drafts.open(name, reader)
            items = told_differences(differences(case, old, new), case.grid, draft.verdicts, min_ml=0)
            done = items["of"] - items["open"]
            row = {"draft": name, "old": old, "new": new, "user": reader, "done": done, "of": items["of"]}
            found.append({**row, "dirty": draft.dirty})
    return told({"reviews": found})


@router.get("/cases/{case_id}/evidence")
def evidence(case: CaseDep, user: UserDep, ref: str = "head") -> Response:
    """Evidence that belongs to a lesion of a mask, and what has lost its lesion."""
    by_lesion, lost = evidence_of(case.evidence.all(), lesions_of(_steady(case, ref, user)))
    return told({"evidence": list(by_lesion.values()), "without_lesion": lost})


def _phase(name: str) -> Phase:
    if name not in Phase.__members__:
        raise not_found("phase")
    return Phase[name]


def _steady(case: CaseDep, ref: str, user: str) -> LabelMask:
    """A mask that nobody changes while it is looked at."""
    with case.lock:
        found = case.mask(ref, user)
        return found.copy() if ref.startswith("draft.") else found
