"""A labelling project: a folder of plain files beside the cases, which it never writes to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from livercascade.data.record import Record
from livercascade.labeler.contract.response_schemas import WorkList
from livercascade.labeler.label_error import LabelError, not_found
from livercascade.labeler.project.identifiers import CASE_ID, inside
from livercascade.labeler.project.journal import now, read_json, write_json

PROJECT_FILE = "project.json"
FOLDER = "labelling"
"""Name of the project folder inside a folder of cases."""
_FORMAT = 1
_PHASE_FILE = re.compile(r"(nc|ap|vp|dp)\.nii(\.gz)?", re.IGNORECASE)
_DICOM_FOLDER = "dicom"


class ProjectRecord(Record):
    """``project.json``."""

    format: int = _FORMAT
    created: str
    cases: str


@dataclass(frozen=True, eq=False)
class Project:
    """An open project.

    Attributes:
        folder: The project's own files.
        cases_root: Folder of cases, only read.
        only: The case, if the user opened a single one.
        predictions: Folder of case folders or ``<case>.nii.gz`` with masks to compare with.
        lock: Held while a server has the project.
    """

    folder: Path
    cases_root: Path
    only: str | None = None
    predictions: Path | None = None
    lock: FileLock | None = field(default=None, repr=False)

    @classmethod
    def open(cls, place: Path, *, project: Path | None = None, predictions: Path | None = None) -> Project:
        """Open a project folder, or a folder of cases, or one case; the project is made on first use.

        Args:
            place: Project folder, folder of ``<case>/{nc,ap,vp,dp}.nii.gz``, or such a case.
            project: Folder of the project; ``labelling`` inside the folder of cases if absent.
            predictions: See `Project`.

        Raises:
            LabelError: ``FILE_MISSING``, ``NO_CASES``, ``BAD_PROJECT_FILE``, ``CANNOT_WRITE`` or ``PROJECT_BUSY``.
        """
        if not place.is_dir():
            raise LabelError("FILE_MISSING", f"{place}: there is no such folder.", "Check the path.")
        if predictions is not None and not predictions.is_dir():
            raise LabelError("FILE_MISSING", f"{predictions}: there is no such folder.", "Check --predictions.")
        root, only, folder = _places(place.resolve(), project)
        if not (folder / PROJECT_FILE).exists() and not any(_candidates(root, only)):
            message = f"{place}: no folder in it holds nc, ap, vp or dp.nii.gz, or a DICOM study in '{_DICOM_FOLDER}'."
            raise LabelError("NO_CASES", message, "Give the folder that holds one folder per case.")
        if not (folder / PROJECT_FILE).exists():
            record = ProjectRecord(created=now(), cases=_relative(root, folder))
            write_json(folder / PROJECT_FILE, record.model_dump())
        return cls(folder, root, only, predictions.resolve() if predictions else None, _locked(folder))

    def close(self) -> None:
        """Let another server have the project."""
        if self.lock is not None:
            self.lock.release()

    @property
    def title(self) -> str:
        """Name for people."""
        return self.only or self.cases_root.name

    @property
    def cache(self) -> Path:
        """Decoded volumes; may be deleted while no server runs."""
        return self.folder / "cache"

    def case_ids(self) -> list[str]:
        """Cases in the order of the work list."""
        return sorted(path.name for path in _candidates(self.cases_root, self.only) if self._allowed(path))

    def skipped(self) -> list[WorkList.SkippedFolder]:
        """Folders that look like cases but cannot be opened, and why."""
        found: list[WorkList.SkippedFolder] = []
        for path in _candidates(self.cases_root, self.only):
            if not CASE_ID.fullmatch(path.name):
                message = "the folder's name has other characters than letters, digits and ._-, or is 'next'"
                found.append(WorkList.SkippedFolder(name=path.name, code="BAD_CASE_ID", message=message))
            elif not path.resolve().is_relative_to(self.cases_root):
                message = "the folder is a link to a place outside the folder of cases"
                found.append(WorkList.SkippedFolder(name=path.name, code="OUTSIDE", message=message))
        return sorted(found, key=lambda one: one.name)

    def case_source(self, case_id: str) -> Path:
        """Folder of a case's images.

        Raises:
            LabelError: ``NOT_FOUND``, also for names that lead outside.
        """
        if not CASE_ID.fullmatch(case_id) or (self.only is not None and case_id != self.only):
            raise not_found("case")
        folder = inside(self.cases_root, case_id)
        if not _is_case(folder) or folder == self.folder:
            raise not_found("case")
        return folder

    def case_folder(self, case_id: str) -> Path:
        """Folder of a case's versions, journals and notes; it need not exist."""
        return inside(self.folder, "cases", case_id)

    def prediction(self, case_id: str) -> Path | None:
        """Mask of a case in the folder of predictions, None if there is none."""
        if self.predictions is None:
            return None
        for parts in ((case_id, "segmentation.nii.gz"), (f"{case_id}.nii.gz",), (f"{case_id}.nii",)):
            path = inside(self.predictions, *parts)
            if path.is_file():
                return path
        return None

    def _allowed(self, path: Path) -> bool:
        return bool(CASE_ID.fullmatch(path.name)) and path.resolve().is_relative_to(self.cases_root)


