"""Notes of a case as acts: each gives the change of a notebook and a name for it; nothing is written yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livercascade.data.labels import Phase, label_name
from livercascade.labeler.contract.request_schemas import DrawBoxRequest, EvidenceRequest, MeasureRequest
from livercascade.labeler.contract.response_schemas import BoxRecord
from livercascade.labeler.editing.box_seeding import checked_box
from livercascade.labeler.editing.lesion_components import check_inside
from livercascade.labeler.imaging.mask_delta import LabelMask
from livercascade.labeler.label_error import bad_request, not_found
from livercascade.labeler.project.notebooks import NoteChange, boxes_of, circle, ruler_mm, source_boxes
from livercascade.labeler.project.open_case import OpenCase


def note_evidence(case: OpenCase, mask: LabelMask, body: EvidenceRequest, user: str) -> tuple[NoteChange, str]:
    """Say what the type of the lesion at a point of a mask rests on."""
    check_inside(body.at, mask.shape)
    act = case.evidence.adding(body.model_dump(mode="json"), user)
    return act, f"Evidence of {label_name(int(mask[body.at]))} in slice {body.at[0] + 1}: {body.evidence}"


def draw_box(case: OpenCase, body: DrawBoxRequest, user: str) -> tuple[NoteChange, str]:
    """Add a box of mask 00."""
    checked_box(body.box, case.grid.shape)
    record = {**body.model_dump(mode="json"), "status": "open", "source": "reader"}
    return case.boxes.adding(record, user), f"Box in slices {body.box[0][0] + 1} to {body.box[0][1]}"


def remove_box(case: OpenCase, key: str, user: str) -> tuple[NoteChange, str]:
    """Take a box away; one of the file is only hidden.

    Raises:
        LabelError: ``NOT_FOUND``.
    """
    known = _box(case, key)
    hidden = {**known.model_dump(), "removed": True}
    change = case.boxes.changing(hidden, user) if known.source == "file" else case.boxes.removing(key)
    return change, f"Remove box {key}"


def mark_box(case: OpenCase, key: str, status: str, user: str) -> NoteChange:
    """Say what became of a box.

    Raises:
        LabelError: ``NOT_FOUND``.
    """
    return case.boxes.changing({**_box(case, key).model_dump(), "status": status}, user)


def keep_measurement(case: OpenCase, body: MeasureRequest, user: str) -> tuple[NoteChange, str]:
    """Measure, and keep what was found."""
    record = measured(case, body)
    return case.measurements.adding(record, user), _words(record)


def remove_measurement(case: OpenCase, key: str) -> tuple[NoteChange, str]:
    """Forget a measurement; the journal keeps it.

    Raises:
        LabelError: ``NOT_FOUND``.
    """
    act = case.measurements.removing(key)
    return act, f"Remove {_words(act.before or {}).lower()}"


def measured(case: OpenCase, body: MeasureRequest) -> dict[str, float | str]:
    """A ruler or a circle with what it measures.

    Raises:
        LabelError: ``BAD_REQUEST``.
        CascadeError: The phase cannot be read.
    """
    drawn = body.model_dump(mode="json", by_alias=True, exclude={"keep"}, exclude_none=True)
    volume = case.volume(Phase[body.phase])
    if body.kind == "ruler":
        if body.start is None or body.to is None:
            raise bad_request("A ruler needs from and to.")
        return {**drawn, "mm": round(ruler_mm(volume.grid, body.start, body.to), 2)}
    if body.centre is None or body.radius_mm is None:
        raise bad_request("A circle needs centre and radius_mm.")
    # A circle lies in one slice; its centre may be between voxels.
    z = round(body.centre[0])
    check_inside((z, *map(round, body.centre[1:])), volume.grid.shape)
    return {**drawn, **circle(volume.slab(z, z + 1)[0], volume.grid, body.centre, body.radius_mm)}


def _box(case: OpenCase, key: str) -> BoxRecord:
    found = boxes_of(source_boxes(case.files.folder, case.grid), case.boxes.all())
    known = next((box for box in found if box.id == key), None)
    if known is None:
        raise not_found("box")
    return known


def _words(record: Mapping[str, Any]) -> str:
    if record["kind"] == "ruler":
        return f"Ruler {record['mm']:.1f} mm"
    return f"Circle {record['mean']:.0f} ± {record['sd']:.0f} HU"
