"""Hard cases: lesions that UNet^whole missed, and findings of its where nothing is, from its label map of a case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from livercascade.data.errors import InputError
from livercascade.data.labels import Organ
from livercascade.data.lesion import Lesion, LesionSet
from livercascade.detect.seg2det import seg2det
from livercascade.reclassification.patches import is_lesion
from livercascade.train.training_cases import read_oriented

MIN_LESION_ML = 0.05
"""Truth and detections below this are too small to be learnt from one by one."""


def prediction_of(folder: Path | None, name: str) -> Path | None:
    """File of the label map that was predicted for a case, if there is one."""
    path = None if folder is None else folder / f"{name}.nii.gz"
    return path if path is not None and path.is_file() else None


def read_prediction(path: Path, labels: UInt8[np.ndarray, "z y x"]) -> UInt8[np.ndarray, "z y x"] | None:
    """Predicted label map 0-13 on the grid of the reference; None if it holds neither liver nor lesion.

    Raises:
        InputError: They differ in shape (``GRID_MISMATCH``).
    """
    guess, _ = read_oriented(path)
    if guess.shape != labels.shape:
        raise InputError(
            "GRID_MISMATCH", f"{path} is {guess.shape}, its case {labels.shape}.", "Predict on the same files."
        )
    # Others may have saved the label map as floating point.
    guess = guess.astype(np.uint8)
    return guess if bool((is_lesion(guess) | (guess == Organ.LIVER)).any()) else None


def hard_lesions(
    lesions: LesionSet, labels: UInt8[np.ndarray, "z y x"], guess: UInt8[np.ndarray, "z y x"]
) -> tuple[tuple[Lesion, ...], tuple[Lesion, ...]]:
    """True lesions that no detection touches, and detections that touch no true lesion.

    Args:
        lesions: True lesions.
        labels: Reference label map; lesions are 1-6.
        guess: Predicted label map on the same grid.
    """
    found, truth = is_lesion(guess), is_lesion(labels)
    missed = tuple(lesion for lesion in lesions if not found[lesion.bbox][lesion.mask].any())
    detections = seg2det(guess, lesions.spacing, min_volume_ml=MIN_LESION_ML)
    return missed, tuple(d for d in detections if not truth[d.bbox][d.mask].any())
