"""Canonical orientation of an array and its affine: z to the head, y to the back, x to the left (LPS)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid

IN_PLANE_MM = (0.2, 3.0)
"""Allowed pixel spacing along x and y in mm."""
BETWEEN_SLICES_MM = (0.2, 12.0)
"""Allowed spacing along z in mm."""
MAX_SHEAR = 2e-3
"""Largest cosine between two axes of a grid; 1 would be parallel."""
ANY_MM = (0.05, 50.0)
"""Allowed spacing of label maps, which need not be those of a CT; less or more is a wrong unit."""
# Rounding of a spacing that lies on the limit.
_SLACK = 1e-3


def to_canonical_orientation(
    array: Shaped[np.ndarray, "i j k"], affine_lps: Float[np.ndarray, "4 4"], name: str, *, is_ct: bool = True
) -> tuple[Shaped[np.ndarray, "z y x"], Grid]:
    """Array ``[z, y, x]`` and its grid from an array ``[i, j, k]`` and the matrix from (i, j, k, 1) to LPS mm.

    Axes are only swapped and flipped, never resampled: z is the axis nearest to the head-foot direction.

    Args:
        array: Voxels in the order of the file.
        affine_lps: Matrix from (i, j, k, 1) to LPS mm.
        name: File or series, for messages.
        is_ct: False allows voxels that no abdominal CT has.

    Raises:
        InputError: ``BAD_AFFINE``, ``SHEARED`` or ``BAD_SPACING``.
    """
    i, j, k = array.shape
    grid = canonical_grid((i, j, k), affine_lps, name, is_ct=is_ct)
    return np.transpose(apply_orientation(array, io_orientation(affine_lps))), grid


def stored_view(
    array: Shaped[np.ndarray, "z y x"], affine_lps: Float[np.ndarray, "4 4"]
) -> Shaped[np.ndarray, "i j k"]:
    """The same memory in the axis order of the file: inverse of `to_canonical_orientation`, writable if ``array`` is.

    Args:
        array: Array in canonical orientation.
        affine_lps: Matrix of the file from (i, j, k, 1) to LPS mm.
    """
    orientation = io_orientation(affine_lps)
    turned = np.transpose(np.transpose(array), [int(axis) for axis in orientation[:, 0]])
    return turned[tuple(slice(None, None, int(flip)) for flip in orientation[:, 1])]


def canonical_grid(
    shape: tuple[int, int, int], affine_lps: Float[np.ndarray, "4 4"], name: str, *, is_ct: bool = True
) -> Grid:
    """The grid that `to_canonical_orientation` gives an array ``[i, j, k]`` of this shape.

    Raises:
        InputError: As `to_canonical_orientation`.
    """
    check_affine(affine_lps, name)
    orientation = io_orientation(affine_lps)
    affine = affine_lps @ inv_ornt_aff(orientation, shape)
    # Row i of the orientation names the output axis of input axis i; canonical orientation has that order reversed.
    ordered = [0, 0, 0]
    for length, axis in zip(shape, orientation[:, 0], strict=True):
        ordered[2 - int(axis)] = length
    grid = Grid.from_affine(affine[:, [2, 1, 0, 3]], (ordered[0], ordered[1], ordered[2]))
    check_spacing(grid, name, is_ct=is_ct)
    return grid


def check_affine(affine: Float[np.ndarray, "4 4"], name: str) -> None:
    """Refuse a matrix that is not finite, is singular, or whose axes are not at right angles.

    Raises:
        InputError: ``BAD_AFFINE`` or ``SHEARED``.
    """
    columns = np.asarray(affine, dtype=np.float64)[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    if not np.all(np.isfinite(affine)) or not np.all(lengths > 0):
        raise bad_affine(name, "it has zeros or values that are not finite")
    unit = columns / lengths
    if abs(np.linalg.det(unit)) < 1e-3:
        raise bad_affine(name, "it is singular")
    shear = np.abs(unit.T @ unit - np.eye(3)).max()
    if shear > MAX_SHEAR:
        message = f"{name}: axes are not at right angles (cosine {shear:.3f})."
        raise InputError("SHEARED", message, "Resample the image to an orthogonal grid first.")


def check_spacing(grid: Grid, name: str, *, is_ct: bool = True) -> None:
    """Refuse voxels that no abdominal CT has, or no image at all, as when metres were written for millimetres.

    Raises:
        InputError: ``BAD_SPACING``.
    """
    for axis, value in zip("zyx", grid.spacing, strict=True):
        low, high = (BETWEEN_SLICES_MM if axis == "z" else IN_PLANE_MM) if is_ct else ANY_MM
        if not low - _SLACK <= value <= high + _SLACK:
            message = f"{name}: spacing along {axis} is {value:g} mm, expected {low:g} to {high:g} mm."
            raise InputError("BAD_SPACING", message, "Check the unit of the header, or resample the image.")


def bad_affine(name: str, reason: str) -> InputError:
    """Error ``BAD_AFFINE`` for a file whose position in space cannot be used."""
    message = f"{name}: the matrix that places the image in space cannot be used: {reason}."
    return InputError("BAD_AFFINE", message, "Convert the study from DICOM again.")
