"""Runs the process that analyses a study, within limits of time and memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from livercascade.data.errors import CascadeError, ModelError
from livercascade.pacs.analysis_process import AnalysisOutcome, AnalysisRequest
from livercascade.pacs.pacs_settings import AnalysisLimits
from livercascade.system.files import output_errors

PROGRAM = (sys.executable, "-m", "livercascade.pacs.analysis_process")
"""Command of the process."""
_LOOK_S = 0.2


class AnalysisDiedError(CascadeError):
    """The process ended without an outcome: it was killed, or crashed."""


class AnalysisStoppedError(CascadeError):
    """The process was ended since the service stops."""


@dataclass(frozen=True)
class AnalysisRunner:
    """Starts the process, watches it, and ends it when it uses too much or the service stops.

    Attributes:
        limits: Models, settings and limits.
        stop: Set when the service stops.
        program: Command of the process; another one can stand for the cascade.
    """

    limits: AnalysisLimits
    stop: threading.Event
    program: Sequence[str] = PROGRAM

    def made_by(self, folder: Path) -> str:
        """Hash of models, settings and version: what a result depends on beside the images.

        Args:
            folder: Folder for what the process writes.

        Raises:
            ModelError: ``PACS_MODELS``: models or settings cannot be used.
            AnalysisStoppedError: The service stops.
        """
        outcome = self.run(AnalysisRequest(outcome=folder / "made_by.json", limits=self.limits), folder / "made_by.log")
        if not outcome.made_by:
            message = f"The models or settings cannot be used: {outcome.code}: {outcome.message}"
            raise ModelError("PACS_MODELS", message, "Correct [analysis] in the settings of the service.")
        return outcome.made_by

    def run(self, request: AnalysisRequest, log: Path) -> AnalysisOutcome:
        """Outcome of a request; a limit that is passed is an outcome too.

        Args:
            request: What is asked.
            log: File for what the process prints.

        Raises:
            AnalysisDiedError: ``ANALYSIS_DIED``.
            AnalysisStoppedError: ``STOPPED``: the service stops.
            OutputError: The folders cannot be written.
        """
        with output_errors(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            request.outcome.unlink(missing_ok=True)
            with log.open("wb") as printed:
                # A session of its own: Ctrl-C is for the service, which then ends the process and all it started.
                process = subprocess.Popen(
                    self.program, stdin=subprocess.PIPE, stdout=printed, stderr=printed, start_new_session=True
                )
        try:
            over = self._watch(process, request)
        finally:
            _kill(process)
        if over is not None:
            return over
        try:
            return AnalysisOutcome.model_validate_json(request.outcome.read_bytes())
        except (OSError, ValidationError) as error:
            message = f"The process of the analysis ended with status {process.returncode} and left no outcome."
            raise AnalysisDiedError("ANALYSIS_DIED", message, "See its log in the spool.", stage="segment") from error

    def _watch(self, process: subprocess.Popen[bytes], request: AnalysisRequest) -> AnalysisOutcome | None:
        """Wait for its end; the outcome if a limit is passed."""
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(request.model_dump_json().encode() + b"\n")
            process.stdin.flush()
        end = time.monotonic() + self.limits.minutes * 60
        while process.poll() is None:
            if self.stop.wait(0):
                raise AnalysisStoppedError("STOPPED", "The service stops.", "Start it again.")
            if time.monotonic() > end:
                return _failed("TIME_LIMIT", f"The analysis took longer than {self.limits.minutes:g} minutes.")
            if _resident_gb(process.pid) > self.limits.memory_gb:
                return _failed("MEMORY_LIMIT", f"The analysis needs more than {self.limits.memory_gb:g} GB.")
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
        return None


def _failed(code: str, message: str) -> AnalysisOutcome:
    return AnalysisOutcome(status="failed", code=code, message=message)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it started; harmless once it has ended."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()
    process.wait()


def _resident_gb(pid: int) -> float:
    """Resident memory of a process; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9
