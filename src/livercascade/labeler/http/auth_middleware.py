"""Middleware before every route that decides who may speak to the server.

Plain ASGI, so that the bytes of a body are counted as they come.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livercascade.labeler.label_error import LabelError

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
WRITE_HEADER = b"x-livercascade"
_READ_METHODS = ("GET", "HEAD")
_WRITE_METHODS = ("POST", "PUT", "DELETE")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# A request of the page is below 10 kB; 500 points of lesions are below 20 kB.
_JSON_CAP = 1 << 20
_BODY_CAPS = (
    (re.compile(r"/api/cases/[^/]+/drafts/[^/]+/edits"), 256 << 20),
    (re.compile(r"/api/cases/[^/]+/versions"), 1 << 30),
    (re.compile(r"/api/cases/[^/]+/imports"), 512 << 20),
)
"""Routes that take more than `_JSON_CAP` bytes."""


@dataclass(eq=False)
class LoginSecrets:
    """Secrets of one run of the server.

    Attributes:
        port: Stands in the cookie's name, since cookies do not know of ports.
        hosts: Names by which the server may be called.
        on_login: Called with the next one-time token when one was used.
    """

    port: int
    hosts: tuple[str, ...] = _LOOPBACK
    on_login: Callable[[str], None] = lambda _: None
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    once: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def cookie(self) -> str:
        """Name of the cookie."""
        return f"livercascade_{self.port}"

    def use(self, token: str) -> bool:
        """True once for the one-time token."""
        # Compared in constant time, so that the time of an answer does not tell how much of a guess was right.
        if not hmac.compare_digest(token.encode(), self.once.encode()):
            return False
        self.once = secrets.token_urlsafe(32)
        self.on_login(self.once)
        return True

    def knows(self, headers: dict[bytes, bytes]) -> bool:
        """True if cookie or Bearer header hold the secret."""
        given = headers.get(b"authorization", b"").decode("latin-1")
        if given.startswith("Bearer "):
            return hmac.compare_digest(given[7:].encode(), self.secret.encode())
        try:
            morsel = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(self.cookie)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self.secret.encode())


@dataclass(frozen=True, eq=False)
class AuthMiddleware:
    """Middleware that answers what may not pass, and puts the headers on every answer."""

    app: ASGIApp
    keys: LoginSecrets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {bytes(name): bytes(value) for name, value in scope["headers"]}
        guarded = _with_headers(send, scope["path"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(guarded, refusal)
        elif scope["path"] == "/" and b"token=" in scope["query_string"]:
            await self._login(scope, guarded)
        elif not self.keys.knows(headers):
            await _answer(guarded, _login_needed())
        else:
            await self.app(scope, *_capped(receive, guarded, body_cap(scope["path"])))

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> LabelError | None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        # Against DNS rebinding: a name of another site may point to this machine.
        if host not in {f"{name}:{self.keys.port}" for name in self.keys.hosts}:
            return LabelError("BAD_HOST", "The server is not called by this name.", "Use the printed link.", http=421)
        origin = headers.get(b"origin")
        # Browsers send Origin with writes of other sites, and Sec-Fetch-Site with every request; scripts send neither.
        if origin is not None and origin.decode("latin-1").lower() != f"http://{host}":
            return LabelError("BAD_ORIGIN", "Another site may not use this server.", "Use its own page.", http=403)
        if headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):
            return LabelError("BAD_ORIGIN", "Another site may not use this server.", "Use its own page.", http=403)
        method = scope["method"]
        if method not in (*_READ_METHODS, *_WRITE_METHODS):
            return LabelError("BAD_METHOD", "This method is not used here.", "See docs/labeler-api.md.", http=405)
        if method in _WRITE_METHODS:
            return _refused_write(headers, scope["path"])
        return None

    async def _login(self, scope: Scope, send: Send) -> None:
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        if not self.keys.use(tokens[0]):
            await _answer(send, _login_needed())
            return
        # No Secure, since the server speaks plain HTTP; the other two keep it from scripts and from other sites.
        cookie = f"{self.keys.cookie}={self.keys.secret}; Path=/; HttpOnly; SameSite=Strict"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def body_cap(path: str) -> int:
    """Most bytes that a body for this path may have."""
    return next((cap for pattern, cap in _BODY_CAPS if pattern.fullmatch(path)), _JSON_CAP)


def error_bytes(error: LabelError) -> bytes:
    """Body of an error."""
    detail = {"code": error.code, "message": error.message, "remedy": error.remedy, **error.more}
    return json.dumps({"error": detail}, ensure_ascii=False).encode()


def too_large(cap: int) -> LabelError:
    """Error 413."""
    return LabelError("TOO_LARGE", f"The body is larger than {cap >> 20} MiB.", "Send less at a time.", http=413)


def _refused_write(headers: dict[bytes, bytes], path: str) -> LabelError | None:
    # A form of another site cannot set a header without asking first, and nothing here answers that question.
    if headers.get(WRITE_HEADER) != b"1":
        return LabelError("NO_HEADER", "The header X-Livercascade: 1 is missing.", "See docs/labeler-api.md.", http=403)
    length = headers.get(b"content-length")
    if length is not None and (not length.isdigit() or int(length) > body_cap(path)):
        return too_large(body_cap(path))
    return None


def _login_needed() -> LabelError:
    message = "Open the link that the terminal shows; it works once, and each use shows the next."
    return LabelError("LOGIN", "You are not logged in.", message, http=401)


def _capped(receive: Receive, send: Send, cap: int) -> tuple[Receive, Send]:
    """A body counted as it comes; over the cap it breaks off, and whatever the application says becomes a 413."""
    held = 0

    async def counted() -> Message:
        nonlocal held
        message = await receive()
        held += len(message.get("body", b""))
        if held > cap:
            raise too_large(cap)
        return message

    async def answer(message: Message) -> None:
        # The application turns the error above into an answer of its own, a 400 or 500 as it sees it.
        if held <= cap:
            await send(message)
        elif message["type"] == "http.response.start":
            await _answer(send, too_large(cap))

    return counted, answer


def _with_headers(send: Send, path: str) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            # On every answer, refusals too: a page of another site could otherwise frame or sniff them.
            headers: list[Any] = [*message.get("headers", []), *HEADERS]
            if path == "/" or path.startswith("/api"):
                headers = [pair for pair in headers if pair[0].lower() != b"cache-control"]
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        await send(message)

    return guarded


async def _answer(send: Send, error: LabelError) -> None:
    body = error_bytes(error)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.http, "headers": headers})
    await send({"type": "http.response.body", "body": body})
