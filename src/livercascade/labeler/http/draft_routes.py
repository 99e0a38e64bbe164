"""Routes of drafts: open, edit, undo, redo, tools, save."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from livercascade.labeler.contract.request_schemas import GotoRequest, OpenDraftRequest, SaveRequest
from livercascade.labeler.http.dependencies import BodyDep, CaseDep, MatchDep, UserDep, told, told_delta
from livercascade.labeler.http.responses import told_state
from livercascade.labeler.imaging.mask_delta import from_bytes
from livercascade.labeler.label_error import LabelError, bad_request, not_found
from livercascade.labeler.project.draft import Draft
from livercascade.labeler.project.draft_store import EDIT, REVIEW
from livercascade.labeler.project.identifiers import DRAFT_NAME
from livercascade.labeler.project.notebooks import NoteChange
from livercascade.labeler.project.open_case import OpenCase
from livercascade.labeler.project.tool_steps import run_tool

router = APIRouter(prefix="/api/cases/{case_id}/drafts")
_MAX_NAME = 120
_KEPT_STEPS = 200
"""A saved draft with more steps begins anew when it is opened, so that opening stays quick."""


@router.post("")
def open_draft(case: CaseDep, user: UserDep, body: OpenDraftRequest) -> Response:
    """Open the reader's draft of a task, or begin it."""
    name, base = _named(case, body)
    with case.lock:
        there = case.drafts.journal(name, user).path.exists()
        if there and body.recover == "discard":
            case.note("discarded", user, f"unsaved steps of {name} were set aside")
            there = False
        if there:
            draft = case.drafts.open(name, user)
            current = draft.parent == case.resolve(base) and len(draft.steps) <= _KEPT_STEPS
            if draft.dirty or current or name != EDIT:
                offer = body.recover == "ask"
                return told(told_state(case, draft, full=True, offer=offer))
        return told(told_state(case, case.drafts.begin(name, user, case.resolve(base)), full=True))


@router.get("/{name}")
def state(case: CaseDep, user: UserDep, name: str) -> Response:
    """State of a draft."""
    with case.lock:
        return told(told_state(case, case.drafts.open(name, user), full=True))


@router.delete("/{name}")
def discard(case: CaseDep, user: UserDep, match: MatchDep, name: str) -> Response:
    """Set the journal of a draft aside."""
    with _matched(case, name, user, match):
        case.drafts.set_aside(name, user)
        case.note("discarded", user, f"{name} was set aside")
        return told({"discarded": True})


@router.post("/{name}/edits")
def edit(case: CaseDep, user: UserDep, match: MatchDep, name: str, data: BodyDep, steps: bool = False) -> Response:
    """Add a step that the client made."""
    header, delta = from_bytes(data)
    title, kind = _checked_header(header)
    with _matched(case, name, user, match) as draft:
        draft.step(delta, name=title, kind=kind)
        return told({"state": told_state(case, draft, full=steps)})


@router.post("/{name}/undo")
def undo(case: CaseDep, user: UserDep, match: MatchDep, name: str, steps: bool = False) -> Response:
    """Take the last step back."""
    with _matched(case, name, user, match) as draft:
        return _gone(case, draft, draft.position - 1, "undo", steps)


@router.post("/{name}/redo")
def redo(case: CaseDep, user: UserDep, match: MatchDep, name: str, steps: bool = False) -> Response:
    """Do the step again that was last taken back."""
    with _matched(case, name, user, match) as draft:
        return _gone(case, draft, draft.position + 1, "redo", steps)


@router.post("/{name}/goto")
def goto(case: CaseDep, user: UserDep, match: MatchDep, name: str, body: GotoRequest, steps: bool = False) -> Response:
    """Undo or redo many steps at once."""
    with _matched(case, name, user, match) as draft:
        return _gone(case, draft, body.position, "goto", steps)


@router.post("/{name}/tools/{tool}")
def use_tool(
    case: CaseDep, user: UserDep, match: MatchDep, name: str, tool: str, data: BodyDep, steps: bool = False
) -> Response:
    """Let the server make a step."""
    with _matched(case, name, user, match) as draft:
        act = run_tool(case, draft, tool, data)
        if act.noted is not None:
            case.write_note(act.noted, user, act.name)
        draft.step(act.delta, name=act.name, kind=tool, verdict=act.verdict, noted=act.noted)
        header = _header(act.name, tool, [act.noted] if act.noted else [])
        return told_delta(act.delta, {**header, "state": told_state(case, draft, full=steps)})


@router.post("/{name}/save")
def save(case: CaseDep, user: UserDep, match: MatchDep, name: str, body: SaveRequest) -> Response:
    """Save the working mask as a version."""
    with _matched(case, name, user, match) as draft:
        record = case.save_draft(draft, note=body.note, beside=body.beside)
        if body.state is not None:
            case.note("state", user, body.state)
        return told({**record.told(), "draft": told_state(case, draft, full=True)}, 201)


def _named(case: OpenCase, body: OpenDraftRequest) -> tuple[str, str]:
    """Name of the draft and the mask it starts from."""
    if body.task == EDIT:
        if body.old or body.new:
            raise bad_request("old and new belong to a review.")
        return EDIT, body.base
    if body.old is None or body.new is None:
        raise bad_request("A review needs old and new.")
    old, new = case.resolve(body.old), case.resolve(body.new)
    name = f"{REVIEW}.{old}.{new}"
    if not DRAFT_NAME.fullmatch(name):
        raise not_found("mask")
    for ref in (old, new):
        case.mask(ref)
    return name, old


@contextmanager
def _matched(case: OpenCase, name: str, user: str, match: str) -> Generator[Draft, None, None]:
    """The draft, held; refused if it has moved on since the client last heard of it."""
    with case.lock:
        draft = case.drafts.open(name, user)
        if match != str(draft.n):
            message = "The draft was changed elsewhere, as in another tab."
            raise LabelError(
                "DRAFT_MOVED", message, "Reload the draft.", http=409, state=told_state(case, draft, full=True)
            )
        yield draft


def _checked_header(header: dict[str, Any]) -> tuple[str, str]:
    title, kind = header.get("name"), header.get("kind", "edit")
    if not isinstance(title, str) or not 1 <= len(title) <= _MAX_NAME:
        raise bad_request(f"A step needs a name of 1 to {_MAX_NAME} characters.")
    plain = isinstance(kind, str) and 1 <= len(kind) <= 24 and kind.replace("_", "a").isalnum() and kind.isascii()
    if not plain or kind != kind.lower():
        raise bad_request("The kind of a step has 1 to 24 small letters, digits or underscores.")
    return title, kind


def _gone(case: OpenCase, draft: Draft, position: int, op: str, steps: bool) -> Response:
    at = min(position, draft.position)
    named = draft.steps[at].name if 0 <= at < len(draft.steps) else ""
    delta, acts = case.go(draft, position, op)
    title = {"undo": f"Undo {named}", "redo": f"Redo {named}"}.get(op, f"To step {position}")
    return told_delta(delta, {**_header(title, op, acts), "state": told_state(case, draft, full=steps)})


def _header(name: str, kind: str, acts: Sequence[NoteChange]) -> dict[str, Any]:
    """Header of the answer to a step: its name, and which notebooks it changed."""
    return {"name": name, "kind": kind, "notes": sorted({act.book for act in acts})}
