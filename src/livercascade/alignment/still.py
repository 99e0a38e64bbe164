"""Whether two phases lay together before anything was searched for."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int16

from livercascade.alignment.field import DisplacementField
from livercascade.alignment.likeness import mutual_information
from livercascade.alignment.working import TISSUE_HU
from livercascade.io.regrid import Placed

_SHARE = 95.0
_EVERY = 2


def nearly_still(found: DisplacementField, offset: float, hu: Int16[np.ndarray, "z y x"], limit_mm: float) -> bool:
    """Whether 95 % of the body moves by no more than the limit.

    Args:
        found: What the search found, on the fixed grid.
        offset: Shift along z in mm that only puts the headers right; it is no motion.
        hu: Fixed phase.
        limit_mm: In mm.
    """
    tissue = hu[:, ::_EVERY, ::_EVERY] > TISSUE_HU
    if not tissue.any():
        return True
    moved = found.vectors_mm[:, ::_EVERY, ::_EVERY][tissue] - np.array((0.0, 0.0, offset), dtype=np.float32)
    return float(np.percentile(np.linalg.norm(moved, axis=-1), _SHARE)) <= limit_mm


def gain(fixed: Int16[np.ndarray, "z y x"], before: Placed, after: Placed) -> float:
    """Mutual information with the fixed phase after over before, where both have data; above 1 it became better."""
    both = before[1] & after[1]
    least = float(np.finfo(np.float64).tiny)
    return mutual_information(fixed, after[0], both) / max(mutual_information(fixed, before[0], both), least)
