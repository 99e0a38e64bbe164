"""Takes studies from the queue one by one, has them analysed, and keeps what came of it."""

from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livercascade.data.errors import OutputError
from livercascade.pacs.analysis_process import ALREADY_THERE, AnalysisOutcome, AnalysisRequest
from livercascade.pacs.analysis_run import AnalysisDiedError, AnalysisRunner, AnalysisStoppedError
from livercascade.pacs.job_store import JobStore, content_hash
from livercascade.pacs.pacs_settings import IntakeLimits
from livercascade.pacs.study_job import JobState, Origin, StudyJob, pause_s
from livercascade.system.files import output_errors

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyWorker:
    """Analyses queued studies.

    Attributes:
        store: The spool.
        runner: Runs the process of an analysis.
        limits: Room on the disk that has to be left.
        made_by: Hash of models, settings and version.
        sends: True if results go anywhere.
    """

    store: JobStore
    runner: AnalysisRunner
    limits: IntakeLimits
    made_by: str
    sends: bool

    def recover(self) -> None:
        """Put studies whose analysis was cut off by a crash back into the queue; call once, before the first `step`.

        One that was cut off too often ends as failed: it may be what brought the service down.
        """
        for job in self.store.all(JobState.RUNNING):
            self._died(job, "The service ended during the analysis.")

    def step(self) -> bool:
        """Analyse the study that has waited longest; False if none waits.

        Raises:
            OutputError: ``NO_SPACE``: the disk is nearly full.
            AnalysisStoppedError: The service stops; the study is in the queue again.
        """
        for job in self.store.take_retries():
            self.retry(job)
        waiting = [job for job in self.store.all(JobState.QUEUED) if job.next_try <= self.store.now()]
        if not waiting:
            return False
        self.store.check_room(self.limits.free_gb)
        job = waiting[0]
        if job.source is None and not any(self.store.images(job.key).glob("*.dcm")):
            # Somebody removed them: they have to come in again.
            self.store.change(job, state=JobState.SETTLING, content="", listed="")
            return True
        running = self.store.change(job, state=JobState.RUNNING, attempts=job.attempts)
        if running is not None:
            self._run(running)
        return True

    def retry(self, job: StudyJob) -> None:
        """Try a study again that was rejected or failed: sending only, if its result is there."""
        if job.analysed == job.content and self.store.result(job).is_dir() and self.sends:
            self.store.change(job, state=JobState.SENDING)
        elif job.source is not None or self.store.images(job.key).is_dir():
            self.store.change(job, state=JobState.QUEUED)
        else:
            self.store.change(job, state=JobState.SETTLING, content="", listed="")

    def _run(self, job: StudyJob) -> None:
        began = time.monotonic()
        folder = self.store.run_folder(job.key)
        try:
            job, source = self._source(job)
            request = AnalysisRequest(
                outcome=folder / "outcome.json",
                limits=self.runner.limits,
                source=source,
                out=self.store.result(job),
                # What we made ourselves and make anew is not looked for: it has changed, or is wanted again.
                known=() if job.analysed else job.known,
            )
            _LOG.info("analysis started", extra={"study": job.key, "images": job.images})
            outcome = self.runner.run(request, self.store.place(job.key) / "analysis.log")
        except AnalysisStoppedError:
            self.store.change(job, state=JobState.QUEUED, attempts=job.attempts)
            raise
        except AnalysisDiedError as error:
            self._died(job, error.message)
            return
        except OutputError as error:
            self._again(job, error.code)
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._end(job, outcome, time.monotonic() - began)

    def _source(self, job: StudyJob) -> tuple[StudyJob, Path]:
        """Folder to analyse: images that arrive from now on are not in it, but make the study settle again."""
        if job.source is not None:
            return job, job.source
        folder = self.store.run_folder(job.key)
        shutil.rmtree(folder, ignore_errors=True)
        source = folder / job.key
        with output_errors(folder):
            source.mkdir(parents=True)
            paths = sorted(self.store.images(job.key).glob("*.dcm"))
            for path in paths:
                os.link(path, source / path.name)
        if job.origin is Origin.LISTEN:
            values: dict[str, Any] = {"content": content_hash([path.name for path in paths]), "images": len(paths)}
            job = self.store.change(job, **values) or job
        return job, source

    def _end(self, job: StudyJob, outcome: AnalysisOutcome, seconds: float) -> None:
        told = {"study": job.key, "code": outcome.code, "seconds": round(seconds, 1), "status": outcome.status}
        _LOG.info("analysis ended", extra=told)
        if outcome.again:
            self._again(job, outcome.code)
            return
        made: dict[str, Any] = {"analysed": job.content, "made_by": outcome.made_by or self.made_by}
        if outcome.has_result:
            if self.sends:
                self.store.change(job, state=JobState.SENDING, sent=(), **made)
            else:
                self.store.finish(job, **made)
        elif outcome.status == ALREADY_THERE:
            self.store.finish(job, **made)
        else:
            state = JobState.REJECTED if outcome.status == "rejected" else JobState.FAILED
            self.store.change(job, state=state, code=outcome.code, message=outcome.message)

    def _again(self, job: StudyJob, code: str) -> None:
        """Back into the queue for reasons that are not the study's."""
        pause = self.store.now() + pause_s(job.attempts + 1)
        self.store.change(job, state=JobState.QUEUED, attempts=job.attempts, next_try=pause, code=code)

    def _died(self, job: StudyJob, message: str) -> None:
        attempts = job.attempts + 1
        told = {"study": job.key, "code": "ANALYSIS_DIED", "attempt": attempts}
        if attempts >= self.runner.limits.attempts:
            _LOG.error("analysis died too often", extra=told)
            self.store.change(job, state=JobState.FAILED, code="ANALYSIS_DIED", message=message)
            return
        _LOG.warning("analysis died", extra=told)
        pause = self.store.now() + pause_s(attempts)
        self.store.change(
            job, state=JobState.QUEUED, attempts=attempts, next_try=pause, code="ANALYSIS_DIED", message=message
        )
