"""Running the server: a socket on loopback, one-time links for the terminal, a secret for scripts."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from livercascade.data.errors import UsageError
from livercascade.labeler.http.application import make_app
from livercascade.labeler.http.auth_middleware import LoginSecrets
from livercascade.labeler.project.workspace import Workspace
from livercascade.system.files import output_errors

_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_ANY = ("0.0.0.0", "::", "")
# What was confirmed is on the disk: open requests need not be waited for long.
_GRACE_SECONDS = 2


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(
    workspace: Workspace, *, host: str, port: int, token_file: Path | None, show_link: Callable[[str], None]
) -> None:
    """Serve until the process is told to stop.

    Args:
        workspace: The project.
        host: Address to listen on.
        port: Port, 0 for any that is free.
        token_file: File for the Bearer secret of scripts, mode 0600.
        show_link: Called with each one-time link.

    Raises:
        UsageError: ``CANNOT_LISTEN`` if the address or port cannot be had; ``WRONG_USE`` for an address that stands for
            all, since the Host header could not be checked.
    """
    if host in _ANY:
        message = f"--host {host} stands for every address, so the server could not check by which name it is called."
        raise UsageError("WRONG_USE", message, "Give the address or name that others will use.", stage="label")
    listener = _listen(host, port)
    port = int(listener.getsockname()[1])
    name = f"[{host}]" if ":" in host else host
    hosts = (*_LOOPBACK_HOSTS, name.lower()) if not is_loopback(host) else _LOOPBACK_HOSTS
    shown = "127.0.0.1" if host == "localhost" else name
    keys = LoginSecrets(port, hosts=hosts, on_login=lambda token: show_link(f"http://{shown}:{port}/?token={token}"))
    if token_file is not None:
        write_secret(token_file, keys.secret)
    show_link(f"http://{shown}:{port}/?token={keys.once}")
    config = uvicorn.Config(
        make_app(workspace, keys),
        # No compiled parts: the same server runs on every platform.
        http="h11",
        ws="none",
        lifespan="off",
        # Paths name cases, and cases may name patients.
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
        # A server that was just stopped leaves its port waiting; the next one may take it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        message = f"{host}:{port} cannot be used ({error.strerror})."
        raise UsageError("CANNOT_LISTEN", message, "Choose another --port.", stage="label") from error
    return listener
