"""Outlines of lesions that were drawn too tight, made looser."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from livercascade.data.coverage import IGNORED, UNKNOWN_LESION
from livercascade.data.grid import Triple
from livercascade.data.labels import Organ


class Loosening(StrEnum):
    """What is done with the voxels that touch a lesion."""

    DILATE = "dilate"
    """They become lesion."""
    IGNORE = "ignore"
    """Nothing is said of them."""


def loosen(
    labels: UInt8[np.ndarray, "z y x"], spacing: Triple, over_ml: float, how: Loosening
) -> UInt8[np.ndarray, "z y x"]:
    """A stored label map whose lesions of unknown type above a volume are one voxel wider, inside the liver.

    Half-automatic outlines of large, uneven tumours run half-way between lesion and liver, and those of radiologists
    further out. Only voxels that touch a lesion by a face, and are labelled liver or its vessels, change.

    Args:
        labels: 0-14, and 255.
        spacing: Voxel spacing (z, y, x) in mm.
        over_ml: Smaller lesions keep their outline.
        how: What becomes of the rim.
    """
    parts, count = ndimage.label(labels == UNKNOWN_LESION)
    if not count:
        return labels.copy()
    volumes = np.bincount(parts.ravel()) * (float(np.prod(spacing)) / 1000.0)
    large = volumes > over_ml
    large[0] = False
    rim = np.asarray(ndimage.binary_dilation(large[parts])) & np.isin(labels, (Organ.LIVER, Organ.HEPATIC_VESSELS))
    out = labels.copy()
    out[rim] = UNKNOWN_LESION if how is Loosening.DILATE else IGNORED
    return out
