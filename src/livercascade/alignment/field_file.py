"""Displacement fields in NIfTI as ITK writes them: five dimensions, vector intent, LPS components."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from livercascade.alignment.field import DisplacementField
from livercascade.data.errors import InputError
from livercascade.data.grid import Grid

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_field(path: Path, field: DisplacementField) -> None:
    """Write a field that SimpleITK, ANTs and ITK-SNAP read as vectors in LPS mm from fixed to moving points.

    Args:
        path: ``.nii.gz`` is compressed, ``.nii`` is not.
        field: Same input, same bytes.
    """
    affine = _LPS_FROM_RAS @ field.grid.affine[:, [2, 1, 0, 3]]
    stored = np.transpose(field.vectors_mm, (2, 1, 0, 3))[:, :, :, None, :]
    image = nib.Nifti1Image(stored, affine)
    image.header.set_intent("vector")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1, strip_shears=True)
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    path.write_bytes(gzip.compress(data, compresslevel=3, mtime=0) if path.name.endswith(".gz") else data)


def read_field(path: Path) -> DisplacementField:
    """Field from a file as `write_field`, SimpleITK or ANTs write it.

    Raises:
        InputError: ``FILE_MISSING`` or ``NOT_A_FIELD``.
    """
    if not path.is_file():
        raise InputError("FILE_MISSING", f"{path}: there is no such file.", "Check the path.", stage="register")
    try:
        image = nib.Nifti1Image.from_filename(path)
        shape = image.shape
        if len(shape) != 5 or shape[3:] != (1, 3):
            raise ImageFileError(f"its dimensions are {' x '.join(map(str, shape))}, not x y z 1 3")
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        message = f"{path.name}: this is not a displacement field: {error}."
        raise InputError("NOT_A_FIELD", message, "Give a file as `align` writes it.", stage="register") from error
    affine = _LPS_FROM_RAS @ np.asarray(image.affine)
    vectors = np.ascontiguousarray(np.transpose(data[:, :, :, 0, :], (2, 1, 0, 3)))
    nz, ny, nx = vectors.shape[:3]
    return DisplacementField(Grid.from_affine(affine[:, [2, 1, 0, 3]], (nz, ny, nx)), vectors)
