"""Settings of the results as DICOM."""

from __future__ import annotations

from enum import Enum

from livercascade.data.record import Record
from livercascade.dicom.codes import DicomCodes


class DicomObject(Enum):
    """A kind of DICOM result."""

    SEG = "seg"
    SR = "sr"
    PDF = "pdf"
    CAPTURE = "capture"


class SegType(Enum):
    """How a DICOM Segmentation stores its segments."""

    BINARY = "binary"
    """A plane of bits for each segment; every viewer reads it."""
    LABELMAP = "labelmap"
    """One map of numbers; much smaller, known to few viewers yet."""


class DicomStage(Record):
    """Results as DICOM, written where the study is DICOM.

    Attributes:
        objects: Kinds that are written: Segmentation, measurement report (SR), report as PDF, key images as secondary
            captures; none writes no DICOM. A report needs the segmentation it refers to.
        seg_type: Storage of the segments in the segmentation.
        codes: Other codes, in tables like those of ``codes.toml``; ``--codes FILE`` reads them from a file.
    """

    objects: tuple[DicomObject, ...] = tuple(DicomObject)
    seg_type: SegType = SegType.BINARY
    codes: DicomCodes | None = None

    def kind(self, made: DicomObject) -> str:
        """Words that the identifiers of an object follow from, see `livercascade.dicom.result_uids`.

        >>> DicomStage().kind(DicomObject.SR), DicomStage().kind(DicomObject.PDF)
        ('sr binary', 'pdf')
        """
        refers_to_segments = made in (DicomObject.SEG, DicomObject.SR)
        return f"{made.value} {self.seg_type.value}" if refers_to_segments else made.value
