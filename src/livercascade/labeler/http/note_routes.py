"""Routes of what goes with a case beside its masks: evidence, boxes, measurements.

The page writes notes as steps of a draft, so that they can be undone (tools ``evidence``, ``draw_box`` and so on). The
routes that write here are for scripts, which have no draft.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from livercascade.labeler.contract.request_schemas import DrawBoxRequest, EvidenceRequest, MeasureRequest
from livercascade.labeler.http.dependencies import CaseDep, UserDep, told
from livercascade.labeler.http.responses import told_boxes
from livercascade.labeler.project.note_steps import (
    draw_box,
    keep_measurement,
    measured,
    note_evidence,
    remove_box,
    remove_measurement,
)

router = APIRouter(prefix="/api/cases/{case_id}")


@router.put("/evidence")
def put_evidence(case: CaseDep, user: UserDep, body: EvidenceRequest) -> Response:
    """Say what the type of the lesion at a point rests on."""
    with case.lock:
        act, text = note_evidence(case, case.mask("head"), body, user)
        case.write_note(act, user, text)
    return told(act.after)


@router.get("/boxes")
def get_boxes(case: CaseDep) -> Response:
    """Boxes of mask 00."""
    return told(told_boxes(case))


@router.post("/boxes")
def post_box(case: CaseDep, user: UserDep, body: DrawBoxRequest) -> Response:
    """Draw a box."""
    with case.lock:
        act, text = draw_box(case, body, user)
        case.write_note(act, user, text)
    return told(act.after, 201)


@router.delete("/boxes/{box}")
def delete_box(case: CaseDep, user: UserDep, box: str) -> Response:
    """Take a box away; one of the file is only hidden."""
    with case.lock:
        act, text = remove_box(case, box, user)
        case.write_note(act, user, text)
    return told({"removed": True})


@router.get("/measurements")
def get_measurements(case: CaseDep) -> Response:
    """Rulers and circles that are kept."""
    return told({"measurements": case.measurements.all()})


@router.post("/measurements")
def post_measurement(case: CaseDep, user: UserDep, body: MeasureRequest) -> Response:
    """Measure, and keep it if wanted."""
    if not body.keep:
        return told(measured(case, body))
    act, text = keep_measurement(case, body, user)
    case.write_note(act, user, text)
    return told(act.after, 201)


@router.delete("/measurements/{key}")
def delete_measurement(case: CaseDep, user: UserDep, key: str) -> Response:
    """Forget a measurement; the journal keeps it."""
    with case.lock:
        act, text = remove_measurement(case, key)
        case.write_note(act, user, text)
    return told({"removed": True})