def phase_file(folder: Path, phase: str) -> Path | None:
    """File of a phase in a case folder, None if there is none inside it."""
    for ending in (".nii.gz", ".nii"):
        for name in (phase.lower(), phase.upper()):
            path = folder / f"{name}{ending}"
            if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
                return path
    return None


def dicom_folder(folder: Path) -> Path | None:
    """Folder of the DICOM study of a case, None if there is none."""
    path = folder / _DICOM_FOLDER
    return path if path.is_dir() and path.resolve().is_relative_to(folder.resolve()) else None


def _is_case(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return dicom_folder(folder) is not None or any(_PHASE_FILE.fullmatch(path.name) for path in folder.iterdir())


def _candidates(root: Path, only: str | None) -> Iterable[Path]:
    if only is not None:
        return [root / only]
    return [path for path in root.iterdir() if not path.name.startswith(".") and _is_case(path)]


def _places(place: Path, project: Path | None) -> tuple[Path, str | None, Path]:
    """Folder of cases, the single case if one was opened, project folder."""
    if (place / PROJECT_FILE).is_file():
        record = _record(place / PROJECT_FILE)
        root = (place / record.cases).resolve()
        if not root.is_dir():
            message = f"the cases of this project were in {record.cases}, which is not there."
            raise LabelError("NO_CASES", message, f"Put them back, or correct 'cases' in {PROJECT_FILE}.")
        return root, None, place
    if _is_case(place):
        return place.parent, place.name, (project or place / FOLDER).resolve()
    return place, None, (project or place / FOLDER).resolve()


def _record(path: Path) -> ProjectRecord:
    data: Any = read_json(path)
    try:
        record = ProjectRecord.model_validate(data)
    except ValidationError as error:
        message = f"{PROJECT_FILE} does not read as a labelling project ({error.error_count()} faults)."
        raise LabelError("BAD_PROJECT_FILE", message, "Restore it from a backup.", http=500) from error
    if record.format != _FORMAT:
        message = f"the project has format {record.format}, this program reads {_FORMAT}."
        raise LabelError("BAD_PROJECT_FILE", message, "Use the program that made it.", http=500)
    return record


def _relative(root: Path, folder: Path) -> str:
    """Path of the cases as it is kept: relative where the project lies inside, so that both can be moved together."""
    # Kept relative, the folder of cases and its project can be moved or copied together.
    if folder.is_relative_to(root):
        return "/".join([".."] * len(folder.relative_to(root).parts)) or "."
    return str(root)


def _locked(folder: Path) -> FileLock:
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        message = f"{folder.name}: another server has this project open."
        raise LabelError("PROJECT_BUSY", message, "Use its page, or stop it first.") from error
    except OSError as error:
        message = f"{folder}: the project cannot be locked ({error.strerror})."
        raise LabelError("CANNOT_WRITE", message, "Give a folder you may write to with --project.") from error
    return lock
