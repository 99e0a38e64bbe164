"""One CT image without anything that names a person, a place or a day."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Integer
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRLittleEndian

from livercascade import __version__
from livercascade.data.errors import InputError
from livercascade.data.labels import Phase
from livercascade.deidentification import kept_attributes as kept
from livercascade.deidentification.moved_times import moved, moved_moment
from livercascade.deidentification.pseudonyms import Pseudonyms

METHODS = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
)
"""Profile and options of PS3.15 (CID 7050)."""
PHASE_TERMS = {
    Phase.NC: "PRE_CONTRAST",
    Phase.AP: "ARTERIAL",
    Phase.VP: "PORTAL_VENOUS",
    Phase.DP: "DELAYED",
}
"""ContrastBolusAgentPhase of each phase (PS3.3, C.8.15.3)."""
_DESCRIPTIONS = {
    Phase.NC: "non-contrast",
    Phase.AP: "arterial phase",
    Phase.VP: "portal venous phase",
    Phase.DP: "delayed phase",
}
_CT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1")
# Words of ImageType that stand for pictures of a screen.
_SCREENS = ("SCREEN", "CAPTURE", "DOSE", "PROTOCOL", "REPORT", "EVIDENCE", "GRAPH")


@dataclass(frozen=True, slots=True)
class ImageCleaner:
    """Makes de-identified images of one patient.

    Attributes:
        pseudonyms: Replacements.
        identity: What stands for the patient in the source.
    """

    pseudonyms: Pseudonyms
    identity: str

    def clean(
        self, source: Dataset, values: Integer[np.ndarray, "*frames row column"], phase: Phase | None = None
    ) -> FileDataset:
        """The image with new identifiers, moved times, and nothing that is not known to be safe.

        Pixels are written without compression, by their values: neither a comment in a codestream, nor an overlay in
        bits beyond those that are stored, nor bytes behind the last pixel come along.

        Args:
            source: A plain CT image.
            values: Its values as stored, without the bits that are not theirs.
            phase: Its contrast phase, if it was found.

        Raises:
            InputError: ``NOT_PLAIN_CT``.
        """
        check_plain(source)
        out = self._kept(source)
        for keyword in kept.EMPTY:
            setattr(out, keyword, None)
        out.PatientID = out.PatientName = self.pseudonyms.patient(self.identity)
        out.Manufacturer = _manufacturer(str(source.get("Manufacturer") or ""))
        if phase is not None:
            out.SeriesDescription, out.ContrastBolusAgentPhase = _DESCRIPTIONS[phase], PHASE_TERMS[phase]
        _mark(out)
        _add_pixels(out, values)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = out.SOPClassUID, out.SOPInstanceUID
        meta.TransferSyntaxUID, meta.ImplementationClassUID = ExplicitVRLittleEndian, PYDICOM_IMPLEMENTATION_UID
        return FileDataset("", out, file_meta=meta, preamble=b"\0" * 128)

    def _kept(self, source: Dataset) -> Dataset:
        """What is kept of a data set, or of an item of a sequence."""
        out = Dataset()
        shift = self.pseudonyms.shift(self.identity)
        for date, time in kept.DATES.items():
            for keyword, value in zip(
                (date, time), moved(_text(source, date), _text(source, time), shift), strict=True
            ):
                if value:
                    setattr(out, keyword, value)
        for time, date in kept.TIMES.items():
            value = moved(_text(source, date), _text(source, time), shift)[1]
            if value:
                setattr(out, time, value)
        for keyword in source.dir():
            value = self._value(keyword, source, shift)
            if value not in (None, "", []):
                setattr(out, keyword, value)
        return out

    def _value(self, keyword: str, source: Dataset, shift: datetime.timedelta) -> Any:
        """Value of an attribute that is kept; None for any other."""
        if keyword in kept.SEQUENCES:
            return Sequence([self._kept(item) for item in _items(source, keyword)])
        if keyword in kept.NUMBERS:
            return _checked(source, keyword, _is_number)
        if keyword in kept.UIDS:
            return self._uids(source, keyword)
        if keyword in kept.MOMENTS:
            return moved_moment(_text(source, keyword), shift)
        if keyword in kept.TERMS:
            return _checked(source, keyword, lambda value: str(value) in kept.TERMS[keyword])
        if keyword in ("ImageType", "FrameType"):
            return [t if t in kept.IMAGE_TYPES else "OTHER" for t in _text(source, keyword).upper().split("\\")]
        if keyword == "ConvolutionKernel":
            text = _text(source, keyword)
            return text.split("\\") if kept.KERNEL.fullmatch(text) else None
        if keyword == "StackID":
            return _checked(source, keyword, lambda value: str(value).isdigit() and len(str(value)) < 4)
        return None

    def _uids(self, source: Dataset, keyword: str) -> str | None:
        text = _text(source, keyword)
        return self.pseudonyms.uid(text) if text else None


def check_plain(source: Dataset) -> None:
    """Refuse whatever may show text in its pixels or is no CT image.

    Raises:
        InputError: ``NOT_PLAIN_CT``.
    """
    reason = _not_plain(source)
    if reason:
        message = f"An object is no plain CT image: {reason}."
        raise InputError("NOT_PLAIN_CT", message, "It may show a name in its pixels; look at it before you share it.")


def _not_plain(source: Dataset) -> str:
    if str(source.get("SOPClassUID", "")) not in _CT:
        return "its class is another"
    words = _text(source, "ImageType").upper()
    if any(word in words for word in _SCREENS):
        return "its type is that of a picture of a screen"
    if _text(source, "BurnedInAnnotation").upper() == "YES":
        return "it says that text is burned in"
    if "ConversionType" in source:
        return "it was converted from something else"
    if _text(source, "SamplesPerPixel") not in ("", "1") or _text(source, "BitsAllocated") != "16":
        return "its pixels are not those of a scanner"
    # Enhanced CT states the place of each frame.
    if not {"ImagePositionPatient", "PerFrameFunctionalGroupsSequence"} & set(source.dir()):
        return "it has no place in the patient"
    return ""


def _add_pixels(out: Dataset, values: np.ndarray) -> None:
    """Stored values, and the attributes that say how they are stored."""
    text = _text(out, "BitsStored")
    stored = min(int(text), 16) if text.isdigit() and int(text) else 16
    signed = _text(out, "PixelRepresentation") == "1"
    out.BitsAllocated, out.BitsStored, out.HighBit, out.SamplesPerPixel = 16, stored, stored - 1, 1
    out.PixelRepresentation = int(signed)
    out.Rows, out.Columns = values.shape[-2:]
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        if keyword in out:
            # Some scanners write one that needs more bits than are stored.
            padding = int(out[keyword].value) & ((1 << stored) - 1)
            setattr(out, keyword, padding - (1 << stored) if signed and padding >> (stored - 1) else padding)
    out.add_new("PixelData", "OW", values.astype("<i2" if signed else "<u2").tobytes())


def _mark(out: Dataset) -> None:
    out.PatientIdentityRemoved = "YES"
    out.DeidentificationMethod = f"livercascade {__version__}: only what CT images need is kept"
    out.DeidentificationMethodCodeSequence = Sequence([_code(*method) for method in METHODS])
    out.LongitudinalTemporalInformationModified = "MODIFIED"
    out.BurnedInAnnotation = "NO"
    out.SpecificCharacterSet = "ISO_IR 192"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _text(source: Dataset, keyword: str) -> str:
    value: Any = _raw(source, keyword)
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value).strip()
    return "\\".join(str(part).strip() for part in value)


def _raw(source: Dataset, keyword: str) -> Any:
    """Value of an attribute; None where it cannot be read."""
    try:
        return source.get(keyword)
    except (ValueError, TypeError, NotImplementedError, OverflowError):
        return None


def _items(source: Dataset, keyword: str) -> list[Dataset]:
    value: Any = _raw(source, keyword)
    return list(value) if isinstance(value, Sequence) else []


def _checked(source: Dataset, keyword: str, allowed: Callable[[Any], bool]) -> Any:
    """Value if all parts of it are allowed, else None."""
    value: Any = _raw(source, keyword)
    parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return value if value is not None and parts and all(allowed(part) for part in parts) else None


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _manufacturer(text: str) -> str:
    words = text.casefold()
    return next((name for word, name in kept.MANUFACTURERS.items() if word in words), "")
