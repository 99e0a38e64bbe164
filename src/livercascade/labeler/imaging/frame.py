"""The one place where a file's own axes and the display order meet; nothing is ever resampled."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float, Shaped
from nibabel.orientations import aff2axcodes

from livercascade.data.grid import Grid
from livercascade.io.canonical_orientation import canonical_grid, stored_view
from livercascade.io.nifti import read_head

# NIfTI and nibabel count x and y to the right and front, DICOM and this package to the left and back.
_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Headers in single precision turn straight axes by less; a gantry is tilted by whole degrees.
_OBLIQUE_DEG = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """How an image is stored, and the grid on which it is shown: ``[z, y, x]``, towards head, back and left.

    Attributes:
        grid: Grid of the display order.
        affine_lps: The file's matrix from (i, j, k, 1) to LPS mm.
        header: nibabel's header of the file, to be copied on writing; None for DICOM.
    """

    grid: Grid
    affine_lps: Float[np.ndarray, "4 4"]
    header: Any = field(default=None, repr=False)

    @classmethod
    def of_file(cls, path: Path, *, is_ct: bool = True) -> Frame:
        """Frame of a NIfTI file, from its header alone.

        Raises:
            InputError: As `io.nifti.read_head`, and ``BAD_SPACING``.
        """
        head = read_head(path)
        return cls(canonical_grid(head.shape, head.affine_lps, path.name, is_ct=is_ct), head.affine_lps, head.header)

    @classmethod
    def of_grid(cls, grid: Grid) -> Frame:
        """Frame of an image that is stored in display order, as what was read from DICOM."""
        return cls(grid, grid.affine[:, [2, 1, 0, 3]])

    def stored(self, display: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "i j k"]:
        """The same memory in the file's order."""
        return stored_view(display, self.affine_lps)

    @property
    def stored_codes(self) -> str:
        """Directions of the file's axes, for example ``RAS``."""
        return "".join(str(code) for code in aff2axcodes(_RAS @ self.affine_lps))

    @property
    def oblique_deg(self) -> float:
        """Largest angle between an axis of the grid and the patient's axis it stands for, 0 where it is straight."""
        directions = np.asarray(self.grid.direction)
        cosines = np.clip(np.abs(directions[[0, 1, 2], [2, 1, 0]]), 0, 1)
        angle = math.degrees(float(np.arccos(cosines.min())))
        return round(angle, 1) if angle > _OBLIQUE_DEG else 0.0


def label_file_bytes(mask: Shaped[np.ndarray, "z y x"], frame: Frame, *, keep_type: bool) -> bytes:
    """NIfTI of a label map on the file's own grid, in its axis order, with its qform and sform.

    Args:
        mask: Labels in display order.
        frame: Frame of the file that it goes with.
        keep_type: True keeps the integer type of the file's voxels; else uint8.

    Returns:
        The file, not compressed.
    """
    stored = np.asarray(frame.stored(mask))
    if frame.header is None:
        affine = _RAS @ frame.affine_lps
        image = nib.Nifti1Image(stored.astype(np.uint8), affine)
        # A qform holds a rotation alone; the sform keeps the matrix as it is.
        image.set_qform(affine, code=1, strip_shears=True)
        image.set_sform(affine, code=1)
        image.header.set_xyzt_units("mm")
        return image.to_bytes()
    old: Any = frame.header
    dtype = old.get_data_dtype() if keep_type and old.get_data_dtype().kind in "iu" else np.dtype(np.uint8)
    # The size of its header is what tells NIfTI-2 from NIfTI-1.
    kind = nib.Nifti2Image if old["sizeof_hdr"] == 540 else nib.Nifti1Image
    header: Any = kind.header_class(check=False)
    # Only the geometry is copied: scaling, extensions and texts of the old header belong to the old voxels.
    header.set_data_dtype(dtype)
    image = kind(stored.astype(dtype), None, header)
    for name in ("pixdim", "qform_code", "sform_code", "xyzt_units", "quatern_b", "quatern_c", "quatern_d"):
        image.header[name] = old[name]
    # Copied number by number: nibabel would derive the quaternion from the matrix, and lose the last bits.
    for name in ("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"):
        image.header[name] = old[name]
    return image.to_bytes()
