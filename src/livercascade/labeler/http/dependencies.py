"""What routes take from a request, and the forms of answers that are no JSON."""

from __future__ import annotations

import gzip
from typing import Annotated, Any
from urllib.parse import unquote

import numpy as np
from fastapi import Depends, Header, Request
from fastapi.responses import Response

from livercascade.labeler.contract.response_schemas import ErrorAnswer, StepAnswer
from livercascade.labeler.imaging.mask_delta import MEDIA_TYPE, Delta
from livercascade.labeler.label_error import LabelError, bad_request
from livercascade.labeler.project.identifiers import checked_user
from livercascade.labeler.project.open_case import OpenCase
from livercascade.labeler.project.workspace import Workspace

# A browser holds an answer whole before the page sees any of it.
MAX_ANSWER = 64 << 20
"""Most bytes of a volume in one answer."""
# Masks are long runs of one value: higher levels take longer and save little.
_GZIP_LEVEL = 1


def workspace_of(request: Request) -> Workspace:
    """The workspace of the server."""
    workspace: Workspace = request.app.state.workspace
    return workspace


def case_of(case_id: str, request: Request) -> OpenCase:
    """The case of the path."""
    return workspace_of(request).case(case_id)


def user_of(request: Request, x_livercascade_user: Annotated[str | None, Header()] = None) -> str:
    """Reader of the request: the header, else who started the server."""
    given = x_livercascade_user
    return workspace_of(request).user if given is None else checked_user(unquote(given))


async def body_of(request: Request) -> bytes:
    """The body, whole."""
    return await request.body()


def match_of(if_match: Annotated[str, Header()] = "") -> str:
    """What ``If-Match`` names, without quotes.

    Raises:
        LabelError: ``NO_IF_MATCH`` (428).
    """
    value = if_match.strip().removeprefix("W/").strip('"')
    if not value:
        message = "The header If-Match is missing: it says what the change was made on."
        raise LabelError("NO_IF_MATCH", message, "See docs/labeler-api.md.", http=428)
    return value


def note_of(x_livercascade_note: Annotated[str, Header()] = "") -> str:
    """The note of a version, from its header."""
    note = unquote(x_livercascade_note)
    if len(note) > 2000:
        raise bad_request("The note is longer than 2000 characters.")
    return note


WorkspaceDep = Annotated[Workspace, Depends(workspace_of)]
CaseDep = Annotated[OpenCase, Depends(case_of)]
UserDep = Annotated[str, Depends(user_of)]
BodyDep = Annotated[bytes, Depends(body_of)]
MatchDep = Annotated[str, Depends(match_of)]
NoteDep = Annotated[str, Depends(note_of)]


def delta_response(delta: Delta, header: StepAnswer) -> Response:
    """A change of the mask, with what the header says of it."""
    return Response(delta.to_bytes(header.model_dump(mode="json", exclude_unset=True)), media_type=MEDIA_TYPE)


def error_responses(*, binary: str | None = None) -> dict[int | str, dict[str, Any]]:
    """Answers of a route beside its own: errors, and with ``binary`` bytes of that media type."""
    if binary is None:
        return {"default": {"model": ErrorAnswer, "description": "Refused."}}
    content = {binary: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"content": content, "description": "Bytes."}}


def binary_body(media_type: str) -> dict[str, Any]:
    """Description of a request whose body is bytes."""
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": {media_type: schema}}}


def slab_response(request: Request, slab: np.ndarray, first: int, tag: str, *, pack: bool) -> Response:
    """Raw voxels ``[n, y, x]``, little-endian; compressed if that pays and the client takes it."""
    headers = {
        "X-Shape": ",".join(map(str, slab.shape)),
        "X-Z0": str(first),
        "ETag": f'"{tag}"',
        "Vary": "Accept-Encoding",
    }
    data = np.ascontiguousarray(slab).astype(slab.dtype.newbyteorder("<"), copy=False).tobytes()
    if pack and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        data = gzip.compress(data, _GZIP_LEVEL, mtime=0)
    return Response(data, headers=headers, media_type="application/octet-stream")


def unchanged(request: Request, tag: str) -> bool:
    """True if the client has this already."""
    return request.headers.get("if-none-match", "").strip().strip('"') == tag


def slab_range(slices: int, first: int | None, count: int | None, plane_bytes: int) -> tuple[int, int]:
    """Slices to send: cut at the end of the volume and at `MAX_ANSWER` bytes.

    Raises:
        LabelError: ``BAD_SLAB`` (416).
    """
    start = 0 if first is None else first
    wanted = slices - start if count is None else count
    if not 0 <= start < slices or wanted < 1:
        raise LabelError("BAD_SLAB", f"There are slices 0 to {slices - 1}.", "Ask for one of them.", http=416)
    most = max(1, MAX_ANSWER // plane_bytes)
    return start, min(slices, start + min(wanted, most))
