"""Masks as DICOM Segmentations, by highdicom: out when the case has its DICOM series, in wherever the grid fits."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from jaxtyping import UInt8
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from livercascade import __version__
from livercascade.data.errors import CascadeError
from livercascade.data.grid import Grid
from livercascade.data.labels import NUM_CLASSES, LesionType, Organ, label_name
from livercascade.io.canonical_orientation import canonical_grid, stored_view, to_canonical_orientation
from livercascade.io.dicom_files import find_images
from livercascade.io.dicom_geometry import SlicePlacement, place_slices
from livercascade.io.dicom_series import stacks_of
from livercascade.labeler.label_error import LabelError
from livercascade.labeler.project.case_inputs import other_grid

_ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
_ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
_LESION_CODES: Mapping[int, Code] = {
    LesionType.HCC: Code("25370001", "SCT", "Hepatocellular carcinoma"),
    LesionType.ICC: Code("70179006", "SCT", "Cholangiocarcinoma"),
    LesionType.META: Code("14799000", "SCT", "Neoplasm, metastatic"),
    LesionType.HEM: Code("400210000", "SCT", "Hemangioma"),
    LesionType.OTHER: Code("52988006", "SCT", "Lesion"),
    LesionType.CYST: Code("367643001", "SCT", "Cyst"),
}
_ORGAN_CODES: Mapping[int, Code] = {
    Organ.LIVER: Code("10200004", "SCT", "Liver"),
    Organ.HEPATIC_VESSELS: Code("8993003", "SCT", "Hepatic vein"),
    Organ.PORTAL_SPLENIC_VEIN: Code("32764006", "SCT", "Portal vein"),
    Organ.GALLBLADDER: Code("28231008", "SCT", "Gallbladder"),
    Organ.SPLEEN: Code("78961009", "SCT", "Spleen"),
    Organ.PANCREAS: Code("15776009", "SCT", "Pancreas"),
    Organ.STOMACH: Code("69695003", "SCT", "Stomach"),
}
_CODES: Mapping[int, Code] = {**_LESION_CODES, **_ORGAN_CODES}
_GRID_TOLERANCE_MM = 0.1
_MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


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
    number_of = np.zeros(256, dtype=np.uint8)
    number_of[labels] = np.arange(1, len(labels) + 1)
    frames = np.transpose(stored_view(number_of[mask], placement.affine_lps), (2, 1, 0))
    images = [_source_image(image.path) for image in placement.images]
    with warnings.catch_warnings():
        # highdicom warns of odd values in the source images, which the reader has accepted.
        warnings.simplefilter("ignore")
        seg = hd.seg.Segmentation(
            source_images=images,
            pixel_array=np.ascontiguousarray(frames),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_description(i, value) for i, value in enumerate(labels, start=1)],
            series_instance_uid=str(generate_uid()),
            # Far from the numbers that scanners give, and still beside its series in a sorted list.
            series_number=int(images[0].get("SeriesNumber") or 0) + 7000,
            sop_instance_uid=str(generate_uid()),
            instance_number=1,
            manufacturer="livercascade",
            manufacturer_model_name="CT Labeler",
            software_versions=__version__,
            device_serial_number="1",
            content_creator_name=reader,
            content_label="LIVER LESIONS",
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
    seg = _read_seg(data)
    labels = _labels_of(seg, mapping or {})
    mask = np.zeros(grid.shape, dtype=np.uint8)
    for number in sorted(labels, key=lambda n: (labels[n] <= LesionType.CYST, n)):
        volume = seg.get_volume(segment_numbers=[number], dtype=np.uint8, rescale_fractional=False)
        region, corner = _on_grid(np.asarray(volume.array)[..., 0] > 0, np.asarray(volume.affine), grid)
        box = tuple(slice(c, c + n) for c, n in zip(corner, region.shape, strict=True))
        mask[box][region] = labels[number]
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
        if canonical_grid(shape, placement.affine_lps, stack.name, is_ct=False).matches(grid, _GRID_TOLERANCE_MM):
            return placement
    raise _no_dicom("none of its series lies on the grid of the mask")


def _source_image(path: Path) -> pydicom.Dataset:
    """Header of a slice; what a de-identifier took away but the standard wants present is there, empty."""
    header = pydicom.dcmread(path, stop_before_pixels=True)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, None)
    return header


def _no_dicom(reason: str) -> LabelError:
    message = f"A DICOM SEG must name the images it was drawn on, but {reason}."
    return LabelError("NO_DICOM", message, "Put the study into the folder 'dicom' of the case, or export NIfTI.")


def _description(number: int, value: int) -> Any:
    lesion = value in _LESION_CODES
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label_name(value),
        segmented_property_category=_ABNORMAL if lesion else _ANATOMY,
        segmented_property_type=_CODES[value],
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=str(generate_uid()),
        tracking_id=label_name(value),
    )


def _read_seg(data: bytes) -> Any:
    try:
        dataset = pydicom.dcmread(io.BytesIO(data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return hd.seg.Segmentation.from_dataset(dataset, copy=False)
    except Exception as error:
        message = f"The file is not a DICOM Segmentation that can be read ({type(error).__name__})."
        raise LabelError("NOT_SEG", message, "Export the segmentation again as DICOM SEG.") from error


def _labels_of(seg: Any, mapping: Mapping[int, int]) -> dict[int, int]:
    names = {label_name(value).casefold(): value for value in range(1, NUM_CLASSES)}
    codes = {code.value: value for value, code in _CODES.items()}
    found: dict[int, int] = {}
    unknown: list[dict[str, Any]] = []
    for item in seg.SegmentSequence:
        number, name = int(item.SegmentNumber), str(item.get("SegmentLabel", ""))
        kind = item.SegmentedPropertyTypeCodeSequence[0] if "SegmentedPropertyTypeCodeSequence" in item else None
        by_code = codes.get(str(kind.get("CodeValue", ""))) if kind is not None else None
        label = mapping.get(number, names.get(name.strip().casefold(), by_code))
        if label is None or not 0 <= label < NUM_CLASSES:
            meaning = str(kind.get("CodeMeaning", "")) if kind is not None else ""
            unknown.append({"number": number, "label": name, "type": meaning})
        elif label:
            found[number] = int(label)
    if unknown:
        text = ", ".join(f"{one['number']} ({one['label']})" for one in unknown)
        message = f"It is not clear what these segments are: {text}."
        raise LabelError(
            "SEG_UNKNOWN_SEGMENTS", message, "Name their labels, for example map=1:3,2:7.", segments=unknown
        )
    return found


def _on_grid(region: Any, affine: Any, grid: Grid) -> tuple[Any, tuple[int, int, int]]:
    """The region in display order and where its first voxel lies in the grid of the case."""
    ordered, placed = to_canonical_orientation(region, affine, "segmentation", is_ct=False)
    if region.shape[0] == 1:
        # One slice has no slice distance of its own.
        placed = Grid(placed.shape, (grid.spacing[0], *placed.spacing[1:]), placed.origin, placed.direction)
    corner = np.rint(grid.voxel(np.asarray(placed.origin)))
    far = np.array(placed.shape) - 1.0
    apart = np.abs(grid.world(np.stack([corner, corner + far])) - placed.world(np.stack([np.zeros(3), far]))).max()
    inside = np.all(corner >= 0) and np.all(corner + far <= np.array(grid.shape) - 1)
    if apart > _GRID_TOLERANCE_MM or not inside:
        error = other_grid("segmentation", placed, grid)
        raise LabelError("SEG_OTHER_SERIES", error.message, "Choose the case whose series it was drawn on.")
    z, y, x = (int(c) for c in corner)
    return ordered, (z, y, x)


def segment_map(text: str) -> dict[int, int]:
    """Mapping of ``1:3,2:7``.

    Raises:
        LabelError: ``BAD_REQUEST``.
    """
    try:
        return {int(a): int(b) for a, b in (pair.split(":") for pair in text.split(",") if pair)}
    except ValueError as error:
        raise LabelError("BAD_REQUEST", "The map does not read as 1:3,2:7.", "See the docs.", http=400) from error
