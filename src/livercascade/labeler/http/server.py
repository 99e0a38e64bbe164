"""Running the server: a socket on loopback, one-time links for the terminal, a secret for scripts."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from livercascade.data.errors import UsageError
from livercascade.labeler.http.application import make_app
from livercascade.labeler.http.auth_middleware import LoginSecrets
from livercascade.labeler.project.workspace import Workspace
from livercascade.system.files import output_errors

_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_ANY = ("0.0.0.0", "::", "")
_GRACE_SECONDS = 2


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where to listen and how links are told.

    Attributes:
        host: Address to listen on.
        port: Port, 0 for any that is free.
        token_file: Where to write the Bearer secret for scripts, mode 0600.
        tell: Called with each one-time link.
    """

    host: str
    port: int
    token_file: Path | None
    tell: Callable[[str], None]


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(workspace: Workspace, settings: ServeSettings) -> None:
    """Serve until the process is told to stop.

    Raises:
        UsageError: ``CANNOT_LISTEN`` if the address or port cannot be had; ``WRONG_USE`` for an address that stands for
            all, since the Host header could not be checked.
    """
    if settings.host in _ANY:
        message = f"--host {settings.host} names no address by which the server could be told from another."
        raise UsageError("WRONG_USE", message, "Give the address or name that others will use.", stage="label")
    listener = _listen(settings.host, settings.port)
    port = int(listener.getsockname()[1])
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    hosts = (*_LOOPBACK_HOSTS, name.lower()) if not is_loopback(settings.host) else _LOOPBACK_HOSTS
    shown = "127.0.0.1" if settings.host == "localhost" else name
    keys = LoginSecrets(
        port, hosts=hosts, on_login=lambda token: settings.tell(f"http://{shown}:{port}/?token={token}")
    )
    if settings.token_file is not None:
        write_secret(settings.token_file, keys.secret)
    settings.tell(f"http://{shown}:{port}/?token={keys.once}")
    config = uvicorn.Config(
        make_app(workspace, keys),
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])


def write_secret(path: Path, secret: str) -> None:
    """Write the secret so that only its owner can read it, from the first moment on."""
    with output_errors(path):
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(secret + "\n")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        message = f"{host}:{port} cannot be used ({error.strerror})."
        raise UsageError("CANNOT_LISTEN", message, "Choose another --port.", stage="label") from error
    return listener
