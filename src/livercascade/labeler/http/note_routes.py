"""Routes of what goes with a case beside its masks: evidence, boxes, measurements.

The page writes notes as steps of a draft, so that they can be undone (tools ``evidence``, ``draw_box`` and so on). The
routes that write here are for scripts, which have no draft.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from livercascade.labeler.contract.request_schemas import DrawBoxRequest, EvidenceRequest, MeasureRequest
from livercascade.labeler.contract.response_schemas import (
    BoxList,
    BoxRecord,
    EvidenceRecord,
    MeasurementList,
    MeasurementRecord,
)
from livercascade.labeler.http.dependencies import CaseDep, UserDep, error_responses
from livercascade.labeler.http.responses import box_list
from livercascade.labeler.project.note_steps import (
    draw_box,
    keep_measurement,
    measured,
    note_evidence,
    remove_box,
    remove_measurement,
)

router = APIRouter(prefix="/api/cases/{case_id}", responses=error_responses())
_Removed = dict[Literal["removed"], bool]


@router.put("/evidence")
def put_evidence(case: CaseDep, user: UserDep, body: EvidenceRequest) -> EvidenceRecord:
    """Say what the type of the lesion at a point rests on."""
    with case.lock:
        change, text = note_evidence(case, case.mask("head"), body, user)
        case.write_note(change, user, text)
    return EvidenceRecord.model_validate(change.after)


@router.get("/boxes")
def get_boxes(case: CaseDep) -> BoxList:
    """Boxes of mask 00."""
    return box_list(case)


@router.post("/boxes", status_code=201)
def post_box(case: CaseDep, user: UserDep, body: DrawBoxRequest) -> BoxRecord:
    """Draw a box."""
    with case.lock:
        change, text = draw_box(case, body, user)
        case.write_note(change, user, text)
    return BoxRecord.model_validate(change.after)


@router.delete("/boxes/{box}")
def delete_box(case: CaseDep, user: UserDep, box: str) -> _Removed:
    """Take a box away; one of the file is only hidden."""
    with case.lock:
        change, text = remove_box(case, box, user)
        case.write_note(change, user, text)
    return {"removed": True}


@router.get("/measurements", response_model_exclude_unset=True)
def get_measurements(case: CaseDep) -> MeasurementList:
    """Rulers and circles that are kept."""
    return MeasurementList.model_validate({"measurements": case.measurements.all()})


@router.post("/measurements", status_code=201, response_model_exclude_unset=True)
def post_measurement(case: CaseDep, user: UserDep, body: MeasureRequest, response: Response) -> MeasurementRecord:
    """Measure, and keep it if wanted; 200 if it is not kept."""
    if not body.keep:
        response.status_code = 200
        return MeasurementRecord.model_validate(measured(case, body))
    change, text = keep_measurement(case, body, user)
    case.write_note(change, user, text)
    return MeasurementRecord.model_validate(change.after)


@router.delete("/measurements/{key}")
def delete_measurement(case: CaseDep, user: UserDep, key: str) -> _Removed:
    """Forget a measurement; the journal keeps it."""
    with case.lock:
        change, text = remove_measurement(case, key)
        case.write_note(change, user, text)
    return {"removed": True}
