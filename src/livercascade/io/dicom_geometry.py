"""Positions of the slices of one DICOM series, and every reason to refuse them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from livercascade.data.errors import InputError
from livercascade.io.dicom_header import DicomImage
from livercascade.system.files import shown

ORIENTATION_TOLERANCE = 2e-3
"""Largest difference of one direction cosine within a series (some writers keep three decimals)."""
MAX_PIXELS, MAX_SLICES = 1024, 3000
"""Largest accepted matrix along a side, and number of slices."""
_REPAIR = "Fetch the series again from the archive."
_RESAMPLE = "Or let --resample interpolate, which the result tells."
# Share of the distances that may be wide before a stack counts as unevenly spaced rather than as incomplete.
_MAX_WIDE = 0.25
# Lesions of 1 cm must not fall into an interpolated gap.
_WIDEST_MM = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class SlicePlacement:
    """Slices sorted along their normal, at even distances.

    Attributes:
        images: Slices in order.
        affine_lps: Matrix from (column, row, slice, 1) to LPS mm.
        rows: Height of the matrix.
        columns: Width of the matrix.
    """

    images: tuple[DicomImage, ...]
    affine_lps: Float[np.ndarray, "4 4"]
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, eq=False)
class UnevenSlices:
    """Slices sorted along their normal, at any distances.

    Attributes:
        slices: Slices in order, with the matrix of the first one and the step of `step_mm`.
        heights_mm: Height of each slice above the first.
        sideways: Shift of each slice against the first along a row and along a column, in pixels.
        step_mm: Usual distance of slices.
    """

    slices: SlicePlacement
    heights_mm: Float[np.ndarray, " n"]
    sideways: Float[np.ndarray, "n 2"]
    step_mm: float


def tolerance_mm(step: float) -> float:
    """Accepted deviation of a slice position from its place for a slice distance, both in mm.

    A position written with one decimal is up to 0.05 mm off, and a little more from the line through all of them.
    """
    return min(0.1, max(0.055, 0.01 * step))


def place_slices(images: Sequence[DicomImage], name: str) -> SlicePlacement:
    """Sort the slices of one volume by position and prove that they form an even stack.

    InstanceNumber, SliceThickness and SpacingBetweenSlices are not used: they are often wrong.

    Raises:
        InputError: ``TAG_MISSING``, ``BAD_VALUE``, ``TOO_LARGE``, ``TOO_FEW_SLICES``, ``DUPLICATE_POSITION``,
            ``MISSING_SLICES``, ``VARIABLE_SPACING``, ``GANTRY_TILT`` or ``INCONSISTENT_ORIENTATION``, ``..._MATRIX``,
            ``..._SPACING``.
    """
    frame, positions = _sorted_slices(images, name)
    axes = frame.affine_lps[:3, :2] / np.linalg.norm(frame.affine_lps[:3, :2], axis=0)
    normal = np.cross(axes[:, 0], axes[:, 1])
    step, first = _even_step(positions, normal, name)
    # The line through all slices, not the first slice, whose position may be rounded, says where they are.
    frame.affine_lps[:3, 3] += (first - positions[0] @ normal) * normal
    frame.affine_lps[:3, 2] = step
    return frame


def place_uneven_slices(images: Sequence[DicomImage], name: str) -> UnevenSlices:
    """Slices of one volume that need not be evenly spaced or straight above each other, for resampling.

    Raises:
        InputError: As `place_slices`, but ``MISSING_SLICES``, ``VARIABLE_SPACING`` and ``GANTRY_TILT`` only beyond what
            may be interpolated: gaps of more than three slice distances, or of more than 15 mm.
    """
    frame, positions = _sorted_slices(images, name)
    if len(images) < 2:
        raise InputError("TOO_FEW_SLICES", f"{name}: there is one slice only.", "Give the whole series.")
    axes = frame.affine_lps[:3, :2] / np.linalg.norm(frame.affine_lps[:3, :2], axis=0)
    normal = np.cross(axes[:, 0], axes[:, 1])
    heights = positions @ normal
    _check_duplicates(heights, name)
    sideways_step(positions, normal, name)
    places = places_of(heights)
    gaps = np.diff(heights)
    step = float(np.median(gaps)) if places is None else even_line(heights, places)[0]
    if gaps.max() > min(3.01 * step, _WIDEST_MM):
        raise _uneven(heights, name)
    sideways = (positions - positions[0]) @ axes / np.linalg.norm(frame.affine_lps[:3, :2], axis=0)
    frame.affine_lps[:3, 2] = normal * step
    return UnevenSlices(frame, heights - heights[0], sideways, step)


def _sorted_slices(images: Sequence[DicomImage], name: str) -> tuple[SlicePlacement, Float[np.ndarray, "n 3"]]:
    """Slices sorted along their normal with the matrix of the first one, without a step, and their positions."""
    rows, columns = _one_matrix(images, name)
    orientation = _one_orientation(images, name)
    spacing = _one_spacing(images, name)
    positions = numbers_of(images, "ImagePositionPatient", 3, name)
    order = np.argsort(positions @ np.cross(orientation[:3], orientation[3:]), kind="stable")
    affine = np.eye(4)
    affine[:3, 0] = orientation[:3] * spacing[1]
    affine[:3, 1] = orientation[3:] * spacing[0]
    affine[:3, 3] = positions[order[0]]
    return SlicePlacement(tuple(images[i] for i in order), affine, rows, columns), positions[order]


def normal_of(image: DicomImage, name: str) -> Float[np.ndarray, " 3"]:
    """Unit normal of a slice in LPS.

    Raises:
        InputError: ``TAG_MISSING`` or ``BAD_VALUE``.
    """
    cosines = numbers_of([image], "ImageOrientationPatient", 6, name)[0]
    return np.cross(cosines[:3], cosines[3:])


def height_of(images: Sequence[DicomImage], name: str) -> Float[np.ndarray, " n"]:
    """Position of each slice along the normal of the first one, in mm.

    Raises:
        InputError: ``TAG_MISSING`` or ``BAD_VALUE``.
    """
    return numbers_of(images, "ImagePositionPatient", 3, name) @ normal_of(images[0], name)


def numbers_of(images: Sequence[DicomImage], keyword: str, count: int, name: str) -> Float[np.ndarray, "n count"]:
    """Values of a numeric tag per slice.

    Raises:
        InputError: ``TAG_MISSING`` where the tag is absent, ``BAD_VALUE`` where it is not ``count`` finite numbers.
    """
    return np.array([_numbers(image, keyword, count, name) for image in images], dtype=np.float64)


def _numbers(image: DicomImage, keyword: str, count: int, name: str) -> list[float]:
    text = image.text(keyword)
    if not text:
        message = f"{name}: {keyword} is absent in {shown(image.path.name)}."
        raise InputError("TAG_MISSING", message, "Export the series again from the scanner or archive.")
    try:
        values = [float(part) for part in text.split("\\")]
    except ValueError:
        values = []
    if len(values) != count or not np.all(np.isfinite(values)):
        message = f"{name}: {keyword} is '{text[:40]}' in {shown(image.path.name)}."
        raise InputError("BAD_VALUE", message, "Export the series again from the scanner or archive.")
    return values


def _one_matrix(images: Sequence[DicomImage], name: str) -> tuple[int, int]:
    matrix = np.hstack([numbers_of(images, tag, 1, name) for tag in ("Rows", "Columns")])
    if np.any(matrix != matrix[0]):
        odd = shown(images[_odd_one(matrix)].path.name)
        raise InputError("INCONSISTENT_MATRIX", f"{name}: {odd} has another matrix than the rest.", _REPAIR)
    rows, columns = (float(n) for n in matrix[0])
    if not (2 <= rows <= MAX_PIXELS and 2 <= columns <= MAX_PIXELS) or len(images) > MAX_SLICES:
        message = f"{name}: {len(images)} slices of {rows:g} x {columns:g}."
        remedy = f"At most {MAX_SLICES} slices of {MAX_PIXELS} x {MAX_PIXELS} are accepted."
        raise InputError("TOO_LARGE", message, remedy)
    return int(rows), int(columns)


def _one_orientation(images: Sequence[DicomImage], name: str) -> Float[np.ndarray, " 6"]:
    cosines = numbers_of(images, "ImageOrientationPatient", 6, name)
    middle = np.median(cosines, axis=0)
    apart = np.abs(cosines - middle).max(axis=1)
    if apart.max() > ORIENTATION_TOLERANCE:
        odd = shown(images[int(apart.argmax())].path.name)
        raise InputError("INCONSISTENT_ORIENTATION", f"{name}: {odd} is turned against the rest.", _REPAIR)
    row, column = middle[:3], middle[3:]
    sizes = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(sizes[0] - 1), abs(sizes[1] - 1), abs(float(row @ column))) > 1e-2:
        raise InputError("BAD_VALUE", f"{name}: ImageOrientationPatient is not a pair of unit vectors.", _REPAIR)
    # Gram-Schmidt: rounding of the cosines must not shear the grid.
    row = row / sizes[0]
    column = column - (column @ row) * row
    return np.concatenate([row, column / np.linalg.norm(column)])


def _one_spacing(images: Sequence[DicomImage], name: str) -> Float[np.ndarray, " 2"]:
    spacing = numbers_of(images, "PixelSpacing", 2, name)
    if spacing.min() <= 0:
        raise InputError("BAD_VALUE", f"{name}: PixelSpacing is {spacing.min():g} mm.", _REPAIR)
    middle = np.median(spacing, axis=0)
    apart = np.abs(spacing - middle).max(axis=1)
    if apart.max() > 1e-3 * middle.max():
        odd = shown(images[int(apart.argmax())].path.name)
        raise InputError("INCONSISTENT_SPACING", f"{name}: PixelSpacing of {odd} differs from the rest.", _REPAIR)
    return middle


def _even_step(
    positions: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, " 3"], name: str
) -> tuple[Float[np.ndarray, " 3"], float]:
    """Vector from slice to slice, along the normal, of sorted positions, and the height of the first slice."""
    if len(positions) < 2:
        raise InputError("TOO_FEW_SLICES", f"{name}: there is one slice only.", "Give the whole series.")
    heights = positions @ normal
    _check_duplicates(heights, name)
    step, first, apart = even_line(heights, np.arange(len(heights), dtype=np.float64))
    if apart > tolerance_mm(step):
        raise _uneven(heights, name)
    _check_tilt(positions, normal, step, name)
    return normal * step, first


def even_line(heights: Float[np.ndarray, " n"], places: Float[np.ndarray, " n"]) -> tuple[float, float, float]:
    """Line through heights that is nowhere further off than any other line would be somewhere.

    Args:
        heights: Positions along the normal in mm.
        places: Number of each slice in the stack, ascending.

    Returns:
        Slope in mm for each place, height at place 0 in mm, and the largest distance of a height from the line in mm.
    """
    slope = float(np.polyfit(places, heights, 1)[0])
    # How far a slope misses is convex in it: golden section finds the least, from well beyond any rounding.
    reach = float(np.ptp(heights - slope * places)) / max(float(places[-1] - places[0]), 1.0) + 1e-9
    low, high, ratio = slope - reach, slope + reach, (5**0.5 - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if np.ptp(heights - left * places) <= np.ptp(heights - right * places):
            high = right
        else:
            low = left
    slope = (low + high) / 2
    rest = heights - slope * places
    return slope, float(rest.max() + rest.min()) / 2, float(np.ptp(rest)) / 2


def places_of(heights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"] | None:
    """Number of each slice in a stack with gaps, ascending from 0; None where the heights lie on no even stack."""
    gaps = np.diff(heights)
    step = float(np.median(gaps))
    steps = np.ones(len(gaps))
    for _ in range(3):
        steps = np.maximum(np.rint(gaps / step), 1)
        # Single steps first: many small errors of rounding would add up over a wide gap.
        step = float(gaps[steps == 1].mean()) if np.any(steps == 1) else step
    places = np.concatenate([[0.0], np.cumsum(steps)])
    fitted, _, apart = even_line(heights, places)
    return places if apart <= tolerance_mm(fitted) else None


def _check_duplicates(heights: Float[np.ndarray, " n"], name: str) -> None:
    gaps = np.diff(heights)
    close = gaps < min(0.01, 0.1 * max(float(np.median(gaps)), 0.0)) if np.median(gaps) > 0 else gaps <= 0.01
    if close.any():
        message = f"{name}: {int(close.sum())} slices share a position, first at {heights[int(close.argmax())]:.1f} mm."
        raise InputError("DUPLICATE_POSITION", message, "Export one acquisition per series.")


def _uneven(heights: Float[np.ndarray, " n"], name: str) -> InputError:
    gaps = np.diff(heights)
    places = places_of(heights)
    wide = np.diff(places) > 1 if places is not None else np.zeros(len(gaps), dtype=np.bool_)
    # Wide gaps everywhere are no loss but another distance of slices.
    if places is not None and wide.any() and wide.mean() <= _MAX_WIDE:
        first, lost = int(wide.argmax()), int(places[-1]) + 1 - len(heights)
        message = (
            f"{name}: {lost} of {len(heights) + lost} slices are missing, first between "
            f"{heights[first]:.1f} and {heights[first + 1]:.1f} mm."
        )
        return InputError("MISSING_SLICES", message, f"{_REPAIR} {_RESAMPLE}")
    message = f"{name}: the slice distance varies from {gaps.min():.3f} to {gaps.max():.3f} mm."
    return InputError("VARIABLE_SPACING", message, f"Export a reconstruction with even spacing. {_RESAMPLE}")


def _check_tilt(positions: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, " 3"], step: float, name: str) -> None:
    per_slice = sideways_step(positions, normal, name)
    if per_slice > tolerance_mm(step):
        angle = np.degrees(np.arctan2(per_slice, step))
        message = f"{name}: the gantry is tilted by {angle:.1f} degrees."
        raise InputError("GANTRY_TILT", message, f"Export a reconstruction without tilt. {_RESAMPLE}")


def sideways_step(positions: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, " 3"], name: str) -> float:
    """Sideways shift from slice to slice in mm of sorted positions, as a tilted gantry gives.

    Raises:
        InputError: ``INCONSISTENT_ORIENTATION`` if the corners of the slices do not lie on one line.
    """
    offsets = positions - positions[0]
    heights = offsets @ normal
    lateral = offsets - np.outer(heights, normal)
    line = (heights / heights[-1])[:, None] * lateral[-1]
    step = float(np.median(np.diff(heights)))
    if np.linalg.norm(lateral - line, axis=1).max() > 2 * tolerance_mm(step):
        message = f"{name}: slices are shifted sideways against each other."
        raise InputError("INCONSISTENT_ORIENTATION", message, _REPAIR)
    return float(np.linalg.norm(lateral[-1])) / (len(positions) - 1)


def _odd_one(rows: Float[np.ndarray, "n k"]) -> int:
    _, inverse, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    return int(counts[inverse.reshape(-1)].argmin())
