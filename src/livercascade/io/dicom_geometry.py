"""Positions of the slices of one DICOM series, and every reason to refuse them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from livercascade.data.errors import InputError
from livercascade.io.dicom_files import DicomImage

ORIENTATION_TOLERANCE = 2e-3
"""Largest difference of one direction cosine within a series (some writers keep three decimals)."""
_REPAIR = "Fetch the series again from the archive."


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


def tolerance_mm(step: float) -> float:
    """Accepted deviation of a slice position for a slice distance, both in mm."""
    return max(0.05, 0.01 * step)


def place_slices(images: Sequence[DicomImage], name: str) -> SlicePlacement:
    """Sort the slices of one volume by position and prove that they form an even stack.

    InstanceNumber, SliceThickness and SpacingBetweenSlices are not used: they are often wrong.

    Raises:
        InputError: ``TAG_MISSING``, ``BAD_VALUE``, ``TOO_LARGE``, ``TOO_FEW_SLICES``, ``DUPLICATE_POSITION``,
            ``MISSING_SLICES``, ``VARIABLE_SPACING``, ``GANTRY_TILT`` or ``INCONSISTENT_ORIENTATION``, ``..._MATRIX``,
            ``..._SPACING``.
    """
    rows, columns = _one_matrix(images, name)
    orientation = _one_orientation(images, name)
    spacing = _one_spacing(images, name)
    normal = np.cross(orientation[:3], orientation[3:])
    positions = numbers_of(images, "ImagePositionPatient", 3, name)
    order = np.argsort(positions @ normal, kind="stable")
    step = _even_step(positions[order], normal, name)
    affine = np.eye(4)
    affine[:3, 0] = orientation[:3] * spacing[1]
    affine[:3, 1] = orientation[3:] * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = positions[order[0]]
    return SlicePlacement(tuple(images[i] for i in order), affine, rows, columns)


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
        message = f"{name}: {keyword} is absent in {image.path.name}."
        raise InputError("TAG_MISSING", message, "Export the series again from the scanner or archive.")
    try:
        values = [float(part) for part in text.split("\\")]
    except ValueError:
        values = []
    if len(values) != count or not np.all(np.isfinite(values)):
        message = f"{name}: {keyword} is '{text[:40]}' in {image.path.name}."
        raise InputError("BAD_VALUE", message, "Export the series again from the scanner or archive.")
    return values


def _one_matrix(images: Sequence[DicomImage], name: str) -> tuple[int, int]:
    matrix = np.hstack([numbers_of(images, tag, 1, name) for tag in ("Rows", "Columns")]).astype(np.int64)
    if np.any(matrix != matrix[0]):
        odd = images[_odd_one(matrix)].path.name
        raise InputError("INCONSISTENT_MATRIX", f"{name}: {odd} has another matrix than the rest.", _REPAIR)
    rows, columns = (int(n) for n in matrix[0])
    if not (2 <= rows <= 1024 and 2 <= columns <= 1024) or len(images) > 3000:
        message = f"{name}: {len(images)} slices of {rows} x {columns}."
        raise InputError("TOO_LARGE", message, "At most 3000 slices of 1024 x 1024 are accepted.")
    return rows, columns


def _one_orientation(images: Sequence[DicomImage], name: str) -> Float[np.ndarray, " 6"]:
    cosines = numbers_of(images, "ImageOrientationPatient", 6, name)
    middle = np.median(cosines, axis=0)
    apart = np.abs(cosines - middle).max(axis=1)
    if apart.max() > ORIENTATION_TOLERANCE:
        odd = images[int(apart.argmax())].path.name
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
    middle = np.median(spacing, axis=0)
    apart = np.abs(spacing - middle).max(axis=1)
    if apart.max() > 1e-3 * middle.max():
        odd = images[int(apart.argmax())].path.name
        raise InputError("INCONSISTENT_SPACING", f"{name}: PixelSpacing of {odd} differs from the rest.", _REPAIR)
    return middle


def _even_step(
    positions: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, " 3"], name: str
) -> Float[np.ndarray, " 3"]:
    """Vector from slice to slice, along the normal, of sorted positions."""
    if len(positions) < 2:
        raise InputError("TOO_FEW_SLICES", f"{name}: there is one slice only.", "Give the whole series.")
    heights = positions @ normal
    gaps = np.diff(heights)
    typical = float(np.median(gaps))
    _check_duplicates(heights, gaps, typical, name)
    _check_gaps(heights, gaps, typical, name)
    # From end to end: positions are rounded slice by slice, and single gaps would add the rounding up.
    step = (heights[-1] - heights[0]) / (len(positions) - 1)
    _check_tilt(positions, normal, float(step), name)
    return normal * step


def _check_duplicates(heights: Float[np.ndarray, " n"], gaps: Float[np.ndarray, " m"], step: float, name: str) -> None:
    close = gaps < min(0.01, 0.1 * max(step, 0.0)) if step > 0 else gaps <= 0.01
    if close.any():
        message = f"{name}: {int(close.sum())} slices share a position, first at {heights[int(close.argmax())]:.1f} mm."
        raise InputError("DUPLICATE_POSITION", message, "Export one acquisition per series.")


def _check_gaps(heights: Float[np.ndarray, " n"], gaps: Float[np.ndarray, " m"], step: float, name: str) -> None:
    steps = np.rint(gaps / step)
    if np.all(np.abs(gaps - step) <= tolerance_mm(step)):
        return
    if np.all(steps >= 1) and np.all(np.abs(gaps - steps * step) <= tolerance_mm(step) * steps):
        first = int(np.argmax(steps > 1))
        lost = int((steps - 1).sum())
        message = (
            f"{name}: {lost} of {len(heights) + lost} slices are missing, first between "
            f"{heights[first]:.1f} and {heights[first + 1]:.1f} mm."
        )
        raise InputError("MISSING_SLICES", message, _REPAIR)
    message = f"{name}: the slice distance varies from {gaps.min():.2f} to {gaps.max():.2f} mm."
    raise InputError("VARIABLE_SPACING", message, "Export a reconstruction with even spacing.")


def _check_tilt(positions: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, " 3"], step: float, name: str) -> None:
    offsets = positions - positions[0]
    lateral = offsets - np.outer(offsets @ normal, normal)
    line = np.linspace(0, 1, len(positions))[:, None] * lateral[-1]
    if np.linalg.norm(lateral - line, axis=1).max() > tolerance_mm(step):
        message = f"{name}: slices are shifted sideways against each other."
        raise InputError("INCONSISTENT_ORIENTATION", message, _REPAIR)
    per_slice = float(np.linalg.norm(lateral[-1])) / (len(positions) - 1)
    if per_slice > tolerance_mm(step):
        angle = np.degrees(np.arctan2(per_slice, step))
        message = f"{name}: the gantry is tilted by {angle:.1f} degrees."
        raise InputError("GANTRY_TILT", message, "Export a reconstruction without tilt.")


def _odd_one(rows: Int[np.ndarray, "n k"]) -> int:
    _, inverse, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    return int(counts[inverse.reshape(-1)].argmin())
