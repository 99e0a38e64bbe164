"""Which part of a label map is the liver: the body's one large organ, not look-alikes elsewhere."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.data.labels import FIRST_LESION, Organ

SECOND_PIECE_ML = 50.0
"""Detached pieces of at least this volume, and a tenth of the largest, stay: a left lobe may hang free."""


def liver_with_content(mask: UInt8[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Voxels of liver, lesions and hepatic vessels (labels 1-8)."""
    return (mask >= FIRST_LESION) & (mask <= Organ.HEPATIC_VESSELS)


def main_liver(mask: UInt8[np.ndarray, "z y x"], grid: Grid) -> Bool[np.ndarray, "z y x"]:
    """The largest connected piece of `liver_with_content`, and other large pieces that hold mostly liver.

    Args:
        mask: Labels 0-13.
        grid: Gives the voxel volume.
    """
    content = liver_with_content(mask)
    main = np.zeros(mask.shape, dtype=np.bool_)
    # Labelled inside its box alone: the air and the organs around it take most of the time.
    for box in ndimage.find_objects(content.view(np.uint8)):
        pieces, count = ndimage.label(content[box], structure=np.ones((3, 3, 3)))
        liver_ml = np.bincount(pieces[mask[box] == Organ.LIVER], minlength=count + 1) * grid.voxel_ml
        liver_ml[0] = 0.0
        largest = float(liver_ml.max())
        if largest > 0:
            kept = liver_ml >= max(min(SECOND_PIECE_ML, largest), 0.1 * largest)
            kept[0] = False
            main[box] = kept[pieces]
    return main


def without_strays(mask: UInt8[np.ndarray, "z y x"], liver: Bool[np.ndarray, "z y x"]) -> UInt8[np.ndarray, "z y x"]:
    """Labels with liver, lesions and hepatic vessels outside ``liver`` turned to background."""
    out = mask.copy()
    out[liver_with_content(mask) & ~liver] = 0
    return out
