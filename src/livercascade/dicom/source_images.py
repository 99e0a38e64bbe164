"""What DICOM results take over from the images they were made from: patient, study, place in space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from livercascade.dicom.result_uids import ResultUids
from livercascade.io.dicom_geometry import SlicePlacement
from livercascade.io.dicom_header import PATIENT_AND_STUDY, DicomImage

UTF_8 = "ISO_IR 192"
_UNICODE = ("LO", "LT", "PN", "SH", "ST", "UT")
_SEXES = ("M", "F", "O")
# What every object must have, empty if unknown; the others are there or not.
_ALWAYS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


@dataclass(frozen=True, slots=True, eq=False)
class SourceSeries:
    """The slices a result refers to, in order, with headers that highdicom can copy from.

    Attributes:
        placement: Slices in order, and their place.
        headers: One data set per slice: patient and study as in the source but in Unicode, values that DICOM does not
            allow left empty; geometry as it was read.
    """

    placement: SlicePlacement
    headers: tuple[Dataset, ...]

    @classmethod
    def of(cls, placement: SlicePlacement) -> SourceSeries:
        """Series of slices in order."""
        first = placement.images[0]
        common = _patient_and_study(first)
        common.SeriesInstanceUID = first.text("SeriesInstanceUID")
        # A de-identifier may have emptied it, or given each slice its own: the slices of one volume share a frame.
        frame = first.text("FrameOfReferenceUID")
        common.FrameOfReferenceUID = frame if UID(frame).is_valid else ResultUids(first.sop_uid).uid("frame")
        common.PositionReferenceIndicator = None
        common.Rows, common.Columns = placement.rows, placement.columns
        affine = placement.affine_lps
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        common.PixelSpacing = decimals([lengths[1], lengths[0]])
        common.SliceThickness = common.SpacingBetweenSlices = decimals(lengths[2:])[0]
        common.ImageOrientationPatient = decimals((affine[:3, :2] / lengths[:2]).T.ravel())
        headers = [_slice_header(common, image, affine, k) for k, image in enumerate(placement.images)]
        return cls(placement, tuple(headers))

    @property
    def instances(self) -> tuple[Dataset, ...]:
        """Header of each object; one of an enhanced image has the place of every frame."""
        frames: dict[str, dict[int, Dataset]] = {}
        for image, header in zip(self.placement.images, self.headers, strict=True):
            frames.setdefault(str(header.SOPInstanceUID), {})[-1 if image.frame is None else image.frame] = header
        return tuple(group[-1] if -1 in group else _enhanced(group) for group in frames.values())

    def frames(self, header: Dataset) -> list[int] | None:
        """Number of the frame that a header is of, as references state it; None for an object of one slice."""
        index = next(k for k, one in enumerate(self.headers) if one is header)
        frame = self.placement.images[index].frame
        return None if frame is None else [frame + 1]

    @property
    def first(self) -> Dataset:
        """Header of the first slice."""
        return self.headers[0]

    def pixel(self, position: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Column, row and slice, from 0 and fractional, of LPS positions in mm."""
        inverse = np.linalg.inv(self.placement.affine_lps)
        return np.asarray(position, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def nearest(self, position: Float[np.ndarray, " 3"]) -> Dataset:
        """Header of the slice nearest to an LPS position."""
        index = round(float(self.pixel(position)[2]))
        return self.headers[min(max(index, 0), len(self.headers) - 1)]


def decimals(values: Sequence[float] | Float[np.ndarray, " n"]) -> list[str]:
    """Decimal strings of at most 16 characters, as exact as these allow.

    >>> decimals([0.1 + 0.2, -1234567.123456789])
    ['0.3', '-1234567.1234568']
    """
    # Adding zero turns -0 into 0.
    return [next(t for d in range(15, 0, -1) if len(t := f"{float(v) + 0.0:.{d}g}") <= 16) for v in values]


def _slice_header(common: Dataset, image: DicomImage, affine: np.ndarray, index: int) -> Dataset:
    header = Dataset()
    header.update(common)
    header.SOPClassUID, header.SOPInstanceUID = image.sop_class, image.sop_uid
    # As written in the source where it is: viewers match planes by position, some to the last digit.
    position = image.text("ImagePositionPatient").split("\\")
    written = len(position) == 3 and all(len(number) <= 16 for number in position)
    header.ImagePositionPatient = position if written else decimals(affine[:3, 3] + index * affine[:3, 2])
    return header


def _enhanced(frames: Mapping[int, Dataset]) -> Dataset:
    """Header of an enhanced image from those of its frames."""
    first = next(iter(frames.values()))
    out = Dataset()
    out.update(first)
    shared = Dataset()
    shared.PixelMeasuresSequence = [_part(first, "PixelSpacing", "SliceThickness", "SpacingBetweenSlices")]
    shared.PlaneOrientationSequence = [_part(first, "ImageOrientationPatient")]
    out.SharedFunctionalGroupsSequence = [shared]
    out.NumberOfFrames = max(frames) + 1
    groups: list[Dataset] = []
    for number in range(max(frames) + 1):
        group, nowhere = Dataset(), Dataset()
        # Frames that are not of this series must be near to none of its slices.
        nowhere.ImagePositionPatient = [0, 0, 1_000_000 + number]
        known = number in frames
        group.PlanePositionSequence = [_part(frames[number], "ImagePositionPatient") if known else nowhere]
        groups.append(group)
    out.PerFrameFunctionalGroupsSequence = groups
    return out


def _part(header: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, header[keyword].value)
    return item


def _patient_and_study(image: DicomImage) -> Dataset:
    out = Dataset()
    out.SpecificCharacterSet = UTF_8
    for keyword in PATIENT_AND_STUDY:
        value = _allowed(keyword, image.text(keyword))
        if value or keyword in _ALWAYS:
            setattr(out, keyword, value)
    if out.PatientSex not in _SEXES:
        out.PatientSex = None
    if "StudyInstanceUID" not in out:
        out.StudyInstanceUID = ResultUids(image.text("SeriesInstanceUID") or image.sop_uid).uid("study")
    out.Modality = "CT"
    return out


def _allowed(keyword: str, text: str) -> str | None:
    """A value, or None where it is absent or where DICOM does not allow it."""
    vr = dictionary_VR(keyword)
    try:
        validate_value(vr, text, RAISE)
    except ValueError:
        # Texts that are too long are kept: an identifier that was cut would be another's.
        return text if vr in _UNICODE and "\\" not in text else None
    return text or None
