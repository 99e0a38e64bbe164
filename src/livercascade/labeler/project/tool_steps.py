"""The tools of the interface: each turns a request into a change of the working mask or of a notebook, and its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from livercascade.data.labels import FIRST_LESION, LAST_LESION, NUM_CLASSES, Phase, label_name
from livercascade.data.record import Record
from livercascade.labeler.contract.request_schemas import (
    CopyRequest,
    DeleteRequest,
    DrawBoxRequest,
    EvidenceRequest,
    FillHolesRequest,
    GrowRequest,
    InterpolateRequest,
    MeasureRequest,
    RelabelRequest,
    RemoveNoteRequest,
    SeedBoxRequest,
    SplitRequest,
    VerdictRequest,
)
from livercascade.labeler.editing.box_seeding import checked_box, from_intensity, from_prediction
from livercascade.labeler.editing.lesion_components import component_at, lesions_at
from livercascade.labeler.editing.lesion_tools import copy, delete, fill_holes, relabel, split
from livercascade.labeler.editing.mask_comparison import compare
from livercascade.labeler.editing.region_growing import grow
from livercascade.labeler.editing.review_verdicts import verdict_change, verdict_name, verdict_record
from livercascade.labeler.editing.slice_interpolation import interpolate
from livercascade.labeler.imaging.mask_delta import VoxelIndex, empty_delta
from livercascade.labeler.label_error import LabelError, bad_request, not_found
from livercascade.labeler.project.draft import Draft, Step
from livercascade.labeler.project.draft_store import REVIEW
from livercascade.labeler.project.note_steps import (
    draw_box,
    keep_measurement,
    mark_box,
    note_evidence,
    remove_box,
    remove_measurement,
)
from livercascade.labeler.project.notebooks import NoteChange
from livercascade.labeler.project.open_case import OpenCase


def run_tool(case: OpenCase, draft: Draft, tool: str, body: Record) -> Step:
    """The step of a tool on a draft; nothing is changed yet.

    Raises:
        LabelError: ``NOTHING_CHANGED`` if no voxel would change, and the codes of the tool.
    """
    _, act = TOOLS[tool]
    done = act(case, draft, body)
    if not len(done.delta) and done.verdict is None and done.noted is None:
        raise LabelError("NOTHING_CHANGED", "No voxel would change.", "Choose another place or label.")
    return replace(done, kind=tool)


def _relabel(_: OpenCase, draft: Draft, body: RelabelRequest) -> Step:
    label = checked_label(body.label)
    delta = relabel(draft.mask, body.at, label)
    return Step(delta, f"{_lesions(draft, body.at)} -> {label_name(label)}")


def _delete(_: OpenCase, draft: Draft, body: DeleteRequest) -> Step:
    return Step(delete(draft.mask, body.at), f"Delete {_lesions(draft, body.at)}")


def _copy(case: OpenCase, draft: Draft, body: CopyRequest) -> Step:
    label = None if body.label is None else checked_label(body.label)
    if (body.slice is None) != (body.to_slice is None):
        raise bad_request("slice and to_slice go together.")
    planes = None if body.slice is None or body.to_slice is None else (body.slice, body.to_slice)
    other = case.mask(body.source, draft.head.user)
    delta = copy(draft.mask, other, body.at, label=label, planes=planes)
    name = label_name(component_at(other, body.at)[0] if label is None else label)
    what = f"Copy {name} from {body.source}" if planes is None else f"Copy {name} to slice {planes[1] + 1}"
    return Step(delta, what)


def _grow(case: OpenCase, draft: Draft, body: GrowRequest) -> Step:
    label = checked_label(body.label, lesion=False)
    volume = case.volume_on_grid(Phase[body.phase])
    delta = grow(draft.mask, volume.whole(), volume.grid.spacing, body)
    return Step(delta, f"Fill {label_name(label)} {body.low:g} to {body.high:g} HU")


def _interpolate(case: OpenCase, draft: Draft, body: InterpolateRequest) -> Step:
    label = checked_label(body.label, lesion=False)
    delta = interpolate(draft.mask, case.grid.spacing, point=body.at, label=label, max_gap=body.max_gap)
    return Step(delta, f"Interpolate {label_name(label)}")


def _fill_holes(_: OpenCase, draft: Draft, body: FillHolesRequest) -> Step:
    return Step(fill_holes(draft.mask, body.at), f"Fill holes of {label_name(component_at(draft.mask, body.at)[0])}")


def _split(_: OpenCase, draft: Draft, body: SplitRequest) -> Step:
    label = checked_label(body.label)
    delta = split(draft.mask, body.at, body.line, label)
    return Step(delta, f"Split {_lesions(draft, [body.at])} -> {label_name(label)}")


def _box(case: OpenCase, draft: Draft, body: SeedBoxRequest) -> Step:
    label = checked_label(body.label)
    box = checked_box(body.box, case.grid.shape)
    try:
        if body.method == "prediction":
            delta = from_prediction(draft.mask, case.mask(body.source, draft.head.user), box, label)
        else:
            volume = case.volume_on_grid(Phase[body.phase] if body.phase else case.files.reference or Phase.VP)
            delta = from_intensity(draft.mask, volume.whole(), volume.grid.spacing, box=box, label=label)
    except LabelError as error:
        if error.code == "NEEDS_DRAWING" and body.id:
            noted = mark_box(case, body.id, "needs_drawing", draft.head.user)
            case.write_note(noted, draft.head.user, f"box {body.id} needs drawing")
        raise
    noted = mark_box(case, body.id, "seeded", draft.head.user) if body.id else None
    return Step(delta, f"Box -> {label_name(label)}", noted=noted)


def _verdict(case: OpenCase, draft: Draft, body: VerdictRequest) -> Step:
    task, *sides = draft.head.name.split(".")
    if task != REVIEW:
        raise bad_request("Verdicts are given in a review draft.")
    old, new = (case.mask(ref) for ref in sides)
    item = next((one for one in differences(case, sides[0], sides[1]) if one.id == body.difference), None)
    if item is None:
        raise not_found("difference")
    delta = verdict_change(draft.mask, (old, new), item, body)
    return Step(delta, verdict_name(item, body), verdict=verdict_record(item, body))


def differences(case: OpenCase, old: str, new: str, user: str = "") -> list[Any]:
    """Differences of two masks; kept while the same two are asked for."""
    one, other = case.mask(old, user), case.mask(new, user)
    if old.startswith("draft.") or new.startswith("draft."):
        return compare(one, other)
    with case.lock:
        key = (id(one), id(other))
        if case.compared is None or case.compared[0] != key:
            # The masks are kept beside the result, so that their ids stay theirs.
            case.compared = (key, (one, other), compare(one, other))
        return case.compared[2]


def _noting(act: tuple[NoteChange, str]) -> Step:
    noted, name = act
    return Step(empty_delta(), name, noted=noted)


def _evidence(case: OpenCase, draft: Draft, body: EvidenceRequest) -> Step:
    return _noting(note_evidence(case, draft.mask, body, draft.head.user))


def _draw_box(case: OpenCase, draft: Draft, body: DrawBoxRequest) -> Step:
    return _noting(draw_box(case, body, draft.head.user))


def _remove_box(case: OpenCase, draft: Draft, body: RemoveNoteRequest) -> Step:
    return _noting(remove_box(case, body.id, draft.head.user))


def _measure(case: OpenCase, draft: Draft, body: MeasureRequest) -> Step:
    return _noting(keep_measurement(case, body, draft.head.user))


def _remove_measurement(case: OpenCase, _: Draft, body: RemoveNoteRequest) -> Step:
    return _noting(remove_measurement(case, body.id))


def checked_label(label: int | None, *, lesion: bool = True) -> int:
    """A label that may be written: 1-6, or 1-13 for objects of any kind.

    Raises:
        LabelError: ``BAD_LABEL``, or ``BAD_REQUEST`` if there is none.
    """
    if label is None:
        raise bad_request("A label is needed.")
    last = LAST_LESION if lesion else NUM_CLASSES - 1
    if not FIRST_LESION <= label <= last:
        raise LabelError(
            "BAD_LABEL", f"{label} cannot be written here.", f"Give a label from {FIRST_LESION} to {last}."
        )
    return label


def _lesions(draft: Draft, points: list[VoxelIndex]) -> str:
    """What a step acts on, in words: the type of one lesion, or how many of which types."""
    found = lesions_at(draft.mask, points)
    names = list(dict.fromkeys(label_name(int(lesion.label)) for lesion in found))
    return names[0] if len(found) == 1 else f"{len(found)} lesions ({', '.join(names)})"


TOOLS: Mapping[str, tuple[type[Record], Callable[[OpenCase, Draft, Any], Step]]] = {
    "relabel": (RelabelRequest, _relabel),
    "delete": (DeleteRequest, _delete),
    "copy": (CopyRequest, _copy),
    "grow": (GrowRequest, _grow),
    "interpolate": (InterpolateRequest, _interpolate),
    "fill_holes": (FillHolesRequest, _fill_holes),
    "split": (SplitRequest, _split),
    "box": (SeedBoxRequest, _box),
    "verdict": (VerdictRequest, _verdict),
    "evidence": (EvidenceRequest, _evidence),
    "draw_box": (DrawBoxRequest, _draw_box),
    "remove_box": (RemoveNoteRequest, _remove_box),
    "measure": (MeasureRequest, _measure),
    "remove_measurement": (RemoveNoteRequest, _remove_measurement),
}
"""Tool by name: what its body is, and what it does."""
