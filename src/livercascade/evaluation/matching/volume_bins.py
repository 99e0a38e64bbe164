"""Lesions by type and volume (paper, Table I)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase
from livercascade.evaluation.evaluation_settings import EvaluationSettings

_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Bin:
    """Volumes from ``low`` up to but not including ``high``, in ml."""

    name: str
    low: float
    high: float


BINS: tuple[Bin, ...] = (
    Bin("<0.5", 0.0, 0.5),
    Bin("0.5-2", 0.5, 2.0),
    Bin("2-4", 2.0, 4.0),
    Bin("4-8", 4.0, 8.0),
    Bin("8-16", 8.0, 16.0),
    Bin("16-64", 16.0, 64.0),
    Bin(">64", 64.0, float("inf")),
)
"""The paper's volume bins, half open, and one below them that its volume limit leaves empty."""


def bin_of(volume_ml: float) -> int:
    """Position in `BINS` of a volume in ml.

    >>> [BINS[bin_of(v)].name for v in (0.4, 0.5, 1.99, 2.0, 64.0)]
    ['<0.5', '0.5-2', '0.5-2', '2-4', '>64']
    """
    # Volumes are whole multiples of a voxel: a sum that should be 2 must not fall below it by rounding.
    return int(np.searchsorted([b.low for b in BINS], volume_ml * (1 + _SLACK), side="right")) - 1


def lesions_by_volume(cases: Iterable[EvaluatedCase], settings: EvaluationSettings) -> Int[np.ndarray, "6 bins"]:
    """Number of true lesions by type and volume bin (paper, Table I)."""
    table = np.zeros((6, len(BINS)), dtype=np.int64)
    for case in cases:
        for lesion in case.truth:
            if settings.counts(lesion.volume_ml):
                table[lesion.label - 1, bin_of(lesion.volume_ml)] += 1
    return table
