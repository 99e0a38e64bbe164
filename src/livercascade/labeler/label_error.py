"""Errors of the labeler: a stable code, words for people, and the HTTP status that carries them."""

from __future__ import annotations

from typing import Any

from livercascade.data.errors import CascadeError


class LabelError(CascadeError):
    """A request or a project that cannot be served as it is.

    Args:
        code: Stable upper-case code.
        message: One sentence with the value found; never a patient's name.
        remedy: What to do about it.
        http: HTTP status of the answer.
        more: Further fields of the answer, for programs.
    """

    status = "rejected"

    def __init__(self, code: str, message: str, remedy: str, *, http: int = 422, **more: Any) -> None:
        super().__init__(code, message, remedy, stage="label")
        self.http = http
        self.more = more


def not_found(what: str) -> LabelError:
    """Error 404; the same words whether a name is unknown or not allowed, so that nothing can be probed."""
    return LabelError("NOT_FOUND", f"There is no such {what}.", "Reload the work list.", http=404)


def bad_request(message: str, remedy: str = "See docs/labeler-api.md.") -> LabelError:
    """Error 400 for a request that does not read as the interface says."""
    return LabelError("BAD_REQUEST", message, remedy, http=400)
