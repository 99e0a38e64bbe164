"""Masks of the labeler as DICOM Segmentations: out when the case has its series, in wherever the grid fits."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from pydicom.uid import generate_uid

from livercascade.data.errors import CascadeError, InputError
from livercascade.data.grid import ROUNDED_MM, Grid
from livercascade.data.labels import NUM_CLASSES, LesionType
from livercascade.dicom.codes import default_codes
from livercascade.dicom.read_segmentation import SegmentationFile
from livercascade.dicom.segment import Segment
from livercascade.dicom.source_images import SourceSeries
from livercascade.dicom.write_segmentation import write_segmentation
from livercascade.io.canonical_orientation import canonical_grid
from livercascade.io.dicom_files import find_images
from livercascade.io.dicom_geometry import SlicePlacement, place_slices
from livercascade.io.dicom_series import stacks_of
from livercascade.labeler.label_error import LabelError
from livercascade.labeler.project.case_inputs import other_grid


def export_seg(mask: UInt8[np.ndarray, "z y x"], grid: Grid, folder: Path | None, *, reader: str) -> bytes:
    """A mask as one DICOM SEG file that refers to the series it was drawn on.

    Args:
        mask: Labels in display order.
        grid: Its grid.
        folder: DICOM study of the case.
        reader: Stands as content creator.

    Raises:
        LabelError: ``NO_DICOM`` without a series on this grid, ``EMPTY_MASK`` without any label.
    """
    if folder is None:
        raise _no_dicom("the case has no folder 'dicom'")
    placement = _series_on(folder, grid)
    labels = [value for value in range(1, NUM_CLASSES) if np.any(mask == value)]
    if not labels:
        raise LabelError("EMPTY_MASK", "The mask holds no label; there is nothing to export.", "Draw something first.")
    numbers = np.zeros(NUM_CLASSES, dtype=np.uint8)
    numbers[labels] = np.arange(1, len(labels) + 1)
    seg = write_segmentation(
        numbers[mask],
        grid,
        [Segment(value, str(generate_uid()), drawn=True) for value in labels],
        SourceSeries.of(placement),
        uids=(str(generate_uid()), str(generate_uid())),
        codes=default_codes(),
        manufacturer_model_name="CT Labeler",
        content_creator_name=reader,
    )
    out = io.BytesIO()
    seg.save_as(out, enforce_file_format=True)
    return out.getvalue()


def import_seg(data: bytes, grid: Grid, mapping: Mapping[int, int] | None = None) -> UInt8[np.ndarray, "z y x"]:
    """Labels of a DICOM SEG on the grid of a case; lesions win over organs, later segments over earlier ones.

    Args:
        data: The file.
        grid: Grid of the case.
        mapping: Label by segment number; the others are identified by their name or code.

    Raises:
        LabelError: ``NOT_SEG``, ``SEG_UNKNOWN_SEGMENTS``, ``SEG_OTHER_SERIES``.
    """
    try:
        file = SegmentationFile.read(data)
        labels = _labels_of(file, mapping or {})
        mask = np.zeros(grid.shape, dtype=np.uint8)
        ordered = sorted(labels, key=lambda number: (labels[number] <= LesionType.CYST, number))
        for number, region, placed in file.regions(ordered):
            z, y, x = _corner(region, placed, grid)
            depth, height, width = region.shape
            mask[z : z + depth, y : y + height, x : x + width][region] = labels[number]
    except InputError as error:
        raise LabelError(error.code, error.message, error.remedy) from error
    return mask


def _series_on(folder: Path, grid: Grid) -> SlicePlacement:
    try:
        stacks = stacks_of(find_images(folder).images).stacks
    except CascadeError as error:
        raise _no_dicom(error.message.rstrip(".")) from error
    for stack in stacks:
        try:
            placement = place_slices(stack.images, stack.name)
        except CascadeError:
            continue
        shape = (placement.columns, placement.rows, len(placement.images))
        if canonical_grid(shape, placement.affine_lps, stack.name, is_ct=False).matches(grid, ROUNDED_MM):
            return placement
    raise _no_dicom("none of its series lies on the grid of the mask")


def _no_dicom(reason: str) -> LabelError:
    message = f"A DICOM SEG must name the images it was drawn on, but {reason}."
    return LabelError("NO_DICOM", message, "Put the study into the folder 'dicom' of the case, or export NIfTI.")


def _labels_of(file: SegmentationFile, mapping: Mapping[int, int]) -> dict[int, int]:
    codes = default_codes()
    found: dict[int, int] = {}
    unknown: list[dict[str, Any]] = []
    for segment in file.segments:
        label = mapping.get(segment.number, segment.label(codes))
        if label is None or not 0 <= label < NUM_CLASSES:
            unknown.append({"number": segment.number, "label": segment.name, "type": segment.kind})
        elif label:
            found[segment.number] = int(label)
    if unknown:
        text = ", ".join(f"{one['number']} ({one['label']})" for one in unknown)
        message = f"It is not clear what these segments are: {text}."
        raise LabelError(
            "SEG_UNKNOWN_SEGMENTS", message, "Name their labels, for example map=1:3,2:7.", segments=unknown
        )
    return found


def _corner(region: np.ndarray, placed: Grid, grid: Grid) -> tuple[int, int, int]:
    """Where the first voxel of a region lies in the grid of the case."""
    if region.shape[0] == 1:
        # One slice has no slice distance of its own.
        placed = Grid(placed.shape, (grid.spacing[0], *placed.spacing[1:]), placed.origin, placed.direction)
    corner = np.rint(grid.voxel(np.asarray(placed.origin)))
    far = np.array(placed.shape) - 1.0
    apart = np.abs(grid.world(np.stack([corner, corner + far])) - placed.world(np.stack([np.zeros(3), far]))).max()
    inside = np.all(corner >= 0) and np.all(corner + far <= np.array(grid.shape) - 1)
    if apart > ROUNDED_MM or not inside:
        error = other_grid("segmentation", placed, grid)
        raise LabelError("SEG_OTHER_SERIES", error.message, "Choose the case whose series it was drawn on.")
    z, y, x = (int(c) for c in corner)
    return z, y, x


def segment_map(text: str) -> dict[int, int]:
    """Mapping of ``1:3,2:7``.

    Raises:
        LabelError: ``BAD_REQUEST``.
    """
    try:
        return {int(a): int(b) for a, b in (pair.split(":") for pair in text.split(",") if pair)}
    except ValueError as error:
        raise LabelError("BAD_REQUEST", "The map does not read as 1:3,2:7.", "See the docs.", http=400) from error
