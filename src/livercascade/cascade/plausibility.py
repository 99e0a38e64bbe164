"""Whether there is a liver to be read: refused before the verdict, or warned of, where there is none."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from livercascade.data.errors import InputError
from livercascade.data.grid import Grid
from livercascade.data.notice import Notice
from livercascade.data.scan import Scan
from livercascade.detect.body import body_section, is_trunk

NO_LIVER_ML = 150.0
"""Livers smaller than this are none: the smallest of adults, cirrhotic or resected, hold twice as much."""
SMALL_LIVER_ML = 500.0
CUT_MM2 = 800.0
"""Section of the liver in the first or last slice from which it is cut rather than touched."""


def check_trunk(scan: Scan) -> None:
    """Refuse a head or a limb before the network, which knows trunks only, finds a liver in it.

    Raises:
        InputError: ``NO_LIVER``.
    """
    area_cm2, bone_share = body_section(scan.hu[scan.reference], scan.grid)
    if not is_trunk(area_cm2, bone_share):
        raise InputError(
            "NO_LIVER",
            f"The body's section is {area_cm2:.0f} cm² with {bone_share:.0%} bone: not an adult trunk.",
            "Give a CT of the upper abdomen.",
            stage="segment",
        )


def check_liver(liver: Bool[np.ndarray, "z y x"], grid: Grid) -> None:
    """Refuse a scan without a liver.

    Raises:
        InputError: ``NO_LIVER`` if less than 150 ml were found.
    """
    volume = float(liver.sum()) * grid.voxel_ml
    if volume < NO_LIVER_ML:
        raise InputError(
            "NO_LIVER",
            f"Only {volume:.0f} ml of liver were found in the scan.",
            "Give a CT of the upper abdomen; check orientation and HU.",
            stage="segment",
        )


def liver_notices(liver: Bool[np.ndarray, "z y x"], grid: Grid) -> tuple[Notice, ...]:
    """Warnings about a small liver (``SMALL_LIVER``) or one that the scan cuts off (``LIVER_CUT``)."""
    notices: list[Notice] = []
    volume = float(liver.sum()) * grid.voxel_ml
    if volume < SMALL_LIVER_ML:
        notices.append(Notice("SMALL_LIVER", f"Only {volume:.0f} ml of liver were found; parts may be missing."))
    area = grid.spacing[1] * grid.spacing[2]
    ends = [float(liver[z].sum()) * area for z in (0, -1)]
    if max(ends) > CUT_MM2:
        message = "The liver reaches the first or last slice: volumes are partial, lesions may be missed."
        notices.append(Notice("LIVER_CUT", message))
    return tuple(notices)
