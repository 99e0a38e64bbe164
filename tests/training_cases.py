"""Tiny training cases: a body with liver, spleen and lesions, as NIfTI files."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

SPACING = (5.0, 1.4, 1.4)
LPS = np.diag([-SPACING[2], -SPACING[1], SPACING[0], 1.0])


def write(path: Path, array: np.ndarray, affine: np.ndarray = LPS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine), path)


def label_map(shape: tuple[int, int, int], lesions: int, rng: np.random.Generator) -> np.ndarray:
    size = np.array(shape)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[_ball(shape, size * [0.5, 0.5, 0.4], size * [0.4, 0.35, 0.3])] = 7
    labels[_ball(shape, size * [0.5, 0.6, 0.85], size * [0.3, 0.12, 0.1])] = 11
    liver = labels == 7
    for _ in range(lesions):
        centre = size * [0.5, 0.5, 0.4] + rng.uniform(-0.5, 0.5, 3) * size * [0.3, 0.25, 0.22]
        labels[_ball(shape, centre, (6.0, 3.0, 3.0)) & liver] = rng.integers(1, 7)
    return labels


def write_case(
    folder: Path, shape: tuple[int, int, int], seed: int, *, phases: str = "nc ap vp dp", lesions: int = 3
) -> np.ndarray:
    """Writes one case and returns its label map."""
    rng = np.random.default_rng(seed)
    labels = label_map(shape, lesions, rng)
    for number, phase in enumerate(phases.split()):
        hu = np.where(labels > 0, 60 + 15 * number, -80) + 40 * (labels % 3) + rng.normal(0, 8, shape)
        write(folder / f"{phase}.nii.gz", hu.astype(np.int16))
    write(folder / "labels.nii.gz", labels)
    return labels


def _ball(shape: tuple[int, int, int], centre: np.ndarray, radius: np.ndarray | tuple[float, ...]) -> np.ndarray:
    at = np.indices(shape).transpose(1, 2, 3, 0)
    return (((at - centre) / np.asarray(radius)) ** 2).sum(-1) < 1
