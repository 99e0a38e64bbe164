"""Volume bins of the paper (Table I)."""

from __future__ import annotations

import numpy as np

_SLACK = 1e-9

VOLUME_BINS: dict[str, float] = {
    "<0.5": 0.0,
    "0.5-2": 0.5,
    "2-4": 2.0,
    "4-8": 4.0,
    "8-16": 8.0,
    "16-64": 16.0,
    ">64": 64.0,
}
"""Lower ends in ml of the paper's bins by name, half open, and of one below them that its volume limit leaves empty."""
BIN_NAMES: tuple[str, ...] = tuple(VOLUME_BINS)


def bin_of(volume_ml: float) -> int:
    """Position in `BIN_NAMES` of a volume in ml.

    >>> [BIN_NAMES[bin_of(v)] for v in (0.4, 0.5, 1.99, 2.0, 64.0)]
    ['<0.5', '0.5-2', '0.5-2', '2-4', '>64']
    """
    # Volumes are whole multiples of a voxel: a sum that should be 2 must not fall below it by rounding.
    return int(np.searchsorted(list(VOLUME_BINS.values()), volume_ml * (1 + _SLACK), side="right")) - 1
