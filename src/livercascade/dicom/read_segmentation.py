"""Segments of DICOM Segmentations of any maker: BINARY, FRACTIONAL and LABELMAP."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from jaxtyping import Bool

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.labels import NUM_CLASSES, label_name
from livercascade.dicom.codes import DicomCodes
from livercascade.io.canonical_orientation import to_canonical_orientation

_BACKGROUND = 0
# Segments of our own results are called "L1 HCC".
_LESION_ID = re.compile(r"^L\d+ ")


@dataclass(frozen=True, slots=True)
class SegmentInFile:
    """What a file says of one of its segments.

    Attributes:
        number: SegmentNumber.
        name: SegmentLabel.
        code: Code value of its type; empty if absent.
        kind: Meaning of that code.
    """

    number: int
    name: str
    code: str
    kind: str

    def label(self, codes: DicomCodes) -> int | None:
        """Label 1 to 13, by the name or else by the code; None if neither is known."""
        names = {label_name(value).casefold(): value for value in range(1, NUM_CLASSES)}
        return names.get(_LESION_ID.sub("", self.name).strip().casefold()) or codes.label_of(self.code)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationFile:
    """A Segmentation that was read.

    Attributes:
        dataset: The object, as highdicom has it.
        segments: Its segments in the order of the file.
    """

    dataset: Any
    segments: tuple[SegmentInFile, ...]

    @classmethod
    def read(cls, data: bytes) -> SegmentationFile:
        """Segmentation of a file's bytes.

        Raises:
            InputError: ``NOT_SEG``: it is damaged or something else.
        """
        try:
            with warnings.catch_warnings():
                # Odd values elsewhere in the file do not matter here.
                warnings.simplefilter("ignore")
                dataset = hd.seg.Segmentation.from_dataset(pydicom.dcmread(io.BytesIO(data)), copy=False)
                return cls(dataset, tuple(_segments(dataset)))
        except Exception as error:
            # Whatever a damaged file does to the parsers, it is no segmentation.
            message = f"The file is not a DICOM Segmentation that can be read ({type(error).__name__})."
            raise InputError("NOT_SEG", message, "Export the segmentation again as DICOM SEG.") from error

    def regions(self, numbers: Iterable[int]) -> Iterator[tuple[int, Bool[np.ndarray, "z y x"], Grid]]:
        """Number, voxels in canonical orientation and grid of segments; frames that are left out are empty.

        A fractional segment is where it reaches half of the maximum. The slice distance of a single frame is the
        thickness that it states.

        Args:
            numbers: SegmentNumber of each.

        Raises:
            InputError: ``NOT_SEG``: the frames form no volume.
        """
        whole: Any = None
        for number in numbers:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    if self.is_label_map:
                        whole = whole or self.dataset.get_volume(combine_segments=True, skip_overlap_checks=True)
                        stored, affine = np.asarray(whole.array) == number, whole.affine
                    else:
                        stored, affine = self._frames_of(number)
            except (ValueError, RuntimeError, LookupError, AttributeError, NotImplementedError) as error:
                message = f"The frames of segment {number} form no volume ({type(error).__name__})."
                raise InputError("NOT_SEG", message, "Export the segmentation again as DICOM SEG.") from error
            yield number, *to_canonical_orientation(stored, np.asarray(affine), "segmentation", is_ct=False)

    @property
    def is_label_map(self) -> bool:
        """True for LABELMAP."""
        return str(self.dataset.SegmentationType) == "LABELMAP"

    def _frames_of(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        volume = self.dataset.get_volume(segment_numbers=[number], rescale_fractional=False)
        values = np.asarray(volume.array)[..., 0].astype(np.int64)
        # Twice the value: half of an odd maximum needs no rounding then.
        return 2 * values >= max(int(self.dataset.get("MaximumFractionalValue", 1)), 1), volume.affine


def _segments(dataset: Any) -> list[SegmentInFile]:
    out: list[SegmentInFile] = []
    for item in dataset.SegmentSequence:
        kind = item.SegmentedPropertyTypeCodeSequence[0] if "SegmentedPropertyTypeCodeSequence" in item else None
        # A label map may describe its background as a segment too.
        if int(item.SegmentNumber) != _BACKGROUND:
            code, meaning = ("", "") if kind is None else (kind.get("CodeValue", ""), kind.get("CodeMeaning", ""))
            out.append(
                SegmentInFile(int(item.SegmentNumber), str(item.get("SegmentLabel", "")), str(code), str(meaning))
            )
    return out
