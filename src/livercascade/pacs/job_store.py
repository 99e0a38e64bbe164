"""The spool: a folder with the state, images and result of each study, from which the service goes on after a crash."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from livercascade.data.errors import OutputError, UsageError
from livercascade.pacs.study_job import JobState, Origin, StudyJob
from livercascade.system.files import TRY_AGAIN, output_errors, write_file

_STATE, _IMAGES, _RESULT, _RUN, _RETRY = "job.json", "images", "result", "run", "retry"


class JobStore:
    """Studies by key, in memory and on the disk; what is read here has been written there.

    Args:
        folder: The spool; made if absent, for its owner alone.
        now: Clock, seconds since 1970.

    Raises:
        OutputError: The folder cannot be written.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self.folder = folder.absolute()
        self.now = now
        self._guard = threading.RLock()
        with output_errors(folder):
            self._studies.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
        self._salt = self._read_salt()
        self._jobs = {job.key: job for job in self._read_jobs()}

    @contextmanager
    def only_one(self) -> Generator[None, None, None]:
        """Hold the spool for this process; the system lets go of it when the process ends in any way.

        Raises:
            UsageError: ``SPOOL_BUSY``: another service works on it.
        """
        with (self.folder / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                message = f"{self.folder}: another service works on this spool."
                raise UsageError("SPOOL_BUSY", message, "Stop it, or give this one another spool.") from error
            yield

    def key_of(self, study_uid: str) -> str:
        """Name of a study that says nothing of it: 20 hexadecimal digits that depend on this spool's secret salt."""
        return hmac.new(self._salt, study_uid.encode(), hashlib.sha256).hexdigest()[:20]

    def get(self, key: str) -> StudyJob | None:
        """State of a study, if it was ever seen."""
        with self._guard:
            return self._jobs.get(key)

    def all(self, *states: JobState, origin: Origin | None = None) -> list[StudyJob]:
        """Studies in any of these states, or all of them; the one that changed first comes first."""
        with self._guard:
            found = [
                job
                for job in self._jobs.values()
                if (not states or job.state in states) and (origin is None or job.origin is origin)
            ]
        return sorted(found, key=lambda job: (job.since, job.key))

    def add(self, study_uid: str, origin: Origin, **values: Any) -> StudyJob:
        """The study's state, which is made if it was never seen."""
        key = self.key_of(study_uid)
        with self._guard:
            known = self._jobs.get(key)
            if known is not None:
                return known
            job = StudyJob(key=key, study_uid=study_uid, origin=origin, since=self.now(), **values)
            return self._write(job)

    def change(self, job: StudyJob, *, when: Collection[JobState] | None = None, **values: Any) -> StudyJob | None:
        """Write other values; a new state counts its attempts anew.

        Args:
            job: The study; its newest state is changed, not this copy.
            when: States in which it may be changed; by default that of the copy.
            values: New values.

        Returns:
            The new state, or None if the study has gone on meanwhile.
        """
        with self._guard:
            newest = self._jobs[job.key]
            if newest.state not in (when if when is not None else (job.state,)):
                return None
            if values.get("state", newest.state) is not newest.state:
                values = {"attempts": 0, "next_try": 0.0, "since": self.now(), "code": "", "message": "", **values}
            return self._write(newest.model_copy(update=values))

    def finish(self, job: StudyJob, **values: Any) -> None:
        """Write that a study is done; images that an archive holds are removed here.

        Those that were sent to us are kept for a while: more of the study may follow.
        """
        self.change(job, state=JobState.DONE, **values)
        if job.origin is Origin.POLL:
            self.forget_images(job)

    def place(self, key: str) -> Path:
        """Folder of a study."""
        return self._studies / key

    def images(self, key: str) -> Path:
        """Folder of its images."""
        return self.place(key) / _IMAGES

    def result(self, job: StudyJob) -> Path:
        """Its case folder."""
        return job.out or self.place(job.key) / _RESULT

    def run_folder(self, key: str) -> Path:
        """Folder for the time of one analysis."""
        return self.place(key) / _RUN

    def free_bytes(self) -> int:
        """Room on the disk of the spool."""
        return shutil.disk_usage(self.folder).free

    def check_room(self, free_gb: float) -> None:
        """Refuse to go on when the disk is nearly full.

        Raises:
            OutputError: ``NO_SPACE``.
        """
        free = self.free_bytes() / 1e9
        if free < free_gb:
            message = f"{self.folder}: {free:.1f} GB are free, fewer than {free_gb:g}."
            full = OutputError("NO_SPACE", message, "Make room; the service then goes on by itself.", stage="write")
            full.exit_code = TRY_AGAIN
            raise full

    def ask_retry(self, key: str) -> None:
        """Leave word that a study that was rejected or failed shall be tried again; whoever holds the spool does it.

        Raises:
            UsageError: ``NO_SUCH_STUDY``.
        """
        job = self.get(key)
        if job is None or job.state not in (JobState.REJECTED, JobState.FAILED):
            message = f"{key}: no study of that name was rejected or failed."
            raise UsageError("NO_SUCH_STUDY", message, "See the names with: livercascade pacs status.")
        write_file(self.place(key) / _RETRY, "")

    def take_retries(self) -> list[StudyJob]:
        """Studies for which word was left; the word is taken away."""
        asked = [job for job in self.all(JobState.REJECTED, JobState.FAILED) if (self.place(job.key) / _RETRY).exists()]
        for job in asked:
            (self.place(job.key) / _RETRY).unlink()
        return asked

    def forget_images(self, job: StudyJob) -> None:
        """Remove the images of a study."""
        shutil.rmtree(self.images(job.key), ignore_errors=True)

    def sweep(self, keep_days: float) -> None:
        """Remove images and results of studies that ended long ago; their states stay, so that none is done twice."""
        for job in self.all(JobState.DONE, JobState.REJECTED, JobState.FAILED):
            if self.now() - job.since > keep_days * 86400:
                for folder in (self.images(job.key), self.place(job.key) / _RESULT, self.run_folder(job.key)):
                    shutil.rmtree(folder, ignore_errors=True)

    @property
    def _studies(self) -> Path:
        return self.folder / "studies"

    def _write(self, job: StudyJob) -> StudyJob:
        write_file(self.place(job.key) / _STATE, job.model_dump_json(indent=1) + "\n")
        self._jobs[job.key] = job
        return job

    def _read_salt(self) -> bytes:
        path = self.folder / "salt"
        if not path.exists():
            write_file(path, secrets.token_bytes(32))
            path.chmod(0o600)
        return path.read_bytes()

    def _read_jobs(self) -> list[StudyJob]:
        jobs: list[StudyJob] = []
        for path in sorted(self._studies.glob(f"*/{_STATE}")):
            try:
                jobs.append(StudyJob.model_validate_json(path.read_bytes()))
            except ValidationError as error:
                message = f"{path}: the state of a study cannot be read."
                raise OutputError("BAD_STATE", message, "Restore the file, or move its folder away.") from error
        return jobs


def content_hash(parts: Collection[str]) -> str:
    """Hash of what a study consists of; the order counts not.

    >>> content_hash(["b", "a"]) == content_hash(["a", "b"])
    True
    """
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()
