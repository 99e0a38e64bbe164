"""Routes of drafts: open, edit, undo, redo, tools, save."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response

from livercascade.data.record import Record
from livercascade.labeler.contract.request_schemas import GotoRequest, OpenDraftRequest, SaveRequest
from livercascade.labeler.contract.response_schemas import DraftState, SavedVersion, StepAnswer
from livercascade.labeler.http.dependencies import (
    BodyDep,
    CaseDep,
    MatchDep,
    UserDep,
    binary_body,
    delta_response,
    error_responses,
)
from livercascade.labeler.http.responses import draft_state, version_info
from livercascade.labeler.imaging.mask_delta import MEDIA_TYPE, from_bytes
from livercascade.labeler.label_error import LabelError, bad_request, not_found
from livercascade.labeler.project.draft import Draft, Step
from livercascade.labeler.project.draft_store import EDIT, REVIEW
from livercascade.labeler.project.identifiers import DRAFT_NAME
from livercascade.labeler.project.notebooks import NoteChange
from livercascade.labeler.project.open_case import OpenCase
from livercascade.labeler.project.tool_steps import TOOLS, run_tool

router = APIRouter(prefix="/api/cases/{case_id}/drafts", responses=error_responses())
_MAX_NAME = 120
_KEPT_STEPS = 200
"""A saved draft with more steps begins anew when it is opened, so that opening stays quick."""
_DELTA: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        # Spelled out, since FastAPI describes the models of a route as JSON; other routes name this schema too.
        200: {
            "description": "Delta; the schema is that of its header.",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/StepAnswer"}}},
        },
    },
}


@router.post("", response_model_exclude_unset=True)
def open_draft(case: CaseDep, user: UserDep, body: OpenDraftRequest) -> DraftState:
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
                return draft_state(case, draft, full=True, offer=body.recover == "ask")
        return draft_state(case, case.drafts.begin(name, user, case.resolve(base)), full=True)


@router.get("/{name}", response_model_exclude_unset=True)
def state(case: CaseDep, user: UserDep, name: str) -> DraftState:
    """State of a draft."""
    with case.lock:
        return draft_state(case, case.drafts.open(name, user), full=True)


@router.delete("/{name}")
def discard(case: CaseDep, user: UserDep, match: MatchDep, name: str) -> dict[Literal["discarded"], bool]:
    """Set the journal of a draft aside."""
    with _matched(case, name, user, match):
        case.drafts.set_aside(name, user)
        case.note("discarded", user, f"{name} was set aside")
        return {"discarded": True}


@router.post("/{name}/edits", response_model_exclude_unset=True, openapi_extra=binary_body(MEDIA_TYPE))
def edit(case: CaseDep, user: UserDep, match: MatchDep, name: str, data: BodyDep, steps: bool = False) -> StepAnswer:
    """Add a step that the client made."""
    header, delta = from_bytes(data)
    title, kind = _checked_header(header)
    with _matched(case, name, user, match) as draft:
        done = Step(delta, title, kind)
        draft.add(done)
        return _answer(done, draft_state(case, draft, full=steps))


@router.post("/{name}/undo", **_DELTA)
def undo(case: CaseDep, user: UserDep, match: MatchDep, name: str, steps: bool = False) -> Response:
    """Take the last step back."""
    with _matched(case, name, user, match) as draft:
        return _gone(case, draft, draft.position - 1, "undo", steps)


@router.post("/{name}/redo", **_DELTA)
def redo(case: CaseDep, user: UserDep, match: MatchDep, name: str, steps: bool = False) -> Response:
    """Do the step again that was last taken back."""
    with _matched(case, name, user, match) as draft:
        return _gone(case, draft, draft.position + 1, "redo", steps)


@router.post("/{name}/goto", **_DELTA)
def goto(case: CaseDep, user: UserDep, match: MatchDep, name: str, body: GotoRequest, steps: bool = False) -> Response:
    """Undo or redo many steps at once."""
    with _matched(case, name, user, match) as draft:
        return _gone(case, draft, body.position, "goto", steps)


def _add_tool_route(tool: str, request: type[Record]) -> None:
    """Route of one tool, so that the description of the interface names what its body holds."""

    def use_tool(
        case: CaseDep, user: UserDep, match: MatchDep, name: str, body: Record, steps: bool = False
    ) -> Response:
        with _matched(case, name, user, match) as draft:
            done = run_tool(case, draft, tool, body)
            if done.noted is not None:
                case.write_note(done.noted, user, done.name)
            draft.add(done)
            return delta_response(done.delta, _answer(done, draft_state(case, draft, full=steps)))

    # FastAPI reads the body's model from here.
    use_tool.__annotations__["body"] = request
    summary = {"name": f"tool_{tool}", "summary": f"Let the server make a step with the tool {tool}."}
    router.add_api_route(f"/{{name}}/tools/{tool}", use_tool, methods=["POST"], **summary, **_DELTA)


for _tool, (_request, _) in TOOLS.items():
    _add_tool_route(_tool, _request)


@router.post("/{name}/tools/{tool}", include_in_schema=False)
def unknown_tool(tool: str) -> None:
    """Refuse a tool that there is not."""
    del tool
    raise not_found("tool")


@router.post("/{name}/save", status_code=201, response_model_exclude_unset=True)
def save(case: CaseDep, user: UserDep, match: MatchDep, name: str, body: SaveRequest) -> SavedVersion:
    """Save the working mask as a version."""
    with _matched(case, name, user, match) as draft:
        record = case.save_draft(draft, note=body.note, beside=body.beside)
        if body.state is not None:
            case.note("state", user, body.state)
        return SavedVersion(**version_info(record).model_dump(), draft=draft_state(case, draft, full=True))


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
            now = draft_state(case, draft, full=True).model_dump(mode="json", exclude_unset=True)
            raise LabelError("DRAFT_MOVED", message, "Reload the draft.", http=409, state=now)
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
    return delta_response(delta, _answer(Step(delta, title, op), draft_state(case, draft, full=steps), acts))


def _answer(step: Step, state: DraftState, changes: Sequence[NoteChange] = ()) -> StepAnswer:
    """Answer to a step: its words, the notebooks that it or ``changes`` on the way changed, and the state after it."""
    notes = sorted({change.book for change in (step.noted, *changes) if change is not None})
    words = {"name": step.name, "kind": step.kind, "count": len(step.delta)}
    return StepAnswer.model_validate({**words, "notes": notes, "state": state})
