"""Tries everything that the service needs: settings, secrets, disk, archive, peer, listener, models."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from livercascade.data.errors import CascadeError
from livercascade.pacs.analysis_run import AnalysisRunner
from livercascade.pacs.dicomweb_archive import DicomWebArchive
from livercascade.pacs.dimse_peer import DimsePeer
from livercascade.pacs.job_store import JobStore
from livercascade.pacs.pacs_settings import PacsSettings
from livercascade.pacs.private_files import server_context
from livercascade.pacs.study_job import Origin


@dataclass(frozen=True, slots=True)
class CheckedPart:
    """One thing that was tried.

    Attributes:
        name: What it is.
        found: What was found, or what is wrong.
        code: Stable code of what is wrong; empty if all is well.
    """

    name: str
    found: str
    code: str = ""


def check_connections(settings: PacsSettings, *, models: bool = True) -> list[CheckedPart]:
    """Try each part of the settings; nothing is sent but questions.

    Args:
        settings: Settings of the service.
        models: False leaves out loading the models, which takes seconds.
    """
    parts = [_try("spool", lambda: _spool(settings))]
    if settings.archive is not None:
        parts.append(_try("archive (QIDO-RS)", lambda: _archive(settings)))
    if settings.peer is not None:
        parts.append(_try("peer (C-ECHO)", lambda: _peer(settings)))
    if settings.listen is not None:
        parts.append(_try("listener", lambda: _listener(settings)))
    if models:
        parts.append(_try("models", lambda: _models(settings)))
    return parts


def calling_ae(settings: PacsSettings) -> str:
    """AE title by which we call the peer."""
    own = settings.peer.calling_ae if settings.peer is not None else None
    return own or (settings.listen.ae if settings.listen is not None else "LIVERCASCADE")


def _try(name: str, look: Callable[[], str]) -> CheckedPart:
    try:
        return CheckedPart(name, look())
    except CascadeError as error:
        return CheckedPart(name, f"{error.message} {error.remedy}", error.code)


def _spool(settings: PacsSettings) -> str:
    store = JobStore(settings.spool / Origin.POLL.value)
    store.check_room(settings.limits.free_gb)
    return f"{settings.spool}: {store.free_bytes() / 1e9:.1f} GB free"


def _archive(settings: PacsSettings) -> str:
    assert settings.archive is not None
    archive = DicomWebArchive(settings.archive)
    found = archive.studies(settings.archive.select, today=date.today())
    return f"{len(found)} studies pass the filter"


def _peer(settings: PacsSettings) -> str:
    assert settings.peer is not None
    DimsePeer(settings.peer, calling_ae(settings)).echo()
    return f"{settings.peer.ae} answers"


def _listener(settings: PacsSettings) -> str:
    assert settings.listen is not None
    if settings.listen.tls is not None:
        server_context(settings.listen.tls, lambda _: True)
    how = "TLS" if settings.listen.tls is not None else "not encrypted"
    return f"{settings.listen.ae} on {settings.listen.host}, port {settings.listen.port}; {how}"


def _models(settings: PacsSettings) -> str:
    with tempfile.TemporaryDirectory() as folder:
        made_by = AnalysisRunner(settings.analysis, threading.Event()).made_by(Path(folder))
    return f"loaded; hash {made_by[:12]}"
