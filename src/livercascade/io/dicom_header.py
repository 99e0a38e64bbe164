"""Headers of DICOM files as plain texts, whatever they hold: one for each slice, be it a file or a frame."""

from __future__ import annotations

import io
import mmap
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset

from livercascade.data.errors import InputError

MAX_INFLATED_BYTES = 1 << 29
"""Largest accepted size of a deflated data set; a small file can hold gigabytes."""
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_DEFLATED_META = b"\x02\x00\x10\x00UI\x16\x00" + _DEFLATED
_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
PATIENT_AND_STUDY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize"),
    *("PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName"),
)
"""Attributes that results in DICOM share with the images they were made from."""
# Only these are parsed: a study of a thousand slices is surveyed in seconds.
_KEYWORDS = (
    *PATIENT_AND_STUDY,
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"),
    *("FrameOfReferenceUID", "Modality", "ImageType", "SeriesDescription", "ProtocolName"),
    *("SeriesNumber", "AcquisitionNumber", "InstanceNumber", "SeriesDate"),
    *("AcquisitionDate", "ContentDate", "SeriesTime", "AcquisitionTime", "ContentTime"),
    *(
        "AcquisitionDateTime",
        "ContrastBolusAgent",
        "ContrastBolusStartTime",
        "ContrastBolusAgentPhase",
        "ImageComments",
    ),
    *("ConvolutionKernel", "FilterType", "KVP", "TemporalPositionIdentifier", "DiffusionBValue"),
    *("ImagesInAcquisition", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "LossyImageCompression"),
    *("LossyImageCompressionRatio",),
)
_TAGS: list[Any] = [*_KEYWORDS, _SHARED, _PER_FRAME]
# Functional groups of an enhanced image whose values stand for those of a classic one.
_GROUPS = (
    *("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence"),
    *("PixelValueTransformationSequence", "CTImageFrameTypeSequence", "FrameContentSequence"),
    *("CTReconstructionSequence", "CTXRayDetailsSequence", "ContrastBolusUsageSequence"),
    *("FrameVOILUTSequence",),
)
_CLASSIC = {
    "FrameType": "ImageType",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "FrameAcquisitionDateTime": "AcquisitionDateTime",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
}
_NUMBERS = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8"}


@dataclass(frozen=True, slots=True, eq=False)
class DicomImage:
    """Header of one slice: of a file, or of one frame of it.

    Attributes:
        path: File it was read from.
        values: Text of each tag by keyword; several values are joined by a backslash.
        syntax: Transfer syntax, empty where the file does not say it.
        pixels_at: Place of the element of the pixels in the file in bytes, -1 where that is not known.
        frame: Index of the frame, None for a file of one slice.
    """

    path: Path
    values: Mapping[str, str] = field(repr=False)
    syntax: str = ""
    pixels_at: int = -1
    frame: int | None = None

    def text(self, keyword: str) -> str:
        """Value of a tag as text, empty where absent; several values are joined by a backslash."""
        return self.values.get(keyword, "")

    def integer(self, keyword: str) -> int | None:
        """Value of a tag as whole number; None where it is absent or is none."""
        try:
            return int(self.text(keyword))
        except ValueError:
            return None

    @property
    def sop_class(self) -> str:
        """SOP class, from the file meta header where a de-identifier emptied the data set."""
        return self.text("SOPClassUID") or self.text("MediaStorageSOPClassUID")

    @property
    def sop_uid(self) -> str:
        """SOP instance, from the file meta header where a de-identifier emptied the data set."""
        return self.text("SOPInstanceUID") or self.text("MediaStorageSOPInstanceUID")

    @property
    def image_type(self) -> tuple[str, ...]:
        """ImageType in capitals."""
        return tuple(self.text("ImageType").upper().split("\\"))


def read_images(path: Path) -> tuple[DicomImage, ...]:
    """Headers of the slices in a file, none for anything but DICOM; the file may lack the preamble.

    Raises:
        InputError: ``MALFORMED_DICOM`` if the file says it is DICOM but cannot be parsed, ``TOO_LARGE`` if it inflates
            to more than `MAX_INFLATED_BYTES`.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(1024)
        if not _is_dicom(start):
            return ()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
            if _DEFLATED_META in start:
                _check_inflated(stream, start, path.name)
            # Odd values are judged by our own checks, with a code.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _parsed(path, stream)


def _parsed(path: Path, stream: mmap.mmap) -> tuple[DicomImage, ...]:
    try:
        # A map of the file reads no further than its end, whatever length an element claims.
        dataset = _dataset(stream, specific_tags=_TAGS, stop_before_pixels=True)
        _check_lengths(dataset)
        values = {**texts_of(dataset.file_meta), **texts_of(dataset)}
        syntax = values.get("TransferSyntaxUID", "")
        place = -1 if syntax.encode() == _DEFLATED else stream.tell()
        image = DicomImage(path, values, syntax, place)
        if not image.sop_class or not image.sop_uid:
            return ()
        if _PER_FRAME in dataset:
            return tuple(_frames(image, dataset))
    except (Exception, RecursionError) as error:
        # Damage shows itself as errors of many kinds; none may pass for a file that is no image.
        message = f"{path.name}: the file is damaged and cannot be parsed."
        remedy = "Fetch it again from the archive, or remove it from the folder."
        raise InputError("MALFORMED_DICOM", message, remedy) from error
    return (image,)


def read_dataset(data: io.BytesIO) -> FileDataset:
    """Data set of a DICOM file with all its elements; raises whatever pydicom raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _dataset(data)


