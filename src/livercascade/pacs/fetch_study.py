"""Has a PACS send one study by C-MOVE, and sees it through where no listener runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from livercascade.data.errors import PacsError, UsageError
from livercascade.pacs.analysis_run import PROGRAM
from livercascade.pacs.build_service import listen_service, spool_of
from livercascade.pacs.connection_check import calling_ae
from livercascade.pacs.dimse_peer import DimsePeer
from livercascade.pacs.job_store import JobStore
from livercascade.pacs.pacs_settings import PacsSettings
from livercascade.pacs.service import Service
from livercascade.pacs.study_job import JobState, Origin
from livercascade.system.files import TRY_AGAIN


def fetch_study(
    settings: PacsSettings, study_uid: str, *, stop: threading.Event, program: Sequence[str] = PROGRAM
) -> int:
    """Fetch a study by C-MOVE; exit code 0, 1 if it was rejected or failed, 75 if it has to be tried again.

    Args:
        settings: Settings; ``peer`` and ``listen`` are needed.
        study_uid: StudyInstanceUID.
        stop: Ends the work when set.
        program: Command of the process that analyses.

    Raises:
        UsageError: A part of the settings is missing.
        PacsError: The PACS cannot be asked, or ``NO_SUCH_CT``.
    """
    if settings.peer is None or settings.listen is None:
        message = "A study is fetched with [peer] and [listen]."
        raise UsageError("PACS_SETTING_MISSING", message, "The documentation has an example.")
    store = JobStore(spool_of(settings, Origin.LISTEN))
    try:
        with store.only_one():
            pass
    except UsageError:
        _move(settings, study_uid)
        return 0
    with listen_service(settings, stop=stop, program=program) as (service, _):
        _move(settings, study_uid)
        return _see_through(service, study_uid)


def _move(settings: PacsSettings, study_uid: str) -> None:
    assert settings.peer is not None and settings.listen is not None
    peer = DimsePeer(settings.peer, calling_ae(settings))
    series = peer.ct_series(study_uid)
    if not series:
        raise PacsError("NO_SUCH_CT", "The PACS has no CT series of this study.", "Check the StudyInstanceUID.")
    for uid in series:
        peer.move_series(study_uid, uid, settings.listen.ae)


def _see_through(service: Service, study_uid: str) -> int:
    code = service.run_once()
    job = service.store.get(service.store.key_of(study_uid))
    if job is None:
        message = "The PACS says that it sent the study, but nothing came."
        raise PacsError("NOTHING_CAME", message, "Check which address the PACS knows for our AE title.")
    if job.state.ended:
        return 0 if job.state is JobState.DONE else 1
    return code or TRY_AGAIN
