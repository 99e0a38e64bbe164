"""Finding the CT images of a DICOM folder: junk, other objects and derived images are set apart and counted."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from livercascade.data.errors import InputError
from livercascade.data.notice import Notice

_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Words of ImageType that stand for projections and maps, which are no slices in HU.
_PROJECTIONS = (
    "MIP",
    "MINIP",
    "VRT",
    "PROJECTION IMAGE",
    "VOLUME_RENDER",
    "IODINE",
    "VNC",
    "MONOENERGETIC",
    "SCREENSHOT",
)
# Only these are parsed: a study of a thousand slices is surveyed in seconds.
_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "Modality",
    "ImageType",
    "SeriesDescription",
    "ProtocolName",
    "SeriesNumber",
    "AcquisitionNumber",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "SeriesTime",
    "InstanceNumber",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelRepresentation",
    "PixelPaddingValue",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
]


@dataclass(frozen=True, slots=True, eq=False)
class DicomImage:
    """Header of one DICOM file.

    Attributes:
        path: File it was read from.
        header: Data set without pixels.
    """

    path: Path
    header: FileDataset = field(repr=False)

    def text(self, keyword: str) -> str:
        """Value of a tag as text, empty where absent; several values are joined by a backslash."""
        value: Any = self.header.get(keyword)
        if value is None:
            return ""
        parts = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
        return "\\".join(str(part).strip() for part in parts)

    @property
    def sop_class(self) -> str:
        """SOP class, from the file meta header where a de-identifier emptied the data set."""
        return self.text("SOPClassUID") or str(self.header.file_meta.get("MediaStorageSOPClassUID", ""))

    @property
    def sop_uid(self) -> str:
        """SOP instance, from the file meta header where a de-identifier emptied the data set."""
        return self.text("SOPInstanceUID") or str(self.header.file_meta.get("MediaStorageSOPInstanceUID", ""))

    @property
    def image_type(self) -> tuple[str, ...]:
        """ImageType in capitals."""
        return tuple(self.text("ImageType").upper().split("\\"))


def find_images(folder: Path) -> tuple[tuple[DicomImage, ...], tuple[Notice, ...]]:
    """CT images below a folder that may belong to a volume, in the order of their paths, and what was left out.

    Raises:
        InputError: ``EMPTY_FOLDER``, ``NOTHING_READABLE``, ``WRONG_MODALITY`` or ``MIXED_PATIENTS``.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise InputError("EMPTY_FOLDER", f"{folder}: the folder is empty.", "Give the folder that holds the study.")
    found = [read_header(path) for path in files]
    images = [image for image in found if image is not None]
    if not images:
        message = f"{folder}: none of {len(files)} files is DICOM or NIfTI."
        raise InputError("NOTHING_READABLE", message, "Give a DICOM study or files named nc, ap, vp, dp.nii.gz.")
    notices = _counted("FILES_SKIPPED", len(files) - len(images), "files that are not DICOM images were skipped")
    ct, more = _only_ct(images, folder)
    kept, dropped = _without_derived(ct)
    if not kept:
        message = f"{folder}: there are localizers, projections or screenshots only."
        raise InputError("NOTHING_READABLE", message, "Give the folder with the axial series.")
    check_one_study(kept, folder)
    return tuple(kept), (*notices, *more, *dropped)


def read_header(path: Path) -> DicomImage | None:
    """Header of a DICOM image, or None for anything else; the file may lack the preamble."""
    with path.open("rb") as stream:
        start = stream.read(132)
    bare = start[:2] == b"\x08\x00"
    if start[128:] != b"DICM" and not bare:
        return None
    header = read_dataset(path, pixels=False, force=bare)
    if header is None:
        return None
    image = DicomImage(path, header)
    return image if image.sop_class and image.sop_uid else None


def read_dataset(path: Path, *, pixels: bool, force: bool = False) -> FileDataset | None:
    """Data set of a DICOM file, or None if it cannot be parsed."""
    with warnings.catch_warnings():
        # Odd values are judged by our own checks, with a code.
        warnings.simplefilter("ignore")
        try:
            tags: Any = None if pixels else _TAGS
            return pydicom.dcmread(path, stop_before_pixels=not pixels, specific_tags=tags, force=force)
        except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, NotImplementedError, AttributeError):
            return None


def check_one_study(images: Sequence[DicomImage], folder: Path) -> None:
    """Refuse images of several patients or studies.

    Raises:
        InputError: ``MIXED_PATIENTS``.
    """
    for keyword, what in (("PatientID", "patients"), ("StudyInstanceUID", "studies")):
        count = len({image.text(keyword) for image in images})
        if count > 1:
            message = f"{folder}: images of {count} {what} lie in one folder."
            raise InputError("MIXED_PATIENTS", message, "Put each study in a folder of its own.")


def _only_ct(images: Sequence[DicomImage], folder: Path) -> tuple[list[DicomImage], list[Notice]]:
    ct = [image for image in images if image.sop_class == _CT_IMAGE and image.text("Modality") in ("CT", "")]
    others = Counter(image.text("Modality") or "unknown" for image in images if image not in ct)
    if not ct and any(image.sop_class in _ENHANCED_CT for image in images):
        message = f"{folder}: the study is stored as enhanced multi-frame CT."
        raise InputError("UNSUPPORTED_SYNTAX", message, "Export it as classic CT images, one file per slice.")
    if not ct:
        names = ", ".join(sorted(others))
        raise InputError("WRONG_MODALITY", f"{folder}: modality {names}, not CT.", "Give a CT study.")
    captures = sum(image.sop_class.startswith(_SECONDARY_CAPTURE) for image in images)
    text = ", ".join(f"{count} {name}" for name, count in sorted(others.items()))
    notices = _counted("OBJECTS_SKIPPED", others.total(), f"objects that are not CT slices were left out ({text})")
    return ct, [*notices, *_counted("DERIVED_SKIPPED", captures, "secondary captures were left out")]


def _without_derived(images: Sequence[DicomImage]) -> tuple[list[DicomImage], list[Notice]]:
    """Drop localizers and projections; derived images too, as long as original ones remain."""
    sliced = [image for image in images if "LOCALIZER" not in image.image_type]
    notices = _counted("LOCALIZER_DROPPED", len(images) - len(sliced), "localizer images were left out")
    plain = [image for image in sliced if not _is_projection(image)]
    original = [image for image in plain if image.image_type[0] != "DERIVED"]
    kept = original or plain
    if kept and not original:
        notices += [
            Notice("DERIVED_USED", "all images are marked as derived; they were used since nothing else is there")
        ]
    return kept, notices + _counted("DERIVED_SKIPPED", len(sliced) - len(kept), "derived images were left out")


def _is_projection(image: DicomImage) -> bool:
    colour = int(image.header.get("SamplesPerPixel") or 1) != 1
    return colour or any(word == part for part in image.image_type for word in _PROJECTIONS)


def _counted(code: str, count: int, text: str) -> list[Notice]:
    return [Notice(code, f"{count} {text}")] if count else []
