"""Is this a trunk at all: size and bone of the body's cross-sections, before any network runs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int16
from scipy import ndimage

from livercascade.data.grid import Grid

BODY_HU, BONE_HU = -300, 300
SMALL_CM2, HEAD_CM2, HEAD_BONE = 200.0, 350.0, 0.07
"""No adult trunk is under 200 cm²; a head is under 350 cm² and its section is more than 7 % bone."""


def is_trunk(area_cm2: float, bone_share: float) -> bool:
    """False for the cross-section of a head, a limb or a phantom, see `body_section`.

    >>> is_trunk(550.0, 0.05), is_trunk(250.0, 0.12)
    (True, False)
    """
    return area_cm2 >= (HEAD_CM2 if bone_share > HEAD_BONE else SMALL_CM2)


def body_section(hu: Int16[np.ndarray, "z y x"], grid: Grid) -> tuple[float, float]:
    """Typical cross-section of the body in cm², and the fraction of bone in it, 0 to 1, from up to 24 slices.

    The area is the upper quartile over the slices of the largest connected section with its holes filled, the fraction
    of bone the median of what is above 300 HU in it.

    Args:
        hu: One phase.
        grid: Gives the size of a pixel.
    """
    slices = np.unique(np.linspace(0, hu.shape[0] - 1, 24).astype(int))
    # Pixels of 2 mm suffice for an area, and labelling takes a fraction of the time.
    step = max(1, round(2.0 / grid.spacing[2]))
    pixel_cm2 = grid.spacing[1] * grid.spacing[2] * step**2 / 100.0
    areas, bones = zip(*(_section(hu[z, ::step, ::step]) for z in slices), strict=True)
    return float(np.quantile(areas, 0.75)) * pixel_cm2, float(np.median(bones))


def _section(plane: Int16[np.ndarray, "y x"]) -> tuple[int, float]:
    """Pixels of the largest piece of body, and the share of bone in it."""
    # Table and clothes are pieces of their own; the largest is the body.
    pieces = np.asarray(ndimage.label(plane > BODY_HU)[0])
    sizes = np.bincount(pieces.ravel())[1:]
    if sizes.size == 0:
        return 0, 0.0
    body = np.asarray(ndimage.binary_fill_holes(pieces == int(sizes.argmax()) + 1))
    return int(body.sum()), float((plane[body] > BONE_HU).mean())
