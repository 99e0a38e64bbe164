"""Looks for new and changed studies in an archive, and fetches each once nothing of it has changed for a while."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from livercascade.data.errors import PacsError
from livercascade.pacs.dicomweb_archive import DicomWebArchive, ListedStudy, archive_errors
from livercascade.pacs.job_store import JobStore, content_hash
from livercascade.pacs.pacs_settings import IntakeLimits
from livercascade.pacs.study_job import JobState, Origin, StudyJob, pause_s
from livercascade.system.files import TRY_AGAIN, write_file

_LOG = logging.getLogger(__name__)
_MAY_SETTLE = (JobState.SETTLING, JobState.DONE, JobState.REJECTED, JobState.FAILED)
_FINAL = {"STUDY_TOO_BIG": JobState.REJECTED, "STUDY_GONE": JobState.FAILED}
_CHANGES_A_PAGE = 200


@runtime_checkable
class StudyListing(Protocol):
    """Tells which studies may be new or changed."""

    def listed(self) -> list[ListedStudy]:
        """Studies to look at.

        Raises:
            PacsError: The archive cannot be asked.
        """
        ...

    def looked_at(self, study_uid: str) -> None:
        """Take note that the state of a study on our disk is that of the archive."""
        ...


@dataclass(frozen=True)
class QueriedStudies:
    """Studies that a query lists, all of them every time.

    Attributes:
        archive: The archive.
    """

    archive: DicomWebArchive

    def listed(self) -> list[ListedStudy]:
        """Studies that the filter lets through.

        Raises:
            PacsError: The archive cannot be asked.
        """
        return self.archive.studies(self.archive.settings.select, today=date.today())

    def looked_at(self, study_uid: str) -> None:
        """Nothing: the next query lists the study again."""


@dataclass
class OrthancChanges:
    """Studies that Orthanc says have become stable; where we are in its list is kept on the disk.

    Attributes:
        archive: The archive; its settings name the root of Orthanc.
        file: File that keeps the place in the list.
    """

    archive: DicomWebArchive
    file: Path

    def listed(self) -> list[ListedStudy]:
        """Studies that became stable since the last time, and those that were not looked at yet.

        Raises:
            PacsError: Orthanc cannot be asked.
        """
        place = self._place()
        while True:
            page = self._get(f"changes?since={place['since']}&limit={_CHANGES_A_PAGE}")
            if int(page["Last"]) < place["since"]:
                # Its data base was made anew.
                place["since"] = 0
                continue
            for change in page["Changes"]:
                uid = self._uid(change["ID"]) if change["ChangeType"] == "StableStudy" else None
                if uid is not None and uid not in place["pending"]:
                    place["pending"].append(uid)
            place["since"] = int(page["Last"])
            self._keep(place)
            if page["Done"]:
                break
        wanted = self.archive.settings.select
        found: list[ListedStudy] = []
        for uid in place["pending"]:
            listed = self.archive.studies(wanted, today=date.today(), uid=uid)
            found += listed
            if not listed:
                self.looked_at(uid)
        return found

    def looked_at(self, study_uid: str) -> None:
        """Strike the study from those that are left."""
        place = self._place()
        if study_uid in place["pending"]:
            place["pending"].remove(study_uid)
            self._keep(place)

    def _uid(self, orthanc_id: str) -> str | None:
        with archive_errors("Orthanc"):
            try:
                return str(self._get(f"studies/{orthanc_id}")["MainDicomTags"]["StudyInstanceUID"])
            except PacsError as error:
                if error.code == "PACS_REFUSED" and "404" in error.message:
                    return None
                raise

    def _get(self, path: str) -> Any:
        settings = self.archive.settings
        with archive_errors("Orthanc"):
            url = f"{settings.orthanc.rstrip('/')}/{path}"
            answer = self.archive.session.get(url, timeout=settings.timeout_seconds)
            answer.raise_for_status()
            return answer.json()

    def _place(self) -> dict[str, Any]:
        return json.loads(self.file.read_text()) if self.file.exists() else {"since": 0, "pending": []}

    def _keep(self, place: dict[str, Any]) -> None:
        write_file(self.file, json.dumps(place))


@dataclass(frozen=True)
class ArchivePoll:
    """Brings studies of an archive into the queue.

    Attributes:
        store: The spool.
        archive: The archive.
        source: Tells which studies to look at.
        limits: What is taken in.
        quiet_seconds: A study is fetched when nothing of it has changed for so long.
        made_by: Hash of models, settings and version; a study that others analysed is analysed again.
    """

    store: JobStore
    archive: DicomWebArchive
    source: StudyListing
    limits: IntakeLimits
    quiet_seconds: float
    made_by: str
    _without_ct: dict[str, str] = field(default_factory=dict[str, str])

    def step(self) -> bool:
        """Look at every listed study, and fetch those that are complete; True if any was fetched.

        Raises:
            PacsError: The archive cannot be asked.
            OutputError: The spool cannot be written, or is nearly full.
        """
        settling = self.store.all(JobState.SETTLING, origin=Origin.POLL)
        # One that has to be taken in anew may be too old to be listed.
        for study in (*self.source.listed(), *(ListedStudy(job.study_uid, "") for job in settling if not job.content)):
            try:
                self._notice(study)
            except PacsError as error:
                if error.exit_code == TRY_AGAIN:
                    raise
                told = {"study": self.store.key_of(study.uid), "code": error.code}
                _LOG.error("study cannot be looked at", extra=told)
        now = self.store.now()
        fetched = False
        for job in self.store.all(JobState.SETTLING, origin=Origin.POLL):
            if now - job.since >= self.quiet_seconds and job.next_try <= now and job.content:
                self._fetch(job)
                fetched = True
        return fetched

    def _notice(self, study: ListedStudy) -> None:
        job = self.store.get(self.store.key_of(study.uid))
        if job is not None and job.state not in _MAY_SETTLE:
            return
        if not self._unchanged(job, study):
            series = self.archive.ct_series(study.uid)
            if not series and job is None:
                self._without_ct[study.uid] = study.size
            elif job is None or self._settle(job, study, series):
                job = job or self.store.add(study.uid, Origin.POLL)
                self._begin(job, study, series)
        self.source.looked_at(study.uid)

    def _unchanged(self, job: StudyJob | None, study: ListedStudy) -> bool:
        """True if the listing says enough to know that nothing has to be done."""
        if not study.size:
            return False
        if job is None:
            return self._without_ct.get(study.uid) == study.size
        outdated = job.state is JobState.DONE and job.made_by != self.made_by
        return job.listed == study.size and not outdated and bool(job.content)

    def _settle(self, job: StudyJob, study: ListedStudy, series: dict[str, int]) -> bool:
        """True if a study that was seen before has to be taken in again."""
        if job.content != _content(series):
            return True
        if job.state is JobState.DONE and job.made_by != self.made_by:
            return True
        # Something else changed, for example our own results arrived.
        self.store.change(job, when=_MAY_SETTLE, listed=study.size)
        return False

    def _begin(self, job: StudyJob, study: ListedStudy, series: dict[str, int]) -> None:
        images = sum(max(count, 0) for count in series.values())
        values: dict[str, Any] = {
            "content": _content(series),
            "listed": study.size,
            "images": images,
            "since": self.store.now(),
        }
        self.store.change(job, when=_MAY_SETTLE, state=JobState.SETTLING, **values)
        _LOG.info("study seen", extra={"study": job.key, "images": images})

    def _fetch(self, job: StudyJob) -> None:
        """Bring the images of a study here, or find that this is not to be done."""
        try:
            series = self.archive.ct_series(job.study_uid)
            if _content(series) != job.content:
                self.store.change(job, content=_content(series), since=self.store.now())
                return
            if job.content == job.analysed and job.made_by == self.made_by:
                self.store.change(job, state=JobState.DONE)
                return
            self._check_count(series)
            self.store.check_room(self.limits.free_gb)
            known = self.archive.other_instances(job.study_uid)
            self._download(job, series)
        except PacsError as error:
            self._not_fetched(job, error)
            return
        self.store.change(job, state=JobState.QUEUED, known=known)
        _LOG.info("study fetched", extra={"study": job.key, "images": job.images})

    def _check_count(self, series: dict[str, int]) -> None:
        if not series:
            raise PacsError("STUDY_GONE", "The archive has no CT of the study any more.", "See the archive.")
        images = sum(max(count, 0) for count in series.values())
        if images > self.limits.images:
            message = f"The study has {images} images, more than {self.limits.images}."
            raise PacsError("STUDY_TOO_BIG", message, "Raise images in [limits].")

    def _download(self, job: StudyJob, series: dict[str, int]) -> None:
        aside = self.store.place(job.key) / ".images.partial"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            taken = 0
            for uid, count in series.items():
                before = len(list(aside.iterdir()))
                taken += self.archive.fetch_series(job.study_uid, uid, aside, self.limits, taken)
                came = len(list(aside.iterdir())) - before
                if count not in (came, -1):
                    message = f"{came} of {count} images of a series came."
                    raise PacsError("STUDY_INCOMPLETE", message, "It is fetched again.")
            self.store.forget_images(job)
            aside.rename(self.store.images(job.key))
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _not_fetched(self, job: StudyJob, error: PacsError) -> None:
        told = {"study": job.key, "code": error.code}
        if error.code in _FINAL:
            _LOG.error("study refused", extra=told)
            self.store.change(job, state=_FINAL[error.code], code=error.code, message=error.message)
            return
        _LOG.warning("study could not be fetched", extra=told)
        attempts = job.attempts + 1
        pause = self.store.now() + pause_s(attempts)
        self.store.change(job, attempts=attempts, next_try=pause, code=error.code, message=error.message)


def _content(series: dict[str, int]) -> str:
    return content_hash([f"{uid} {count}" for uid, count in series.items()])
