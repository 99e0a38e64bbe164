"""Versions of a mask: a NIfTI file and a JSON record each, never changed once they are there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from isal import igzip
from jaxtyping import UInt8
from pydantic import Field

from livercascade.data.record import Record
from livercascade.labeler.imaging.frame import Frame, label_file_bytes
from livercascade.labeler.label_error import LabelError, not_found
from livercascade.labeler.project.identifiers import version_number
from livercascade.labeler.project.journal import now, read_json, write_json
from livercascade.system.files import write_file

What = Literal["edit", "review", "import", "restore", "upload"]
# Saving waits for it: a mask of 400 slices takes a fraction of a second.
_COMPRESSION = 2


class VersionRecord(Record):
    """``v0001.json``."""

    class DraftMark(Record):
        """Which draft a version was saved from, and how far it had come."""

        id: str
        n: int
        position: int

    ref: Annotated[str, Field(pattern=r"^v[1-9][0-9]*$")]
    parent: str
    user: str
    time: str
    what: What
    note: str = ""
    beside: bool = False
    steps: tuple[str, ...] = ()
    voxels_changed: int
    mask_sha256: str
    verdicts: Mapping[str, int] = Field(default_factory=dict)
    decisions: tuple[Mapping[str, Any], ...] = ()
    draft: DraftMark | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What goes with a mask that is saved."""

    parent: str
    user: str
    what: What
    note: str = ""
    beside: bool = False
    steps: tuple[str, ...] = ()
    verdicts: Mapping[str, int] | None = None
    decisions: tuple[Mapping[str, Any], ...] = ()
    draft: VersionRecord.DraftMark | None = None
    source: str = ""


@dataclass(eq=False)
class Versions:
    """All versions of one case; the caller sees to it that one thread writes at a time.

    Attributes:
        folder: Folder of their files.
        frame: The file whose grid and axis order they keep; None for a case without a usable image.
        keep_type: True keeps the integer type of that file too, as for a label map.
    """

    folder: Path
    frame: Frame | None
    keep_type: bool = False
    _records: list[VersionRecord] | None = None

    def all(self) -> list[VersionRecord]:
        """Records, oldest first. A mask without its record was never confirmed and does not count."""
        if self._records is None:
            paths = sorted(self.folder.glob("v[0-9]*.json")) if self.folder.is_dir() else []
            self._records = sorted((_record(path) for path in paths), key=lambda r: version_number(r.ref) or 0)
        return list(self._records)

    def head(self) -> str | None:
        """The last version that was not saved beside, None if there is none."""
        return next((record.ref for record in reversed(self.all()) if not record.beside), None)

    def record(self, ref: str) -> VersionRecord:
        """Record of a version.

        Raises:
            LabelError: ``NOT_FOUND``.
        """
        for record in self.all():
            if record.ref == ref:
                return record
        raise not_found("version")

    def mask_file(self, ref: str) -> Path:
        """Its NIfTI file."""
        return self.folder / f"{_stem(ref)}.nii.gz"

    def add(
        self, mask: UInt8[np.ndarray, "z y x"], before: UInt8[np.ndarray, "z y x"], new: NewVersion
    ) -> VersionRecord:
        """Save a mask as the next version; the JSON record, written last, makes it one.

        Args:
            mask: Labels in display order.
            before: The parent's.
            new: Parent, user and the rest.

        Raises:
            OutputError: ``NO_SPACE`` or ``CANNOT_WRITE``; then there is no new version.
        """
        records = self.all()
        ref = f"v{max((version_number(record.ref) or 0 for record in records), default=0) + 1}"
        # The mask first: a kill in between leaves a file without a record, which does not count and is written over.
        write_file(self.mask_file(ref), self.file_bytes(mask))
        record = VersionRecord(
            ref=ref,
            parent=new.parent,
            user=new.user,
            time=now(),
            what=new.what,
            note=new.note,
            beside=new.beside,
            steps=new.steps,
            voxels_changed=int(np.count_nonzero(mask != before)),
            mask_sha256=mask_sha256(mask),
            verdicts=new.verdicts or {},
            decisions=new.decisions,
            draft=new.draft,
            source=new.source,
        )
        write_json(self.folder / f"{_stem(ref)}.json", record.model_dump(mode="json"))
        self._records = [*records, record]
        return record

    def file_bytes(self, mask: UInt8[np.ndarray, "z y x"]) -> bytes:
        """A mask as ``.nii.gz`` on the file's own grid.

        Raises:
            LabelError: ``NO_IMAGE``.
        """
        if self.frame is None:
            raise no_image()
        return igzip.compress(label_file_bytes(mask, self.frame, keep_type=self.keep_type), _COMPRESSION, mtime=0)


def no_image() -> LabelError:
    """Error for a case none of whose phases can be used."""
    return LabelError("NO_IMAGE", "No phase of this case can be used.", "Repair one of the files; see the panes.")


def mask_sha256(mask: UInt8[np.ndarray, "z y x"]) -> str:
    """SHA-256 of the labels in display order."""
    return hashlib.sha256(np.ascontiguousarray(mask).data).hexdigest()


def _stem(ref: str) -> str:
    number = version_number(ref)
    if number is None:
        raise not_found("version")
    return f"v{number:04d}"


def _record(path: Path) -> VersionRecord:
    try:
        return VersionRecord.model_validate(read_json(path))
    except ValueError as error:
        message = f"{path.name} in the project does not read as a version."
        raise LabelError("BAD_PROJECT_FILE", message, "Restore it from a backup.", http=500) from error
