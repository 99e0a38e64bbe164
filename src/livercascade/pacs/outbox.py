"""Sends the DICOM files of finished results to where they go, until each has arrived."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from livercascade.data.errors import PacsError
from livercascade.pacs.job_store import JobStore
from livercascade.pacs.study_job import JobState, StudyJob, pause_s
from livercascade.system.files import TRY_AGAIN
from livercascade.system.manifest import MANIFEST, Manifest, verify

_LOG = logging.getLogger(__name__)
REFUSALS = 5
"""Times that a result is offered to a system that refuses it."""


@runtime_checkable
class Destination(Protocol):
    """A system that takes results."""

    def send(self, file: Path) -> None:
        """Send a DICOM file; one that is there already counts as sent.

        Raises:
            PacsError: It was refused, or the system cannot be reached (exit code 75).
        """
        ...

    def missing(self, study_uid: str, files: Collection[Path]) -> list[Path]:
        """Files that the system does not hold, as far as it can tell.

        Raises:
            PacsError: It cannot be asked.
        """
        ...


@dataclass(frozen=True)
class Outbox:
    """Sends results; files have the same identifiers however often they are sent, so none is there twice.

    Attributes:
        store: The spool.
        destination: System that takes them.
    """

    store: JobStore
    destination: Destination

    def step(self) -> bool:
        """Send what is left of one result; False if there is none to send now."""
        now = self.store.now()
        waiting = [job for job in self.store.all(JobState.SENDING) if job.next_try <= now]
        if not waiting:
            return False
        self._send(waiting[0])
        return True

    def _send(self, job: StudyJob) -> None:
        folder = self.store.result(job)
        if not verify(folder):
            # The result was damaged or removed: it is made again.
            _LOG.warning("result is not whole", extra={"study": job.key, "code": "RESULT_DAMAGED"})
            self.store.change(job, state=JobState.SETTLING, content="", listed="", analysed="")
            return
        files = dicom_files(folder)
        if not files:
            _LOG.warning("result holds no DICOM", extra={"study": job.key, "code": "NOTHING_TO_SEND"})
        try:
            left = [path for path in files if path.name not in job.sent]
            for path in left:
                self.destination.send(path)
                job = self.store.change(job, sent=(*job.sent, path.name)) or job
            lost = self.destination.missing(job.study_uid, files)
        except PacsError as error:
            self._failed(job, error)
            return
        if lost:
            kept = tuple(name for name in job.sent if name not in {path.name for path in lost})
            job = self.store.change(job, sent=kept) or job
            self._failed(
                job, PacsError("PACS_LOST_RESULT", "A result that was sent is not there.", "It is sent again.")
            )
            return
        self.store.finish(job)
        _LOG.info("results have arrived", extra={"study": job.key, "files": len(files)})

    def _failed(self, job: StudyJob, error: PacsError) -> None:
        attempts = job.attempts + 1
        told = {"study": job.key, "code": error.code, "attempt": attempts}
        if error.exit_code != TRY_AGAIN and attempts >= REFUSALS:
            _LOG.error("results were refused", extra=told)
            self.store.change(job, state=JobState.FAILED, code=error.code, message=f"{error.message} {error.remedy}")
            return
        _LOG.warning("results could not be sent", extra=told)
        pause = self.store.now() + pause_s(attempts)
        self.store.change(job, attempts=attempts, next_try=pause, code=error.code, message=error.message)


def dicom_files(folder: Path) -> list[Path]:
    """DICOM files that the manifest of a result names."""
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    return [folder / name for name in sorted(manifest.files) if name.endswith(".dcm")]
