"""DICOM Segmentations, by highdicom: on the grid of the slices they refer to, one segment for each thing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import highdicom as hd
import numpy as np
from jaxtyping import UInt8, UInt16
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from livercascade.data.grid import ROUNDED_MM, Grid
from livercascade.dicom.codes import DicomCodes
from livercascade.dicom.dicom_stage import SegType
from livercascade.dicom.equipment import equipment
from livercascade.dicom.segment import Segment
from livercascade.dicom.source_images import SourceSeries
from livercascade.io.canonical_orientation import canonical_grid, stored_view

CONTENT_LABEL = "LIVER LESIONS"
SERIES_OFFSET = 7000
"""Added to the number of the source's series: far from the numbers that scanners give, and still sorted beside it."""


def write_segmentation(
    numbers: UInt8[np.ndarray, "z y x"] | UInt16[np.ndarray, "z y x"],
    grid: Grid,
    segments: Sequence[Segment],
    source: SourceSeries,
    *,
    uids: tuple[str, str],
    codes: DicomCodes,
    seg_type: SegType = SegType.BINARY,
    **maker: Any,
) -> Any:
    """A Segmentation that refers to every slice of its source; frames without any voxel are left out.

    Args:
        numbers: Number of the segment in each voxel, from 1 in the order of ``segments``; 0 outside. Where all are 0,
            all frames are kept, so that a result without findings can still replace an older one.
        grid: Grid of ``numbers``; that of the slices, or any other in the same frame of reference.
        segments: Segments, at least one.
        source: Slices it refers to.
        uids: SeriesInstanceUID and SOPInstanceUID.
        codes: Codes of what is segmented.
        seg_type: Storage of the segments.
        maker: Further arguments of ``highdicom.seg.Segmentation``, such as the creator's name.
    """
    # Bits are not compressed: few readers know how. A map of numbers shrinks to a hundredth.
    syntax = RLELossless if seg_type is SegType.LABELMAP else ExplicitVRLittleEndian
    with warnings.catch_warnings():
        # highdicom warns of odd values in the source, which the reader has accepted, and of masks without voxels.
        warnings.simplefilter("ignore")
        return hd.seg.Segmentation(
            source_images=list(source.instances),
            pixel_array=_frames(numbers, grid, source),
            segmentation_type=hd.seg.SegmentationTypeValues(seg_type.name),
            segment_descriptions=[s.description(n, codes) for n, s in enumerate(segments, start=1)],
            series_instance_uid=uids[0],
            series_number=SERIES_OFFSET + series_number(source),
            sop_instance_uid=uids[1],
            instance_number=1,
            content_label=CONTENT_LABEL,
            omit_empty_frames=bool(numbers.any()),
            transfer_syntax_uid=syntax,
            series_description="Liver lesions and organs",
            **(equipment() | maker),
        )


def series_number(source: SourceSeries) -> int:
    """Number of the source's series; 0 where it is absent or not one."""
    text = source.placement.images[0].text("SeriesNumber")
    return min(int(text), 99_999) if text.isdigit() else 0


def _frames(numbers: np.ndarray, grid: Grid, source: SourceSeries) -> Any:
    """Frames in the order of the slices, or a volume with its own place where it lies on another grid."""
    place = source.placement
    shape = (place.columns, place.rows, len(place.images))
    stored = canonical_grid(shape, place.affine_lps, "source", is_ct=False)
    space: dict[str, Any] = {"coordinate_system": "PATIENT", "frame_of_reference_uid": source.first.FrameOfReferenceUID}
    if not stored.matches(grid, ROUNDED_MM):
        return hd.Volume(numbers, grid.affine, **space)
    frames = np.ascontiguousarray(np.transpose(stored_view(numbers, place.affine_lps), (2, 1, 0)))
    if all(image.frame is None for image in place.images):
        return frames
    # Frames of an enhanced image may stand in any order: highdicom finds each by its place.
    return hd.Volume(frames, place.affine_lps[:, [2, 1, 0, 3]], **space)
