"""The server of a project: gate, routes, page; every error has a code, and nothing of patients is logged."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from livercascade.data.errors import CascadeError, OutputError
from livercascade.labeler.http import case_routes, draft_routes, note_routes, version_routes
from livercascade.labeler.http.auth_middleware import AuthMiddleware, LoginSecrets, error_bytes
from livercascade.labeler.label_error import LabelError, bad_request, not_found
from livercascade.labeler.project.workspace import Workspace

WEB = Path(__file__).parents[1] / "_web"
"""The built page."""
_STATUS_OF_OUTPUT = {"NO_SPACE": 507}
_LOG = logging.getLogger(__name__)
_NO_PAGE = (
    "The page of the CT Labeler was not built into this installation; its HTTP interface works.\n"
    "Install again with: pip install .\n"
)


def interface() -> FastAPI:
    """The routes alone, without a project: what the description of the interface is made from."""
    # Telemetry would carry paths, and paths name cases: no environment variable may turn it on.
    silent: Any = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}
    off: Any = {"openapi_url": None, "docs_url": None, "redoc_url": None, "redirect_slashes": False}
    app = FastAPI(title="CT Labeler", version="1", telemetry=silent, **off)
    for module in (case_routes, draft_routes, version_routes, note_routes):
        app.include_router(module.router)
    return app


def make_app(workspace: Workspace, keys: LoginSecrets, *, web: Path = WEB) -> AuthMiddleware:
    """The ASGI application of a project.

    Args:
        workspace: The project.
        keys: Secrets of this run.
        web: Folder of the built page.
    """
    app = interface()
    app.state.workspace = workspace
    app.add_exception_handler(CascadeError, _coded)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(Exception, _internal)
    _add_page(app, web)
    return AuthMiddleware(app, keys)


def _add_page(app: FastAPI, web: Path) -> None:
    index = web / "index.html"

    def page() -> Response:
        return FileResponse(index) if index.is_file() else PlainTextResponse(_NO_PAGE, 503)

    app.add_api_route("/", page, methods=["GET"])
    if web.is_dir():
        app.mount("/", StaticFiles(directory=web), name="page")


def _answer(error: LabelError) -> Response:
    return Response(error_bytes(error), error.http, media_type="application/json")


def _coded(request: Request, error: Exception) -> Response:
    if isinstance(error, LabelError):
        return _answer(error)
    if isinstance(error, OutputError):
        message = f"{error.message.rstrip('.')}; nothing was changed."
        return _answer(LabelError(error.code, message, error.remedy, http=_STATUS_OF_OUTPUT.get(error.code, 500)))
    if isinstance(error, CascadeError):
        return _answer(LabelError(error.code, error.message, error.remedy))
    return _internal(request, error)


def _unfit(_: Request, error: Exception) -> Response:
    faults: list[Any] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    place = ".".join(str(part) for part in faults[0]["loc"][1:]) if faults else ""
    return _answer(bad_request(f"{place or 'request'}: {faults[0]['msg'] if faults else 'does not fit'}."))


def _plain(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return _answer(not_found("page"))
    if status == 405:
        return _answer(LabelError("BAD_METHOD", "This method is not used here.", "See the docs.", http=405))
    return _answer(LabelError("BAD_REQUEST", "The request cannot be served.", "See the docs.", http=status))


def _internal(_: Request, error: Exception) -> Response:
    # The path names a case: only the kind of the error and where it arose go into the log.
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    _LOG.error("%s at %s", type(error).__name__, place)
    message = "The server failed; nothing was changed."
    return _answer(LabelError("INTERNAL", message, "Try again; if it stays so, report it.", http=500))
