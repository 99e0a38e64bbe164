"""Readers that share no code with the project's own: SimpleITK (GDCM) for files of one slice, highdicom for frames."""

import warnings
from pathlib import Path

import highdicom as hd
import numpy as np
import SimpleITK as sitk

_QUIET = sitk.ProcessObject.SetGlobalWarningDisplay(False)


def series_by_itk(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """HU ``[slice, row, column]`` of the longest series of a folder, and the matrix from its index and 1 to LPS."""
    reader = sitk.ImageSeriesReader()
    series = [reader.GetGDCMSeriesFileNames(str(folder), uid) for uid in reader.GetGDCMSeriesIDs(str(folder))]
    reader.SetFileNames(max(series, key=len))
    return _of_image(reader.Execute())


def nifti_by_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels ``[k, j, i]`` of a NIfTI file, and the matrix from (k, j, i, 1) to LPS."""
    return _of_image(sitk.ReadImage(str(path)))


def frames_by_highdicom(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """HU of an enhanced image, and the matrix from (slice, row, column, 1) to LPS."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        volume = hd.imread(path).get_volume()
    return volume.array, volume.affine


def places_apart_mm(hu: np.ndarray, affine: np.ndarray, other: np.ndarray, other_affine: np.ndarray) -> float:
    """Largest distance of equal voxels of two readings of one image; infinite where their voxels are not the same.

    The other reading may have more slices: which of them are left out is judged elsewhere.

    Args:
        hu: Voxels of one reading.
        affine: Matrix from its index and 1 to LPS.
        other: Voxels of the other.
        other_affine: Its matrix.
    """
    # Where a voxel of the one lies in the other; axes may be swapped and turned.
    index = np.linalg.inv(other_affine) @ affine
    turn = np.rint(index[:3, :3])
    if np.abs(index[:3, :3] - turn).max() * max(hu.shape) > 0.5 or not np.array_equal(turn @ turn.T, np.eye(3)):
        return np.inf
    offset = np.rint(index[:3, 3])
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in hu.shape], indexing="ij"), -1).reshape(-1, 3)
    there = (grid @ turn.T + offset).astype(int)
    if np.any(there < 0) or np.any(there >= other.shape):
        return np.inf
    if not np.array_equal(np.clip(np.rint(other[tuple(there.T)]), -1024, 32767), hu.reshape(-1)):
        return np.inf
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in hu.shape])).reshape(3, -1).T
    own = corners @ affine[:3, :3].T + affine[:3, 3]
    rival = (corners @ turn.T + offset) @ other_affine[:3, :3].T + other_affine[:3, 3]
    return float(np.linalg.norm(own - rival, axis=1).max())


def _of_image(image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix[:, ::-1], image.GetOrigin()
    return sitk.GetArrayFromImage(image), affine
