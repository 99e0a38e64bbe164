"""Phases whose headers share no frame: the shift along z that brings them together, coarsely."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from livercascade.alignment.workers import Workers
from livercascade.alignment.working import box_grid, on_working_grid
from livercascade.data.grid import Grid
from livercascade.data.scan import PhaseVolume

_STEP_MM = 6.0
_CLIP_HU = (-250.0, 250.0)
_MIN_OVERLAP = 0.4
_WITHIN_REACH_MM = 36.0
_BETTER = 0.1


def offset_mm(fixed: PhaseVolume, moving: PhaseVolume, workers: Workers) -> float:
    """Displacement along z in mm from fixed to moving points, 0 unless the headers are clearly wrong.

    Shifts of up to 36 mm, as by breathing, are left to the search for the field. A larger one is taken if the images
    are much more alike with it (correlation of HU clipped to soft tissue better by 0.1), or if by their headers the
    phases hardly overlap.
    """
    own = box_grid(fixed.grid, _STEP_MM)
    still = on_working_grid(fixed, own, 0.0, workers)
    tall = _over_z(own, box_grid(moving.grid, _STEP_MM))
    other = on_working_grid(moving, tall, 0.0, workers)
    start = round((own.origin[2] - tall.origin[2]) / _STEP_MM)
    scores = {
        shift: _likeness(still, other, start + shift) for shift in range(1 - start - len(still), len(other) - start)
    }
    known = {shift: score for shift, score in scores.items() if score is not None}
    if not known:
        return 0.0
    best = max(known, key=lambda shift: (known[shift], -abs(shift)))
    unshifted = scores.get(0)
    small = abs(best) * _STEP_MM <= _WITHIN_REACH_MM
    if unshifted is not None and (small or known[best] < unshifted + _BETTER):
        return 0.0
    return best * _STEP_MM


def _over_z(own: Grid, other: Grid) -> Grid:
    """Rows and columns of the one grid, slices of the other."""
    x, y, _ = own.origin
    return Grid.axial((other.shape[0], *own.shape[1:]), own.spacing, (x, y, other.origin[2]))


def _likeness(fixed: Float32[np.ndarray, "a y x"], moving: Float32[np.ndarray, "b y x"], start: int) -> float | None:
    """Correlation where slice i of the one lies on slice i + start of the other; None if too little overlaps."""
    first, last = max(0, -start), min(len(fixed), len(moving) - start)
    if last - first < _MIN_OVERLAP * min(len(fixed), len(moving)):
        return None
    a = np.clip(fixed[first:last], *_CLIP_HU).ravel()
    b = np.clip(moving[first + start : last + start], *_CLIP_HU).ravel()
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else None
