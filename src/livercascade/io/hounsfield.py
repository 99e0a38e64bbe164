"""Is this CT in Hounsfield units: cleaning of values, and checks that refuse masks and rescaled images."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int16, Shaped

from livercascade.data.errors import InputError
from livercascade.data.notice import Notice
from livercascade.data.scan import OUTSIDE_HU

MAX_BAD_SHARE = 1e-3
"""Largest share of NaN or infinite voxels that is filled rather than refused."""
MAX_HU = 32767
"""Largest HU that int16 holds."""
# Shares of a few per cent are known to 0.1 % from so many voxels.
_SAMPLES = 400_000


def clean_hu(values: Shaped[np.ndarray, "*n"], name: str) -> tuple[Int16[np.ndarray, "*n"], tuple[Notice, ...]]:
    """Whole HU from -1024 on; a few voxels that are not finite become -1024, with a notice.

    Args:
        values: Intensities of any real type.
        name: File or series, for messages.

    Raises:
        InputError: ``BAD_VALUES`` if more than 0.1 % of the voxels are NaN or infinite.
    """
    if np.issubdtype(values.dtype, np.integer):
        return np.clip(values, OUTSIDE_HU, MAX_HU).astype(np.int16, copy=False), ()
    bad = ~np.isfinite(values)
    share = float(bad.mean())
    if share > MAX_BAD_SHARE:
        message = f"{name}: {share:.1%} of the voxels are NaN or infinite."
        raise InputError("BAD_VALUES", message, "Export the image again from the original study.")
    notices = (Notice("BAD_VALUES", f"{name}: {int(bad.sum())} NaN or infinite voxels were set to -1024 HU."),)
    filled = np.where(bad, np.float32(OUTSIDE_HU), values)
    hu = np.clip(np.rint(filled), OUTSIDE_HU, MAX_HU).astype(np.int16)
    return hu, notices if share > 0 else ()


def check_is_ct(hu: Int16[np.ndarray, "*n"], name: str) -> None:
    """Refuse images whose values cannot be Hounsfield units of a body.

    A CT of the abdomen holds air or fat (below -30 HU) and soft tissue (-20 to 150 HU), and little above 700 HU.
    Label maps, images scaled to 0-1 or 0-255 and images shifted by 1024 lack one of these.

    Raises:
        InputError: ``EMPTY_IMAGE`` if all voxels are equal, ``NOT_HU`` if the values are not HU.
    """
    sample = hu.reshape(-1)[:: max(1, hu.size // _SAMPLES)]
    if hu.size == 0 or int(hu.min()) == int(hu.max()):
        raise InputError("EMPTY_IMAGE", f"{name}: all voxels have one value.", "Give the image itself.")
    reason = _why_not_hu(sample)
    if reason:
        message = f"{name}: the values ({int(hu.min())} to {int(hu.max())}) are not Hounsfield units: {reason}."
        raise InputError("NOT_HU", message, "Give the CT itself in HU, not a mask and not a rescaled image.")


def _why_not_hu(sample: Int16[np.ndarray, " n"]) -> str:
    # Lung and gas, fat, soft tissue, and what is denser than most bone; the limits between them lie well apart.
    air = float((sample < -500).mean())
    fat = float(((sample > -150) & (sample < -30)).mean())
    soft = float(((sample > -20) & (sample < 150)).mean())
    body = max(float((sample > -300).mean()), 1e-9)
    dense = float((sample > 700).mean())
    if air < 1e-3 and fat < 5e-3:
        return "there is neither air nor fat"
    if soft < 5e-3:
        return "there is no soft tissue"
    if dense / body > 0.15:
        return "too much is denser than bone, as after a shift by 1024"
    return ""
