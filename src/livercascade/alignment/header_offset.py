"""The shift that headers got wrong: phases that share no frame of reference, or whose origin a tool lost."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy import fft

from livercascade.alignment.compiled_loops import AlignmentThreads
from livercascade.alignment.registration_grid import box_grid, on_coarse_grid
from livercascade.data.scan import PhaseVolume

_STEP_MM = 6.0
_CLIP_HU = (-250.0, 250.0)
# Least share of the smaller phase, along z, y and x, that must be common.
_MIN_COMMON = (0.4, 0.5, 0.5)
# Breathing moves organs by less along z, and hardly in the slice; beyond it, a correlation better by this much says
# that the headers are wrong. In the slice the outline of the body tells a shift by much less.
_WITHIN_REACH_MM = (36.0, 12.0, 12.0)
_BETTER, _BETTER_SIDEWAYS = 0.1, 0.03
# Slices that show the same tissue correlate by more, and nearly as well as those of the best shift; where they do, the
# headers are right however little is common. Below the least, nothing fits anywhere.
_LEAST = 0.5
_AGREE, _NEARLY = 0.8, 0.05


def header_offset_mm(fixed: PhaseVolume, moving: PhaseVolume, workers: AlignmentThreads) -> tuple[float, float, float]:
    """Shift (x, y, z) in LPS mm from fixed to moving points by which the headers are wrong; 0 unless that is clear.

    The correlation of HU, clipped to soft tissue, over what both phases cover is taken for every shift on a grid of
    6 mm (by FFT, normalised as Padfield, IEEE TIP 2012). Shifts of up to 36 mm along z and 12 mm in the slice, as by
    breathing, are left to the search for the field. A larger one is taken if the correlation is better by 0.1, or 0.03
    for a shift in the slice; or if by their headers the phases have too little in common and, where they have it, do
    not look alike.
    """
    own, other = box_grid(fixed.grid, _STEP_MM), box_grid(moving.grid, _STEP_MM)
    still, moved = (
        np.clip(on_coarse_grid(volume, grid, 0.0, workers), *_CLIP_HU)
        for volume, grid in ((fixed, own), (moving, other))
    )
    # Voxel i of the one lies on voxel i + start of the other by the headers.
    start = [round((a - b) / _STEP_MM) for a, b in zip(own.origin[::-1], other.origin[::-1], strict=True)]
    scores, shifts = _correlations(still, moved)
    by_header = _index_of(start, shifts)
    headers = None if by_header is None else float(scores[by_header])
    enough = np.ones(scores.shape, dtype=np.bool_)
    for axis in range(3):
        common = _common(still.shape[axis], moved.shape[axis], shifts[axis])
        least = _MIN_COMMON[axis] * min(still.shape[axis], moved.shape[axis])
        enough &= np.expand_dims(common >= least, tuple(a for a in range(3) if a != axis))
    if not np.isfinite(scores[enough]).any():
        return 0.0, 0.0, 0.0
    best = np.unravel_index(int(np.nanargmax(np.where(enough, scores, np.nan))), scores.shape)
    offset = [(int(shifts[axis][best[axis]]) - start[axis]) * _STEP_MM for axis in range(3)]
    if scores[best] < _LEAST:
        return 0.0, 0.0, 0.0
    believed = headers is not None and by_header is not None and bool(enough[by_header])
    if headers is not None and np.isfinite(headers):
        if believed and not _clearly_wrong(offset, headers, float(scores[best])):
            return 0.0, 0.0, 0.0
        alike = headers >= max(_AGREE, float(scores[best]) - _NEARLY)
        if not believed and alike and _overlaps_in_plane(still, moved, start):
            return 0.0, 0.0, 0.0
    return offset[2], offset[1], offset[0]


def _clearly_wrong(offset: list[float], headers: float, best: float) -> bool:
    beyond = [abs(mm) > reach for mm, reach in zip(offset, _WITHIN_REACH_MM, strict=True)]
    return (any(beyond) and best >= headers + _BETTER) or (any(beyond[1:]) and best >= headers + _BETTER_SIDEWAYS)


def _overlaps_in_plane(
    fixed: Float32[np.ndarray, "a b c"], moving: Float32[np.ndarray, "d e f"], start: list[int]
) -> bool:
    return all(
        int(_common(fixed.shape[axis], moving.shape[axis], np.array([start[axis]]))[0])
        >= _MIN_COMMON[axis] * min(fixed.shape[axis], moving.shape[axis])
        for axis in (1, 2)
    )


def _index_of(start: list[int], shifts: tuple[Int64[np.ndarray, " _"], ...]) -> tuple[int, int, int] | None:
    """Place of a shift among all; None if nothing is common there."""
    found = [where - int(axis[0]) for where, axis in zip(start, shifts, strict=True)]
    inside = all(0 <= i < len(axis) for i, axis in zip(found, shifts, strict=True))
    return (found[0], found[1], found[2]) if inside else None


def _common(fixed: int, moving: int, shift: Int64[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    """Number of voxels in common along one axis where voxel i of the one lies on i + shift of the other."""
    return np.minimum(fixed, moving - shift) - np.maximum(0, -shift)


def _correlations(
    fixed: Float32[np.ndarray, "a b c"], moving: Float32[np.ndarray, "d e f"]
) -> tuple[Float64[np.ndarray, "_ _ _"], tuple[Int64[np.ndarray, " _"], ...]]:
    """Correlation for every shift with a voxel in common, NaN where one of both is constant; and the shifts by axis."""
    shifts = tuple(np.arange(1 - n, m) for n, m in zip(fixed.shape, moving.shape, strict=True))
    # About their means, float32 is exact enough.
    a, b = fixed - fixed.mean(), moving - moving.mean()
    size = [fft.next_fast_len(n + m - 1, real=True) for n, m in zip(fixed.shape, moving.shape, strict=True)]
    product = fft.irfftn(np.conj(fft.rfftn(a, size)) * fft.rfftn(b, size), size)
    for axis, shift in enumerate(shifts):
        product = np.take(product, shift % size[axis], axis=axis)
    count = np.ones(1)
    for axis, (n, m, shift) in enumerate(zip(fixed.shape, moving.shape, shifts, strict=True)):
        count = count * np.expand_dims(_common(n, m, shift), tuple(k for k in range(3) if k != axis))
    mean_a, mean_b = _sums(a, shifts, moving.shape, -1) / count, _sums(b, shifts, fixed.shape, 1) / count
    variance_a = _sums(a * a, shifts, moving.shape, -1) / count - mean_a**2
    variance_b = _sums(b * b, shifts, fixed.shape, 1) / count - mean_b**2
    spread = np.sqrt(np.maximum(variance_a, 0) * np.maximum(variance_b, 0))
    # Below one HU squared there is nothing to compare.
    known = spread > 1.0
    return np.where(known, (product / count - mean_a * mean_b) / np.where(known, spread, 1.0), np.nan), shifts


def _sums(
    image: Float32[np.ndarray, "a b c"],
    shifts: tuple[Int64[np.ndarray, " _"], ...],
    other: tuple[int, ...],
    sign: int,
) -> Float64[np.ndarray, "_ _ _"]:
    """Sum of an image over what it has in common with one of another shape, for every shift.

    Args:
        image: One of both images.
        shifts: Shifts by axis.
        other: Shape of the other image.
        sign: 1 if voxel i of the other lies on voxel i + shift of this one, -1 if it is the other way round.
    """
    total = image.astype(np.float64)
    for axis, shift in enumerate(shifts):
        length = image.shape[axis]
        running = np.cumsum(np.insert(total, 0, 0.0, axis=axis), axis=axis)
        first = np.clip(sign * shift, 0, length)
        last = np.clip(sign * shift + other[axis], 0, length)
        total = np.take(running, last, axis=axis) - np.take(running, first, axis=axis)
    return total
