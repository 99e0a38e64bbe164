"""From CT slices to volumes: series by series, copies dropped, stacks told apart, each read or refused by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Int16

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.notice import Notice
from livercascade.io.canonical_orientation import to_canonical_orientation
from livercascade.io.dicom_geometry import (
    SlicePlacement,
    height_of,
    normal_of,
    place_slices,
    place_uneven_slices,
)
from livercascade.io.dicom_header import DicomImage
from livercascade.io.dicom_pixels import read_pixels, slice_hu
from livercascade.io.dicom_resampling import even_stack
from livercascade.io.dicom_split import changes_of, split_at_repeats, split_interleaved, without_watching
from livercascade.io.dicom_time import acquired_at
from livercascade.io.hounsfield import check_is_ct
from livercascade.io.study import UnusedSeries
from livercascade.system.files import sha256_text

MIN_SLICES = 10
"""A series with fewer slices cannot be a phase, unless nothing else is there."""
_SAME_PLACE_MM = 0.01
# 45 degrees: tilted slices are axial, coronal and sagittal reformats are not.
_AXIAL_COSINE = 0.7
# Slices further apart in direction, 20 degrees, belong to different views rather than to one damaged stack.
_SAME_VIEW_COSINE = 0.94
# So many images at each of a few places watch the contrast medium arrive.
_MONITORED = 3
_PERFUSION = 9
_PLACE_TAGS = ("ImagePositionPatient", "ImageOrientationPatient")
_RESAMPLED = ("MISSING_SLICES", "VARIABLE_SPACING", "GANTRY_TILT")


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
    def derived(self) -> bool:
        """True if every slice is marked as derived from other images."""
        return all(image.image_type[0] == "DERIVED" for image in self.images)

    @property
    def time(self) -> float | None:
        """Start of acquisition in seconds from a fixed day, None where the tags are absent or blanked."""
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


@dataclass(frozen=True, slots=True, eq=False)
class SortedStudy:
    """Slices of a study sorted into stacks.

    Attributes:
        stacks: What may be read.
        notices: What was dropped or split.
        unused: Series that are no volume, such as those that watch the contrast medium arrive.
        refused: Name and error of each series whose slices cannot be told apart or placed.
    """

    stacks: tuple[DicomStack, ...]
    notices: tuple[Notice, ...] = ()
    unused: tuple[UnusedSeries, ...] = ()
    refused: tuple[tuple[str, InputError], ...] = ()


def stacks_of(images: Sequence[DicomImage], counts: Mapping[str, int] | None = None) -> SortedStudy:
    """Stacks of a study by series; a series that cannot be sorted does not take the others with it.

    Args:
        images: Slices of one study.
        counts: Number of all images of each SeriesInstanceUID, if some were left out before.
    """
    groups: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        groups[image.text("SeriesInstanceUID")].append(image)
    found = SortedStudy(())
    for number, (uid, group) in enumerate(groups.items(), start=1):
        name = f"series {group[0].text('SeriesNumber') or f'#{number}'}"
        try:
            one = _sorted_series(group, name)
        except InputError as error:
            one = SortedStudy((), refused=((name, error),))
        if one.stacks:
            one = replace(one, notices=(*one.notices, *_incomplete(group, name, (counts or {}).get(uid, len(group)))))
        found = SortedStudy(
            found.stacks + one.stacks,
            found.notices + one.notices,
            found.unused + one.unused,
            found.refused + one.refused,
        )
    return found


def read_stack(stack: DicomStack, *, resample: bool = False) -> StackVolume:
    """Volume of a stack in canonical orientation.

    Args:
        stack: Slices.
        resample: True interpolates where slices are missing, at varying distances or tilted; a notice tells it.

    Raises:
        InputError: Every code of `place_slices`, `read_pixels`, `to_canonical_orientation` and `check_is_ct`.
    """
    try:
        placement = place_slices(stack.images, stack.name)
    except InputError as error:
        if not resample or error.code not in _RESAMPLED:
            raise
        return _resampled_stack(stack, error)
    stored, sha256, notices = read_pixels(placement, stack.name)
    hu, grid = _canonical(stored, placement.affine_lps, stack.name)
    return StackVolume(stack, hu, grid, sha256, (*notices, *_noticed(stack)), placement)


def _resampled_stack(stack: DicomStack, fault: InputError) -> StackVolume:
    uneven = place_uneven_slices(stack.images, stack.name)
    stored, sha256, notices = read_pixels(uneven.slices, stack.name)
    straight, affine = even_stack(uneven, stored)
    hu, grid = _canonical(straight, affine, stack.name)
    text = f"{fault.message} It was resampled to {len(straight)} slices {uneven.step_mm:.3g} mm apart."
    told = (Notice("RESAMPLED", text), *notices, *_noticed(stack))
    # Hash of another input: a result of the slices as they are is not that of interpolated ones.
    return StackVolume(stack, hu, grid, sha256_text(f"resampled {sha256}"), told, uneven.slices)


def _canonical(
    stored: Int16[np.ndarray, "slice row column"], affine: Float[np.ndarray, "4 4"], name: str
) -> tuple[Int16[np.ndarray, "z y x"], Grid]:
    ordered, grid = to_canonical_orientation(np.transpose(stored), affine, name)
    check_is_ct(ordered, name)
    return np.ascontiguousarray(ordered), grid


def _noticed(stack: DicomStack) -> list[Notice]:
    notices: list[Notice] = []
    if len({image.text("FrameOfReferenceUID") for image in stack.images}) > 1:
        text = f"{stack.name}: FrameOfReferenceUID differs between its slices; their positions form one stack."
        notices.append(Notice("FOR_DIFFERS", text))
    if changed := changes_of(stack.images):
        notices.append(Notice("SERIES_MIXED", f"{stack.name}: {changed} changes within the stack."))
    derived = sum(image.image_type[0] == "DERIVED" for image in stack.images)
    if 0 < derived < len(stack.images):
        text = f"{stack.name}: {derived} of {len(stack.images)} slices are marked as derived; they were used."
        notices.append(Notice("DERIVED_USED", text))
    return notices


def is_axial(stack: DicomStack) -> bool:
    """True if the slices lie across the body, obliquely perhaps.

    Raises:
        InputError: ``TAG_MISSING`` or ``BAD_VALUE``.
    """
    return abs(float(normal_of(stack.images[0], stack.name)[2])) >= _AXIAL_COSINE


def _sorted_series(group: Sequence[DicomImage], name: str) -> SortedStudy:
    unique, notices = _without_copies_by_uid(group, name)
    placed, unused = _with_place(unique, name)
    views = _by_view(placed, name)
    stacks: list[DicomStack] = []
    for seen in views:
        view = seen
        places = _places(view, name)
        if _watches_contrast(places):
            count = int(places.max()) + 1
            where = "one place" if count == 1 else f"{count} places"
            text = f"{len(view)} images at {where}, as bolus tracking or perfusion gives"
            unused.append(UnusedSeries(name, "SAME_PLACE", text))
            continue
        if (main := without_watching(view, places)) is not None:
            text = f"{len(view) - len(main)} images of bolus tracking in the series"
            unused.append(UnusedSeries(name, "SAME_PLACE", text))
            view, places = main, _places(main, name)
        parts, told = _split(view, places, name)
        notices += told
        single = len(views) == 1 and len(parts) == 1
        for part in parts:
            number = len(stacks) + 1
            stacks.append(DicomStack(name if single else f"{name} part {number}", tuple(part), 0 if single else number))
    return SortedStudy(tuple(stacks), tuple(notices), tuple(unused))


def _without_copies_by_uid(images: Sequence[DicomImage], name: str) -> tuple[list[DicomImage], list[Notice]]:
    """One image of each SOP instance and frame.

    Raises:
        InputError: ``DUPLICATE_CONFLICT`` if two of them differ.
    """
    first: dict[tuple[str, int | None], DicomImage] = {}
    for image in images:
        kept = first.setdefault((image.sop_uid, image.frame), image)
        if kept is not image and not _same_slice(kept, image, name):
            message = f"{name}: two different images share one SOPInstanceUID."
            raise InputError("DUPLICATE_CONFLICT", message, "Fetch the series again from the archive.")
    return list(first.values()), _dropped(len(images) - len(first), name)


def _dropped(count: int, name: str) -> list[Notice]:
    return [Notice("DUPLICATE_DROPPED", f"{name}: {count} copies of slices were dropped.")] if count else []


def _same_slice(one: DicomImage, other: DicomImage, name: str) -> bool:
    same_place = all(one.text(tag) == other.text(tag) for tag in _PLACE_TAGS)
    return same_place and np.array_equal(slice_hu(one, name), slice_hu(other, name))


def _with_place(images: Sequence[DicomImage], name: str) -> tuple[list[DicomImage], list[UnusedSeries]]:
    """Slices with a place, and pages of text without one.

    Raises:
        InputError: ``TAG_MISSING`` if a slice like the others has no place.
    """
    placed = [image for image in images if all(image.text(tag) for tag in _PLACE_TAGS)]
    pages = [image for image in images if not all(image.text(tag) for tag in _PLACE_TAGS)]
    kinds = {_kind(image) for image in placed}
    like_others = [image for image in pages if not placed or _kind(image) in kinds]
    if like_others and (placed or len(pages) >= MIN_SLICES):
        height_of(like_others, name)
    what = "one image" if len(pages) == 1 else f"{len(pages)} images"
    text = f"{what} without a position, as pages of text have none"
    return placed, [UnusedSeries(name, "TAG_MISSING", text)] if pages else []


def _kind(image: DicomImage) -> tuple[str, ...]:
    return tuple(image.text(tag) for tag in ("ImageType", "Rows", "Columns"))


def _by_view(images: Sequence[DicomImage], name: str) -> list[list[DicomImage]]:
    """Slices by the direction they are seen from, the largest group first."""
    views: list[tuple[Float[np.ndarray, " 3"], list[DicomImage]]] = []
    for image in images:
        normal = normal_of(image, name)
        length = float(np.linalg.norm(normal)) or 1.0
        for first, view in views:
            if abs(float(first @ normal)) / length >= _SAME_VIEW_COSINE:
                view.append(image)
                break
        else:
            views.append((normal / length, [image]))
    return sorted((view for _, view in views), key=len, reverse=True)


def _watches_contrast(places: Int[np.ndarray, " n"]) -> bool:
    counts = np.bincount(places)
    usual = float(np.median(counts))
    return usual >= (_MONITORED if len(counts) < MIN_SLICES else _PERFUSION)


def _split(
    images: Sequence[DicomImage], places: Int[np.ndarray, " n"], name: str
) -> tuple[list[list[DicomImage]], list[Notice]]:
    """Stacks of one view.

    Raises:
        InputError: ``DUPLICATE_POSITION`` where positions repeat and nothing tells the stacks apart.
    """
    notices: list[Notice] = []
    if len(np.unique(places)) == len(images):
        parts = split_interleaved(images, height_of(images, name), name) or [list(images)]
    else:
        parts = split_at_repeats(images, places)
        if parts is None:
            kept = _without_equal_pixels(images, places, name)
            notices = _dropped(len(images) - len(kept), name)
            left = _places(kept, name)
            parts = [kept] if len(np.unique(left)) == len(kept) else split_at_repeats(kept, left)
    if parts is None:
        repeated = len(images) - len(np.unique(places))
        message = f"{name}: {repeated} slices share a position with another, and no tag tells them apart."
        raise InputError("DUPLICATE_POSITION", message, "Export one acquisition per series.")
    if len(parts) > 1:
        notices.append(Notice("MULTI_ACQUISITION", f"{name}: {len(parts)} stacks in one series were told apart."))
    return parts, notices


def _without_equal_pixels(images: Sequence[DicomImage], places: Int[np.ndarray, " n"], name: str) -> list[DicomImage]:
    """One image of those that show the same at the same place, whatever their UIDs."""
    kept: list[DicomImage] = []
    shown: dict[int, list[np.ndarray]] = defaultdict(list)
    counts = np.bincount(places)
    for image, place in zip(images, places, strict=True):
        if counts[place] > 1:
            hu = slice_hu(image, name)
            if any(np.array_equal(hu, other) for other in shown[int(place)]):
                continue
            shown[int(place)].append(hu)
        kept.append(image)
    return kept


def _places(images: Sequence[DicomImage], name: str) -> Int[np.ndarray, " n"]:
    """Number of the position of each image; images closer than 0.01 mm share one."""
    heights = height_of(images, name)
    order = np.argsort(heights, kind="stable")
    steps = np.diff(heights[order], prepend=heights[order[0]]) > _SAME_PLACE_MM
    places = np.empty(len(images), dtype=np.int64)
    places[order] = np.cumsum(steps)
    return places


def _incomplete(group: Sequence[DicomImage], name: str, count: int) -> list[Notice]:
    """Notice ``INCOMPLETE_SERIES`` if the tags count more images than there are."""
    promised = max((image.integer("ImagesInAcquisition") or 0 for image in group), default=0)
    numbers = {image.integer("InstanceNumber") for image in group} - {None}
    # Numbers that run on without a gap but begin late: the first slices are not there.
    begins = min((n for n in numbers if n is not None), default=1)
    runs_on = len(numbers) == len(group) and max(n for n in numbers if n is not None) - begins + 1 == len(group)
    if runs_on and begins > 1 and count == len(group):
        promised = max(promised, begins - 1 + count)
    if promised <= count:
        return []
    text = f"{name}: {count} images are there, but its tags count {promised}; the liver may be cut."
    return [Notice("INCOMPLETE_SERIES", text)]
