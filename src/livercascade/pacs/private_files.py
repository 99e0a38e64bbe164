"""Credentials and keys: files that their owner alone can read."""

from __future__ import annotations

import socket
import ssl
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import model_validator

from livercascade.data.errors import UsageError
from livercascade.data.record import Record
from livercascade.pacs.pacs_settings import TlsFiles

_HANDSHAKE_S = 10.0


class Credentials(Record):
    """What an archive asks for: user and password, or a token.

    Attributes:
        user: Name of the account.
        password: Its password.
        token: Sent as ``Authorization: Bearer``.
    """

    user: str = ""
    password: str = ""
    token: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> Credentials:
        if bool(self.user and self.password) == bool(self.token):
            raise ValueError("either user and password, or token")
        return self

    def __repr__(self) -> str:
        return "Credentials(...)"

    __str__ = __repr__


def read_credentials(path: Path) -> Credentials:
    """Credentials of a TOML file.

    Raises:
        UsageError: ``SECRET_EXPOSED`` if others can read it; ``BAD_CREDENTIALS`` if it does not hold what it should.
    """
    check_private(path)
    try:
        return Credentials.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        # The error would quote what stands in the file.
        message = f"{path}: no credentials can be read ({type(error).__name__})."
        raise UsageError("BAD_CREDENTIALS", message, "It holds user and password, or token, as TOML.") from None


def check_private(path: Path) -> None:
    """Refuse a secret that anybody but its owner could read or change.

    Raises:
        UsageError: ``SECRET_EXPOSED``, or ``SECRET_MISSING`` if there is no such file.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        message = f"{path}: {error.strerror}."
        raise UsageError("SECRET_MISSING", message, "Give the path of the file.") from error
    if mode & 0o077:
        message = f"{path} is open to others (mode {mode & 0o777:04o})."
        raise UsageError("SECRET_EXPOSED", message, f"Run: chmod 600 {path}")


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS for a connection that we open: the other side's certificate and name are checked.

    Raises:
        UsageError: ``SECRET_EXPOSED``, ``SECRET_MISSING`` or ``BAD_CERTIFICATE``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.ca is not None:
        _trust(context, files.ca)
    else:
        context.load_default_certs()
    if files.certificate is not None:
        _load_own(context, files)
    return context


class ListenerContext(ssl.SSLContext):
    """TLS of a listener that takes one connection after the other: none may keep the next one waiting for long.

    Attributes:
        knows: Tells whether an address may connect; others are shut out before a byte is exchanged.
    """

    knows: Callable[[str], bool]

    def wrap_socket(self, sock: socket.socket, *given: Any, **options: Any) -> ssl.SSLSocket:
        """As that of the base, within ten seconds; a connection that fails is closed.

        Raises:
            OSError: The address is not allowed, or the handshake failed.
        """
        try:
            if not self.knows(sock.getpeername()[0]):
                raise PermissionError("address is not allowed")
            before = sock.gettimeout()
            sock.settimeout(_HANDSHAKE_S)
            wrapped = super().wrap_socket(sock, *given, **options)
        except OSError:
            sock.close()
            raise
        wrapped.settimeout(before)
        return wrapped


def server_context(files: TlsFiles, knows: Callable[[str], bool]) -> ListenerContext:
    """TLS for a listener; with ``ca`` whoever connects must show a certificate.

    Args:
        files: Own certificate and key, and whom to trust.
        knows: Tells whether an address may connect.

    Raises:
        UsageError: ``SECRET_EXPOSED``, ``SECRET_MISSING`` or ``BAD_CERTIFICATE``.
    """
    context = ListenerContext(ssl.PROTOCOL_TLS_SERVER)
    context.knows = knows
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_own(context, files)
    if files.ca is not None:
        _trust(context, files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        message = f"{ca} cannot be used: {error}."
        raise UsageError("BAD_CERTIFICATE", message, "Give certificates in PEM.") from error


def _load_own(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.certificate is None or files.key is None:
        message = "TLS here needs a certificate and its key."
        raise UsageError("BAD_CERTIFICATE", message, "Give both certificate and key, in PEM.")
    check_private(files.key)
    try:
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        message = f"{files.certificate} cannot be used: {error}."
        raise UsageError(
            "BAD_CERTIFICATE", message, "Give certificate and key that belong together, in PEM."
        ) from error
