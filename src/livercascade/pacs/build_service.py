"""Puts the parts of a service together from its settings."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from livercascade.data.errors import UsageError
from livercascade.pacs.analysis_run import PROGRAM, AnalysisRunner
from livercascade.pacs.archive_poll import ArchivePoll, OrthancChanges, QueriedStudies
from livercascade.pacs.connection_check import calling_ae
from livercascade.pacs.dicomweb_archive import DicomWebArchive
from livercascade.pacs.dimse_peer import DimsePeer
from livercascade.pacs.job_store import JobStore
from livercascade.pacs.outbox import Destination, Outbox
from livercascade.pacs.pacs_settings import PacsSettings, SendTo
from livercascade.pacs.service import Service
from livercascade.pacs.store_server import ReceivedStudies, StoreServer
from livercascade.pacs.study_job import Origin
from livercascade.pacs.study_worker import StudyWorker

_LOG = logging.getLogger(__name__)
_LOOK_S = 1.0


def spool_of(settings: PacsSettings, origin: Origin) -> Path:
    """Folder of one way in; each has its own, so that they can work side by side."""
    return settings.spool / origin.value


@contextmanager
def poll_service(
    settings: PacsSettings, *, stop: threading.Event, program: Sequence[str] = PROGRAM
) -> Generator[Service, None, None]:
    """Service that asks an archive for studies; the spool is held within the block.

    Args:
        settings: Settings; ``archive`` is needed.
        stop: Ends the service when set.
        program: Command of the process that analyses.

    Raises:
        UsageError: A part of the settings is missing or cannot be used; ``SPOOL_BUSY``.
        ModelError: ``PACS_MODELS``.
    """
    if settings.archive is None:
        raise _missing("archive")
    archive = DicomWebArchive(settings.archive)
    store = JobStore(spool_of(settings, Origin.POLL))
    with store.only_one():
        worker, outbox = _worker_and_outbox(store, settings, settings.send_to or SendTo.ARCHIVE, stop, program)
        changes = store.folder / "changes.json"
        source = OrthancChanges(archive, changes) if settings.archive.orthanc else QueriedStudies(archive)
        poll = ArchivePoll(store, archive, source, settings.limits, settings.quiet_seconds, worker.made_by)
        yield Service(store, poll, worker, outbox, settings.archive.every_seconds, settings.keep_days, stop)


@contextmanager
def listen_service(
    settings: PacsSettings, *, stop: threading.Event, program: Sequence[str] = PROGRAM
) -> Generator[tuple[Service, StoreServer], None, None]:
    """Service that is sent studies, and the server that takes them; it listens within the block.

    Args:
        settings: Settings; ``listen`` is needed.
        stop: Ends the service when set.
        program: Command of the process that analyses.

    Raises:
        UsageError: A part of the settings is missing or cannot be used; ``SPOOL_BUSY``.
        ModelError: ``PACS_MODELS``.
        PacsError: ``CANNOT_LISTEN``.
    """
    if settings.listen is None:
        raise _missing("listen")
    store = JobStore(spool_of(settings, Origin.LISTEN))
    with store.only_one():
        worker, outbox = _worker_and_outbox(store, settings, settings.send_to or SendTo.PEER, stop, program)
        received = ReceivedStudies(store, settings.quiet_seconds, worker.made_by)
        server = StoreServer(store, settings.listen, settings.limits)
        server.start()
        try:
            yield Service(store, received, worker, outbox, _LOOK_S, settings.keep_days, stop), server
        finally:
            server.stop()


def destination_of(settings: PacsSettings, send_to: SendTo) -> Destination | None:
    """Where results go; None if they stay.

    Raises:
        UsageError: ``PACS_SETTING_MISSING``, or certificates or credentials cannot be used.
    """
    if send_to is SendTo.NOWHERE:
        return None
    if send_to is SendTo.ARCHIVE:
        if settings.archive is None:
            raise _missing("archive")
        return DicomWebArchive(settings.archive)
    if settings.peer is None:
        raise _missing("peer")
    return DimsePeer(settings.peer, calling_ae(settings))


def _worker_and_outbox(
    store: JobStore, settings: PacsSettings, send_to: SendTo, stop: threading.Event, program: Sequence[str]
) -> tuple[StudyWorker, Outbox | None]:
    destination = destination_of(settings, send_to)
    runner = AnalysisRunner(settings.analysis, stop, program)
    made_by = runner.made_by(store.folder)
    _LOG.info("models are loaded", extra={"destination": send_to.value})
    worker = StudyWorker(store, runner, settings.limits, made_by, sends=destination is not None)
    return worker, None if destination is None else Outbox(store, destination)


def _missing(part: str) -> UsageError:
    message = f"The settings have no part [{part}]."
    return UsageError("PACS_SETTING_MISSING", message, "The documentation has an example.")
