"""From CT images to volumes: grouping by series, dropping duplicates, splitting acquisitions, reading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.notice import Notice
from livercascade.io.canonical_orientation import to_canonical_orientation
from livercascade.io.dicom_files import DicomImage
from livercascade.io.dicom_geometry import SlicePlacement, height_of, normal_of, place_slices
from livercascade.io.dicom_pixels import pixel_bytes, read_pixels
from livercascade.io.hounsfield import check_is_ct

MIN_SLICES = 10
"""A series with fewer slices cannot be a phase, unless nothing else is there."""
_SAME_PLACE_MM = 0.01
# 45 degrees: tilted slices are axial, coronal and sagittal reformats are not.
_AXIAL_COSINE = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class DicomStack:
    """Slices that should form one volume.

    Attributes:
        name: Number of the series, and of the part if the series was split; for messages.
        images: Slices, in no order.
        part: Place among the parts of one series, in time; 0 if it was not split.
    """

    name: str
    images: tuple[DicomImage, ...]
    part: int = 0

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID."""
        return self.images[0].text("SeriesInstanceUID")

    @property
    def time(self) -> float | None:
        """Start of acquisition in seconds, None where the tags are absent or blanked."""
        times = [seconds for image in self.images if (seconds := acquired_at(image)) is not None]
        return min(times) if times else None


@dataclass(frozen=True, slots=True, eq=False)
class StackVolume:
    """A stack that was read: HU in canonical orientation, grid, hash of its files, notices, its slices in order."""

    stack: DicomStack
    hu: Int16[np.ndarray, "z y x"]
    grid: Grid
    sha256: str
    notices: tuple[Notice, ...]
    placement: SlicePlacement


def stacks_of(images: Sequence[DicomImage]) -> tuple[tuple[DicomStack, ...], tuple[Notice, ...]]:
    """Stacks of a study by series, and what was dropped or split.

    Raises:
        InputError: ``DUPLICATE_CONFLICT``, ``DUPLICATE_POSITION``, ``TAG_MISSING`` or ``BAD_VALUE``.
    """
    groups: dict[tuple[str, str], list[DicomImage]] = defaultdict(list)
    for image in images:
        groups[image.text("SeriesInstanceUID"), image.text("FrameOfReferenceUID")].append(image)
    stacks: list[DicomStack] = []
    notices: list[Notice] = []
    for number, group in enumerate(groups.values(), start=1):
        name = f"series {group[0].text('SeriesNumber') or f'#{number}'}"
        unique, dropped = _without_duplicates(group, name)
        parts, split = _split(unique, name)
        stacks += parts
        notices += [*dropped, *split]
    return tuple(stacks), tuple(notices)


def read_stack(stack: DicomStack) -> StackVolume:
    """Volume of a stack in canonical orientation.

    Raises:
        InputError: Every code of `place_slices`, `read_pixels`, `to_canonical_orientation` and `check_is_ct`.
    """
    placement = place_slices(stack.images, stack.name)
    stored, sha256, notices = read_pixels(placement, stack.name)
    ordered, grid = to_canonical_orientation(np.transpose(stored), placement.affine_lps, stack.name)
    check_is_ct(ordered, stack.name)
    return StackVolume(stack, np.ascontiguousarray(ordered), grid, sha256, notices, placement)


def is_axial(stack: DicomStack) -> bool:
    """True if the slices lie across the body, obliquely perhaps.

    Raises:
        InputError: ``TAG_MISSING`` or ``BAD_VALUE``.
    """
    return abs(float(normal_of(stack.images[0], stack.name)[2])) >= _AXIAL_COSINE


def acquired_at(image: DicomImage) -> float | None:
    """Seconds from midnight at which a slice was acquired; None where absent or blanked to zero."""
    for keyword in ("AcquisitionTime", "ContentTime"):
        text = image.text(keyword)
        digits = text.split(".")[0]
        if len(digits) == 6 and digits.isdigit() and int(digits) > 0:
            fraction = text[6:] if text[6:].startswith(".") and text[7:].isdigit() else ""
            return int(digits[:2]) * 3600.0 + int(digits[2:4]) * 60.0 + float(digits[4:6] + fraction)
    return None


