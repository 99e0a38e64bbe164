"""The service: studies come in, are analysed one after the other, and results go out, until it is stopped."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from livercascade.data.errors import CascadeError
from livercascade.pacs.analysis_run import AnalysisStoppedError
from livercascade.pacs.job_store import JobStore
from livercascade.pacs.outbox import Outbox
from livercascade.pacs.study_job import JobState, pause_s
from livercascade.pacs.study_worker import StudyWorker
from livercascade.system.files import TRY_AGAIN

_LOG = logging.getLogger(__name__)
_IDLE_S = 1.0
_SWEEP_S = 3600.0


@runtime_checkable
class Intake(Protocol):
    """Where studies come from."""

    def step(self) -> bool:
        """Look once, and bring what is complete into the queue; True if there was anything.

        Raises:
            CascadeError: It cannot look now.
        """
        ...


@dataclass
class Service:
    """Intake, worker and outbox over one spool.

    Attributes:
        store: The spool.
        intake: Source of studies.
        worker: Analyses them.
        outbox: Sends results; None where they stay.
        every_seconds: Time between two looks of the intake.
        keep_days: Time after which images and results of studies that have ended are removed; None keeps them.
        stop: Set to end the service.
    """

    store: JobStore
    intake: Intake
    worker: StudyWorker
    outbox: Outbox | None
    every_seconds: float
    keep_days: float | None
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Work until `stop` is set; whatever goes wrong is told in the log and tried again."""
        self.worker.recover()
        steps = [("intake", self.intake.step, self.every_seconds), ("worker", self.worker.step, _IDLE_S)]
        if self.outbox is not None:
            steps.append(("outbox", self.outbox.step, _IDLE_S))
        if self.keep_days is not None:
            steps.append(("sweep", self._sweep, _SWEEP_S))
        threads = [threading.Thread(target=self._repeat, args=step, name=step[0]) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def run_once(self) -> int:
        """Work until every study that is there now has ended.

        Returns:
            Exit code: 0; 1 if a study was rejected or failed on the way; 75 if something has to be tried again later,
            or the service was stopped.

        Raises:
            CascadeError: Nothing can be looked at, or there is no room.
        """
        self.worker.recover()
        before = {job.key for job in self.store.all(JobState.REJECTED, JobState.FAILED)}
        try:
            while not self.stop.is_set():
                self.intake.step()
                while self.worker.step() or (self.outbox is not None and self.outbox.step()):
                    pass
                left = [job for job in self.store.all() if not job.state.ended]
                if all(job.next_try > self.store.now() for job in left):
                    if self.keep_days is not None:
                        self.store.sweep(self.keep_days)
                    bad = {job.key for job in self.store.all(JobState.REJECTED, JobState.FAILED)} - before
                    return TRY_AGAIN if left else int(bool(bad))
                self.stop.wait(min(_IDLE_S, self.every_seconds))
        except AnalysisStoppedError:
            pass
        return TRY_AGAIN

    def _sweep(self) -> bool:
        self.store.sweep(self.keep_days or 0.0)
        return False

    def _repeat(self, name: str, step: Callable[[], bool], pause: float) -> None:
        """Do a step again and again; after an error with longer and longer pauses."""
        errors = 0
        while not self.stop.is_set():
            try:
                busy, errors = step(), 0
            except AnalysisStoppedError:
                return
            except CascadeError as error:
                busy, errors = False, errors + 1
                _LOG.error("%s has to wait", name, extra={"code": error.code, "attempt": errors})
                _LOG.debug("%s", error)
            except Exception as error:  # a fault of ours in one step must not end the service
                busy, errors = False, errors + 1
                _LOG.error("%s went wrong", name, extra={"code": type(error).__name__, "attempt": errors})
                _LOG.debug("%s", name, exc_info=True)
            if not busy:
                self.stop.wait(max(pause, pause_s(errors)) if errors else pause)


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Generator[None, None, None]:
    """Set the event on SIGTERM and SIGINT within the block; only in the main thread."""

    def end(number: int, _: object) -> None:
        _LOG.info("stopping", extra={"signal": signal.Signals(number).name})
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
