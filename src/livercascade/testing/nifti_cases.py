"""Tiny training cases: a body with liver, spleen and lesions, as NIfTI files."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from livercascade.data.grid import Shape
from livercascade.data.labels import Organ

CASE_SPACING = (5.0, 1.4, 1.4)
"""Spacing (z, y, x) of the cases in mm."""
LPS_AFFINE = np.diag([-CASE_SPACING[2], -CASE_SPACING[1], CASE_SPACING[0], 1.0])
"""NIfTI's matrix of an axial grid of that spacing."""


def write_array(path: Path, array: Shaped[np.ndarray, "z y x"], affine: np.ndarray = LPS_AFFINE) -> None:
    """Write an array ``[z, y, x]`` as NIfTI by nibabel alone, so that the package's own writer has a rival."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine), path)


def random_labels(shape: Shape, lesions: int, rng: np.random.Generator) -> UInt8[np.ndarray, "z y x"]:
    """Label map of a liver with lesions of random types, and a spleen."""
    size = np.array(shape)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[_ball(shape, size * [0.5, 0.5, 0.4], size * [0.4, 0.35, 0.3])] = Organ.LIVER
    labels[_ball(shape, size * [0.5, 0.6, 0.85], size * [0.3, 0.12, 0.1])] = Organ.SPLEEN
    liver = labels == Organ.LIVER
    for _ in range(lesions):
        centre = size * [0.5, 0.5, 0.4] + rng.uniform(-0.5, 0.5, 3) * size * [0.3, 0.25, 0.22]
        labels[_ball(shape, centre, np.array((6.0, 3.0, 3.0))) & liver] = rng.integers(1, 7)
    return labels


def write_training_case(
    folder: Path, shape: Shape, seed: int, *, phases: str = "nc ap vp dp", lesions: int = 3
) -> UInt8[np.ndarray, "z y x"]:
    """Write one case, ``labels.nii.gz`` and a file for each phase, and return its label map.

    Args:
        folder: The case's folder, made if absent.
        shape: Voxels along z, y, x.
        seed: Seed of lesions and noise.
        phases: Phases to write, in words.
        lesions: Number of lesions; later ones may lie over earlier ones.
    """
    rng = np.random.default_rng(seed)
    labels = random_labels(shape, lesions, rng)
    for number, phase in enumerate(phases.split()):
        hu = np.where(labels > 0, 60 + 15 * number, -80) + 40 * (labels % 3) + rng.normal(0, 8, shape)
        write_array(folder / f"{phase}.nii.gz", hu.astype(np.int16))
    write_array(folder / "labels.nii.gz", labels)
    return labels


def _ball(shape: Shape, centre: np.ndarray, radius: np.ndarray) -> Bool[np.ndarray, "z y x"]:
    at = np.indices(shape).transpose(1, 2, 3, 0)
    return (((at - centre) / radius) ** 2).sum(-1) < 1