def _without_duplicates(images: Sequence[DicomImage], name: str) -> tuple[list[DicomImage], list[Notice]]:
    """One image per SOPInstanceUID; copies must be equal in pixels."""
    first: dict[str, DicomImage] = {}
    for image in images:
        uid = image.sop_uid
        kept = first.setdefault(uid, image)
        if kept is not image and not _same_slice(kept, image):
            message = f"{name}: {kept.path.name} and {image.path.name} claim to be one image but differ."
            raise InputError("DUPLICATE_CONFLICT", message, "Fetch the series again from the archive.")
    count = len(images) - len(first)
    notices = [Notice("DUPLICATE_DROPPED", f"{name}: {count} copies of images were left out.")] if count else []
    return list(first.values()), notices


def _same_slice(one: DicomImage, other: DicomImage) -> bool:
    tags = ("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept")
    return all(one.text(tag) == other.text(tag) for tag in tags) and pixel_bytes(one) == pixel_bytes(other)


def _split(images: Sequence[DicomImage], name: str) -> tuple[list[DicomStack], list[Notice]]:
    """Parts of a series in which positions repeat; a series without repeats stays whole."""
    places = _places(images, name)
    if len(np.unique(places)) == len(images):
        return [DicomStack(name, tuple(images))], []
    parts = _by_number(images, places) or _by_order(images, places)
    if parts is None:
        repeated = len(images) - len(np.unique(places))
        message = f"{name}: {repeated} slices share a position with another."
        raise InputError("DUPLICATE_POSITION", message, "Export one acquisition per series.")
    stacks = [DicomStack(f"{name} part {i}", tuple(part), i) for i, part in enumerate(parts, start=1)]
    return stacks, [Notice("MULTI_ACQUISITION", f"{name}: {len(parts)} acquisitions in one series were split.")]


def _places(images: Sequence[DicomImage], name: str) -> np.ndarray:
    """Number of the position of each image; images closer than 0.01 mm share one."""
    heights = height_of(images, name)
    order = np.argsort(heights, kind="stable")
    steps = np.diff(heights[order], prepend=heights[order[0]]) > _SAME_PLACE_MM
    places = np.empty(len(images), dtype=np.int64)
    places[order] = np.cumsum(steps)
    return places


def _by_number(images: Sequence[DicomImage], places: np.ndarray) -> list[list[DicomImage]] | None:
    """Parts by AcquisitionNumber, if each number covers a real stack without repeats."""
    members: dict[int, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        text = image.text("AcquisitionNumber")
        members[int(text) if text.lstrip("-").isdigit() else 0].append(index)
    least = min(MIN_SLICES, len(np.unique(places)) // 2 + 1)
    for chosen in members.values():
        if len(members) < 2 or len(chosen) < least or len(np.unique(places[chosen])) < len(chosen):
            return None
    return [[images[i] for i in members[number]] for number in sorted(members)]


def _by_order(images: Sequence[DicomImage], places: np.ndarray) -> list[list[DicomImage]] | None:
    """Parts by time, then by instance number: the k-th image at every position belongs to part k."""
    counts = np.bincount(places)
    if len(counts) < 2 or np.any(counts != counts[0]):
        return None
    parts: list[list[DicomImage]] = [[] for _ in range(int(counts[0]))]
    filled = np.zeros(len(counts), dtype=np.int64)
    for index in sorted(range(len(images)), key=lambda i: _moment(images[i])):
        parts[filled[places[index]]].append(images[index])
        filled[places[index]] += 1
    return parts


def _moment(image: DicomImage) -> tuple[float, int]:
    text = image.text("InstanceNumber")
    return (acquired_at(image) or 0.0, int(text) if text.isdigit() else 0)