def all_texts(path: Path) -> dict[str, str]:
    """Every element of a file outside sequences and pixels as text, private ones too, by keyword or tag."""
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return texts_of(_dataset(file, stop_before_pixels=True))


def texts_of(dataset: Dataset) -> dict[str, str]:
    """Text of each element of a data set outside sequences; never an error or a warning, whatever it holds."""
    charset = dataset.get_item("SpecificCharacterSet") if "SpecificCharacterSet" in dataset else None
    encodings = _encodings(charset)
    signed = "PixelRepresentation" in dataset and _text(dataset.get_item("PixelRepresentation"), encodings) == "1"
    found: dict[str, str] = {}
    for tag in list(dataset.keys()):
        item: Any = dataset.get_item(tag)
        if item is not None and item.VR != "SQ":
            found[keyword_for_tag(tag) or str(tag)] = _text(item, encodings, signed=signed)
    return found


def _dataset(stream: Any, **options: Any) -> FileDataset:
    return pydicom.dcmread(stream, force=True, **options)


def _check_lengths(dataset: FileDataset) -> None:
    """Refuse an element that claims more bytes than there are: it has swallowed those behind it."""
    for tag in list(dataset.keys()):
        item: Any = dataset.get_item(tag)
        if isinstance(item, RawDataElement) and isinstance(item.value, bytes) and item.length > len(item.value):
            raise ValueError(f"{tag} is cut off")


def _is_dicom(start: bytes) -> bool:
    # Without the preamble a file begins with the meta header or with group 8, in one byte order or the other.
    return start[128:132] == b"DICM" or start[:2] in (b"\x02\x00", b"\x08\x00") or start[:3] == b"\x00\x08\x00"


def _check_inflated(stream: mmap.mmap, start: bytes, name: str) -> None:
    body = 144 + int.from_bytes(start[140:144], "little") if start[132:140] == b"\x02\x00\x00\x00UL\x04\x00" else 0
    inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    rest = stream[body:]
    try:
        while rest and not inflate.eof and size <= MAX_INFLATED_BYTES:
            size += len(inflate.decompress(rest, 1 << 24))
            rest = inflate.unconsumed_tail
    except zlib.error as error:
        message = f"{name}: the compressed data set is damaged."
        raise InputError("MALFORMED_DICOM", message, "Fetch it again from the archive.") from error
    if size > MAX_INFLATED_BYTES:
        message = f"{name}: the file inflates to more than {MAX_INFLATED_BYTES >> 20} MB."
        raise InputError("TOO_LARGE", message, "Export the series without the deflated transfer syntax.")


def _encodings(charset: Any) -> list[str]:
    try:
        return convert_encodings(_text(charset, ["iso8859"]).split("\\")) if charset is not None else ["iso8859"]
    except (LookupError, ValueError, TypeError):
        return ["iso8859"]


def _text(item: Any, encodings: list[str], *, signed: bool = False) -> str:
    value = item.value
    if value is None:
        return ""
    if not isinstance(item, RawDataElement) or not isinstance(value, bytes):
        parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
        return "\\".join(str(part).strip() for part in parts)
    kind = item.VR or _dictionary_vr(item.tag)
    if kind == "US or SS":
        kind = "SS" if signed else "US"
    number = np.dtype(_NUMBERS.get(kind, "u1")).newbyteorder("<" if item.is_little_endian else ">")
    if kind in _NUMBERS and len(value) % number.itemsize == 0:
        return "\\".join(repr(part) for part in np.frombuffer(value, number).tolist())
    return "\\".join(part.strip(" \0\t\r\n") for part in _decoded(value, encodings).split("\\"))


def _decoded(value: bytes, encodings: list[str]) -> str:
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    try:
        return decode_bytes(value, encodings, {0x0A, 0x0C, 0x0D, 0x5C})
    except (LookupError, ValueError):
        return value.decode("latin-1")


def _dictionary_vr(tag: Any) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def _frames(image: DicomImage, dataset: FileDataset) -> Iterator[DicomImage]:
    """Frames of an enhanced image, each with the values that a classic image would have."""
    shared = dataset[_SHARED].value[0] if _SHARED in dataset and dataset[_SHARED].value else Dataset()
    frames = dataset[_PER_FRAME].value
    common = {**image.values, **_group_texts(shared)}
    if image.integer("NumberOfFrames") != len(frames):
        # Which frame has which place is not known: no place at all makes the series refused.
        common.pop("ImagePositionPatient", None)
        yield replace(image, values=common)
        return
    for index, groups in enumerate(frames):
        yield replace(image, values={**common, **_group_texts(groups)}, frame=index)


def _group_texts(groups: Dataset) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _GROUPS:
        tag = tag_for_keyword(name)
        if tag is not None and tag in groups and (items := groups[tag].value):
            found.update(texts_of(items[0]))
    return {_CLASSIC.get(keyword, keyword): text for keyword, text in found.items()}
