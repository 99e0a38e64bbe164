"""The analysis of one study in a process of its own: what is asked, what comes of it, and the process itself.

``python -m livercascade.pacs.analysis_process`` reads one `AnalysisRequest` as a line of JSON from standard input and
writes an `AnalysisOutcome`. It ends at once when standard input is closed: whoever asked is gone then.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from livercascade import __version__
from livercascade.data.errors import CascadeError
from livercascade.data.record import Record
from livercascade.pacs.pacs_settings import AnalysisLimits
from livercascade.system.files import TRY_AGAIN, sha256_text, write_file

if TYPE_CHECKING:
    from livercascade.cascade.cascade import Cascade
    from livercascade.io.study_sources import StudyLocation

ALREADY_THERE = "already_there"
"""Status of a study whose results the archive holds already."""
_WORSE = ("already_there", "ok", "ok_with_warnings", "rejected", "failed")
"""Statuses, the better ones first."""


class AnalysisRequest(Record):
    """What is asked of the process.

    Attributes:
        outcome: File to write the outcome to.
        limits: Models, settings and limits.
        source: Study; None asks only for the hash of models and settings.
        out: Case folder to write.
        known: Instances that the archive holds for the study beside its images.
    """

    outcome: Path
    limits: AnalysisLimits
    source: Path | None = None
    out: Path = Path()
    known: tuple[str, ...] = ()


class AnalysisOutcome(Record):
    """What came of it.

    Attributes:
        status: ``ok``, ``ok_with_warnings``, ``already_there``, ``rejected`` or ``failed``.
        made_by: Hash of models, settings and version.
        code: Stable code of what went wrong.
        message: What went wrong, in words.
        again: True if it may succeed later without any change, for example when there is room on the disk again.
    """

    status: str
    made_by: str = ""
    code: str = ""
    message: str = ""
    again: bool = False

    @property
    def has_result(self) -> bool:
        """True if there is a case folder."""
        return self.status in ("ok", "ok_with_warnings")


def main() -> None:
    """Do what is asked on standard input."""
    request = AnalysisRequest.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit(request.limits)
    write_file(request.outcome, run_request(request).model_dump_json())


def run_request(request: AnalysisRequest) -> AnalysisOutcome:
    """Outcome of a request; nothing is raised."""
    return _guarded(request, lambda: _analysed(request))


def _guarded(request: AnalysisRequest, work: Callable[[], AnalysisOutcome]) -> AnalysisOutcome:
    """Outcome of the work, or of what it raises."""
    try:
        return work()
    except CascadeError as error:
        message = f"{error.message} {error.remedy}"
        again = error.exit_code == TRY_AGAIN
        return AnalysisOutcome(status=error.status, code=error.code, message=message, again=again)
    except MemoryError:
        limit = request.limits.memory_gb
        message = f"The analysis needs more than {limit:g} GB."
        return AnalysisOutcome(status="failed", code="MEMORY_LIMIT", message=message)
    except Exception as error:  # whatever it is, it must not take the service with it
        sys.excepthook(type(error), error, error.__traceback__)
        return AnalysisOutcome(status="failed", code="UNEXPECTED", message=f"{type(error).__name__}: {error}"[:2000])


def _analysed(request: AnalysisRequest) -> AnalysisOutcome:
    # Only here: whoever starts the process needs the records above, not torch.
    from livercascade.cascade.cascade import Cascade
    from livercascade.cascade.predict import predict
    from livercascade.io.study_sources import studies_in

    limits = request.limits
    cascade = Cascade.load(
        limits.settings, whole=limits.whole, patch=limits.patch, types=limits.types, device=limits.device
    )
    made_by = _made_by(cascade)
    if request.source is None:
        return AnalysisOutcome(status="ok", made_by=made_by)
    studies = studies_in(request.source)
    if len(studies) == 1:
        if request.known and _is_there(studies[0], request.known, cascade):
            return AnalysisOutcome(status=ALREADY_THERE, made_by=made_by)
        result = predict(studies[0], request.out, cascade)
        return AnalysisOutcome(status=result.status.value, made_by=made_by)
    outcomes = [_guarded(request, partial(_one_of_several, study, request, cascade, made_by)) for study in studies]
    return max(outcomes, key=lambda outcome: _WORSE.index(outcome.status))


def _one_of_several(study: StudyLocation, request: AnalysisRequest, cascade: Cascade, made_by: str) -> AnalysisOutcome:
    """A folder can hold several studies: each has its own result, and is refused alone."""
    from livercascade.cascade.predict import predict

    result = predict(study, request.out / study.case_id, cascade)
    return AnalysisOutcome(status=result.status.value, made_by=made_by)


def _is_there(study: StudyLocation, known: Sequence[str], cascade: Cascade) -> bool:
    """True if the archive holds the segmentation and the report that this analysis would make."""
    from livercascade.cascade.prediction import result_uids
    from livercascade.dicom.dicom_stage import DicomObject
    from livercascade.io.study_reader import read_study

    calibration = None if cascade.calibration is None else cascade.calibration.sha256
    uids = result_uids(read_study(study), cascade.models, calibration, cascade.settings)
    stage = cascade.settings.output.dicom
    listed = {kind for kind in (DicomObject.SEG, DicomObject.SR) if kind in stage.objects}
    return bool(listed) and {uids.uid(stage.kind(kind)) for kind in listed} <= set(known)


def _made_by(cascade: Cascade) -> str:
    models = [model.sha256 for model in cascade.models]
    calibration = "" if cascade.calibration is None else cascade.calibration.sha256
    return sha256_text("\n".join([*models, calibration, cascade.settings.sha256, __version__]))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _limit(limits: AnalysisLimits) -> None:
    """No core files, which would hold images; memory beyond the limit is refused before it is touched.

    A GPU's driver reserves addresses without end, so that there only the resident memory is watched from outside.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and limits.device == "cpu":
        most = int(limits.memory_gb * 1e9 * 1.5)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


if __name__ == "__main__":
    main()
