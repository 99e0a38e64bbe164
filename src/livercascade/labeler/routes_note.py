"""Routes of what goes with a case beside its masks: evidence, boxes, measurements."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from livercascade.data.labels import Phase
from livercascade.labeler import bodies
from livercascade.labeler.annotations import circle, ruler_mm
from livercascade.labeler.box_seed import checked_box
from livercascade.labeler.case import Case
from livercascade.labeler.components import check_inside
from livercascade.labeler.errors import bad_request
from livercascade.labeler.requests import CaseDep, UserDep, told
from livercascade.labeler.views import told_boxes

router = APIRouter(prefix="/api/cases/{case_id}")


@router.put("/evidence")
def put_evidence(case: CaseDep, user: UserDep, body: bodies.Evidence) -> Response:
    """Say what the type of the lesion at a point rests on."""
    check_inside(body.at, case.grid.shape)
    with case.lock:
        stored = case.evidence.put(body.model_dump(mode="json"), user, prefix="e")
        case.note("evidence", user, f"{body.evidence} at slice {body.at[0] + 1}")
    return told(stored)


@router.get("/boxes")
def get_boxes(case: CaseDep) -> Response:
    """Boxes of mask 00."""
    return told(told_boxes(case))


@router.post("/boxes")
def post_box(case: CaseDep, user: UserDep, body: bodies.Box) -> Response:
    """Draw a box."""
    checked_box(body.box, case.grid.shape)
    record = {**body.model_dump(mode="json"), "status": "open", "source": "reader"}
    with case.lock:
        stored = case.boxes.put(record, user, prefix="b")
        case.note("boxes", user, f"box {stored['id']} drawn")
    return told(stored, 201)


@router.delete("/boxes/{box}")
def delete_box(case: CaseDep, user: UserDep, box: str) -> Response:
    """Take a box away; one of the file is only hidden."""
    with case.lock:
        known = {one["id"]: one for one in told_boxes(case)["boxes"]}
        if box in known and known[box]["source"] == "file":
            case.boxes.put({**known[box], "removed": True}, user)
        else:
            case.boxes.remove(box, user, known=list(known))
        case.note("boxes", user, f"box {box} removed")
    return told({"removed": True})


@router.get("/measurements")
def get_measurements(case: CaseDep) -> Response:
    """Rulers and circles that are kept."""
    return told({"measurements": case.measurements.all()})


@router.post("/measurements")
def post_measurement(case: CaseDep, user: UserDep, body: bodies.Measurement) -> Response:
    """Measure, and keep it if wanted."""
    record = {
        **body.model_dump(mode="json", by_alias=True, exclude={"keep"}, exclude_none=True),
        **_measured(case, body),
    }
    if not body.keep:
        return told(record)
    with case.lock:
        return told(case.measurements.put(record, user, prefix="m"), 201)


@router.delete("/measurements/{key}")
def delete_measurement(case: CaseDep, user: UserDep, key: str) -> Response:
    """Forget a measurement; the journal keeps it."""
    with case.lock:
        case.measurements.remove(key, user, known=[one["id"] for one in case.measurements.all()])
    return told({"removed": True})


def _measured(case: Case, body: bodies.Measurement) -> dict[str, Any]:
    volume = case.volume(Phase[body.phase])
    if body.kind == "ruler":
        if body.start is None or body.to is None:
            raise bad_request("A ruler needs from and to.")
        return {"mm": round(ruler_mm(volume.grid, body.start, body.to), 2)}
    if body.centre is None or body.radius_mm is None:
        raise bad_request("A circle needs centre and radius_mm.")
    z = round(body.centre[0])
    check_inside((z, *map(round, body.centre[1:])), volume.grid.shape)
    return circle(volume.slab(z, z + 1)[0], volume.grid, body.centre, body.radius_mm)
