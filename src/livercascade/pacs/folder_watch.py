"""Looks for studies that appear in a folder, and brings each into the queue once nothing of it has changed."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livercascade.data.errors import InputError
from livercascade.pacs.analysis_run import PROGRAM, AnalysisRunner
from livercascade.pacs.job_store import JobStore, content_hash
from livercascade.pacs.pacs_settings import AnalysisLimits, IntakeLimits
from livercascade.pacs.service import Service
from livercascade.pacs.study_job import JobState, Origin, StudyJob
from livercascade.pacs.study_worker import StudyWorker
from livercascade.system.manifest import MANIFEST

_LOG = logging.getLogger(__name__)
_MAY_SETTLE = (JobState.SETTLING, JobState.DONE, JobState.REJECTED, JobState.FAILED)
_LOOK_S = 1.0
_FILE = re.compile(r"(.+?)\.(nii|nii\.gz|zip)", re.IGNORECASE)
_CHANNEL = re.compile(r".+_\d{4}\.nii(\.gz)?", re.IGNORECASE)


@dataclass(frozen=True)
class FolderWatch:
    """Brings the studies of a folder into the queue: each folder in it, and each NIfTI or zip file in it itself.

    Names that begin with a dot are passed over, as are result folders and single phases in nnU-Net's names. What holds
    several studies has several results, ``<out>/<name>/<case>``.

    Attributes:
        store: States of the studies.
        folder: The folder.
        out: Folder of the results, ``<out>/<name of the study>``.
        quiet_seconds: A study is complete when nothing of it has changed for so long.
        made_by: Hash of models, settings and version; a study that others analysed is analysed again.
    """

    store: JobStore
    folder: Path
    out: Path
    quiet_seconds: float
    made_by: str

    def step(self) -> bool:
        """Look at every study; True if one went into the queue.

        Raises:
            InputError: ``FILE_MISSING``: the folder is not there.
        """
        try:
            entries = sorted(self.folder.iterdir())
        except OSError as error:
            message = f"{self.folder}: {error.strerror}."
            raise InputError("FILE_MISSING", message, "Give the folder that studies are put into.") from error
        queued = [self._look(entry) for entry in entries if self._is_study(entry)]
        return any(queued)

    def _is_study(self, entry: Path) -> bool:
        if entry.name.startswith(".") or entry.resolve() == self.out.resolve():
            return False
        if entry.is_dir():
            return not (entry / MANIFEST).is_file()
        # One phase of a case in nnU-Net's names is no study: such cases are put into folders.
        return _FILE.fullmatch(entry.name) is not None and _CHANNEL.fullmatch(entry.name) is None

    def _look(self, entry: Path) -> bool:
        parts = _parts(entry)
        if not parts:
            return False
        content = content_hash(parts)
        job = self.store.get(self.store.key_of(entry.name))
        if job is None:
            plain = _FILE.fullmatch(entry.name) if entry.is_file() else None
            out = self.out / (plain.group(1) if plain else entry.name)
            values: dict[str, Any] = {
                "content": content,
                "images": len(parts),
                "source": entry.absolute(),
                "out": out.absolute(),
            }
            job = self.store.add(entry.name, Origin.WATCH, **values)
            _LOG.info("study seen", extra={"study": job.key, "files": len(parts)})
        if job.state not in _MAY_SETTLE:
            return False
        if job.content != content:
            values: dict[str, Any] = {"content": content, "images": len(parts), "since": self.store.now()}
            self.store.change(job, when=_MAY_SETTLE, state=JobState.SETTLING, **values)
            return False
        if self._is_over(job):
            return False
        if self.store.now() - job.since < self.quiet_seconds and job.state is JobState.SETTLING:
            return False
        return self.store.change(job, when=_MAY_SETTLE, state=JobState.QUEUED) is not None

    def _is_over(self, job: StudyJob) -> bool:
        """True if its result is there, or it was refused."""
        if job.state in (JobState.REJECTED, JobState.FAILED):
            return True
        if job.out is None or job.state is not JobState.DONE or job.made_by != self.made_by:
            return False
        return (job.out / MANIFEST).is_file() or any(job.out.glob(f"*/{MANIFEST}"))


@contextmanager
def watch_service(
    folder: Path,
    out: Path,
    *,
    quiet_seconds: float,
    analysis: AnalysisLimits,
    stop: threading.Event,
    program: Sequence[str] = PROGRAM,
) -> Generator[Service, None, None]:
    """Service that analyses the studies that appear in a folder; states are kept in ``<out>/.watch``.

    Args:
        folder: Folder that studies are put into.
        out: Folder of the results.
        quiet_seconds: A study is complete when nothing of it has changed for so long.
        analysis: Models, settings and limits.
        stop: Ends the service when set.
        program: Command of the process that analyses.

    Raises:
        UsageError: ``SPOOL_BUSY``.
        ModelError: ``PACS_MODELS``.
    """
    store = JobStore(out / ".watch")
    with store.only_one():
        runner = AnalysisRunner(analysis, stop, program)
        made_by = runner.made_by(store.folder)
        worker = StudyWorker(store, runner, IntakeLimits(free_gb=0.5), made_by, sends=False)
        watch = FolderWatch(store, folder, out, quiet_seconds, made_by)
        yield Service(store, watch, worker, None, _LOOK_S, None, stop)


def _parts(entry: Path) -> list[str]:
    """Name, size and time of every file; a file that vanishes meanwhile has changed."""
    files = [entry] if entry.is_file() else [path for path in entry.rglob("*") if path.is_file()]
    parts: list[str] = []
    for path in files:
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        parts.append(f"{path.relative_to(entry.parent)} {stat.st_size} {stat.st_mtime_ns}")
    return parts
