"""Contrast phase from the image alone: HU of aorta and liver, found by their position beside the spinal canal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, Phase

# Averaging to this size brings the noise of thin slices below the differences between phases.
_STEP_MM = 2.0
_SLICE_MM = 8.0
# Marrow of the spine is brighter than this, in a smoothed image.
_BONE_HU, _BLUR_MM = 135, 1.4
# Sides of the square ring of bone round the canal, and the canal's HU; the least score of it in a slice.
_RING_MM, _CANAL_HU, _LEAST_RING = (38.0, 20.0), (-20.0, 90.0), 0.2
_CANAL_SLICES, _BEND_MM, _BODY_MM2 = 3, 30.0, 8000.0
# The canal lies behind this share of the body's depth, in front of so many mm at the back, near the middle.
_BACK, _MIDDLE_MM, _BEHIND = (0.55, 18.0), 35.0, 0.35
# A square that fits into an aorta.
_DISC_MM = 12.0
_ALIKE, _ALIKE_SHARE = (12.0, 0.1), 0.5
# Offsets from the centre of the spinal canal in mm, LPS; the body of the vertebra lies between canal and aorta.
_AORTA_Y, _AORTA_X = (-80.0, -46.0), (-12.0, 45.0)
_LIVER_Y, _LIVER_X = (-150.0, -10.0), (-130.0, -45.0)
# Even voxels of a slice that is taken for one through the liver, and slices of 8 mm that make one.
_LIVER_VOXELS, _LIVER_SLICES = 60, 7
# Enhancement in HU over non-contrast per phase, mean and spread between patients beside that of the dose, of aorta and
# liver (CLINICAL protocols at 120 kV; a late arterial phase is wide, since its time is missed most often).
_AORTA: Mapping[Phase, tuple[float, float]] = {
    Phase.NC: (0, 9),
    Phase.AP: (255, 75),
    Phase.VP: (112, 22),
    Phase.DP: (67, 15),
}
_LIVER: Mapping[Phase, tuple[float, float]] = {
    Phase.NC: (0, 8),
    Phase.AP: (15, 10),
    Phase.VP: (50, 13),
    Phase.DP: (34, 11),
}
_AORTA_NC_HU = 43.0
# Dose and tube voltage scale all enhancement of a patient; livers differ before contrast, fatty ones by much.
_GAINS, _GAIN_WEIGHTS = (0.7, 0.85, 1.0, 1.2, 1.45), (0.1, 0.22, 0.34, 0.22, 0.12)
_LIVERS_HU, _LIVER_WEIGHTS = (10.0, 30.0, 45.0, 55.0, 68.0), (0.05, 0.12, 0.3, 0.4, 0.13)
PATIENT_WEIGHTS = np.outer(_GAIN_WEIGHTS, _LIVER_WEIGHTS).ravel()
"""Probability of each of the m patients of `organ_likelihoods`."""
# Share of measurements that are of something else, spread over the range of HU.
_OUTLIERS, _RANGE_HU = 0.02, 500.0
# Far fewer studies have a delayed phase than a venous one.
_RARE_DELAYED = 0.6


@dataclass(frozen=True, slots=True)
class OrganHu:
    """HU of two organs in one volume.

    Attributes:
        aorta: HU of the aorta; None if it was not found.
        liver: Most frequent HU of the right upper abdomen; None if nothing homogeneous is there.
    """

    aorta: float | None
    liver: float | None

    @property
    def measured(self) -> bool:
        """True if any organ was found."""
        return self.aorta is not None or self.liver is not None


def measure_organ_hu(hu: Int16[np.ndarray, "z y x"], grid: Grid) -> OrganHu:
    """HU of aorta and liver of a volume in canonical orientation."""
    coarse, spacing = _coarse(hu, grid)
    canal = _canal(coarse, spacing)
    if canal is None:
        return OrganHu(None, None)
    smooth, rough = _smooth_and_rough(coarse, spacing)
    return OrganHu(_aorta(smooth, rough, canal, spacing), _liver(smooth, rough, canal, spacing))


def phase_probabilities(found: OrganHu) -> dict[Phase, float]:
    """Probability of each phase by one volume alone, all equal where nothing was measured."""
    if not found.measured:
        return dict.fromkeys(PHASES, 1 / len(PHASES))
    weights = np.exp(organ_likelihoods(found)) @ PATIENT_WEIGHTS
    return dict(zip(PHASES, (weights / weights.sum()).tolist(), strict=True))


def organ_likelihoods(found: OrganHu) -> Float64[np.ndarray, "4 m"]:
    """Log likelihood of what was measured for each phase, and for each of m patients that may lie behind it.

    A patient is a dose (factor on all enhancement) and a liver (HU before contrast). The mean over patients by
    `PATIENT_WEIGHTS`, after summing the volumes of a study, weighs the phases of all volumes at once. Each organ is
    Gaussian, but for a share of measurements of something else: an odd patient is unlikely and not impossible.
    """
    gain, liver = (axis.ravel() for axis in np.meshgrid(_GAINS, _LIVERS_HU, indexing="ij"))
    out = np.zeros((len(PHASES), gain.size))
    for row, phase in enumerate(PHASES):
        for value, usual, base in ((found.aorta, _AORTA, _AORTA_NC_HU), (found.liver, _LIVER, liver)):
            if value is not None:
                mean, spread = usual[phase]
                spread = np.hypot(spread, 6.0)
                away = (value - base - gain * mean) / spread
                density = np.exp(-0.5 * away**2) / (spread * np.sqrt(2 * np.pi))
                out[row] += np.log((1 - _OUTLIERS) * density + _OUTLIERS / _RANGE_HU)
    if found.measured:
        out[PHASES.index(Phase.DP)] += np.log(_RARE_DELAYED)
    return out


def _coarse(hu: Int16[np.ndarray, "z y x"], grid: Grid) -> tuple[Float32[np.ndarray, "c h w"], float]:
    """Every 8 mm a slice, averaged in plane to about 2 mm; and the pixel size."""
    stride = max(1, round(_SLICE_MM / grid.spacing[0]))
    factor = max(1, round(_STEP_MM / grid.spacing[1]))
    slices = hu[::stride]
    ny, nx = (n // factor * factor for n in slices.shape[1:])
    blocks = slices[:, :ny, :nx].reshape(len(slices), ny // factor, factor, nx // factor, factor)
    return blocks.mean(axis=(2, 4), dtype=np.float32), grid.spacing[1] * factor


def _canal(coarse: Float32[np.ndarray, "z y x"], spacing: float) -> Float32[np.ndarray, "z 2"] | None:
    """Centre (y, x) of the spinal canal per slice: soft tissue in a ring of bone, in the middle of the back.

    The ring may be open, as between two arches or in noise: what counts is the share of bone round each place.
    """
    ringed = _ringed(coarse, spacing)
    found = {z: at for z, plane in enumerate(coarse) if (at := _best_ringed(plane, ringed[z], spacing)) is not None}
    if len(found) < _CANAL_SLICES:
        return None
    points = np.array([(y, x) for _, y, x in found.values()])
    shares = np.array([share for share, _, _ in found.values()])
    good = shares >= max(_LEAST_RING, float(np.quantile(shares, 0.3)))
    if good.sum() < _CANAL_SLICES:
        return None
    # A spine bends by less; what lies further off is a joint of a rib or the pelvis.
    near = good & (np.abs(points - np.median(points[good], axis=0)).max(axis=1) * spacing < _BEND_MM)
    if near.sum() < _CANAL_SLICES:
        return None
    heights, even = np.array(list(found))[near], ndimage.median_filter(points[near], (5, 1), mode="nearest")
    rows = [np.interp(np.arange(len(coarse)), heights, even[:, axis]) for axis in (0, 1)]
    return np.stack(rows, axis=1).astype(np.float32)


def _ringed(coarse: Float32[np.ndarray, "z y x"], spacing: float) -> Float32[np.ndarray, "z y x"]:
    """Share of bone in a square ring round each place, less that in its middle; half less without soft tissue."""

    def squares(image: Float32[np.ndarray, "z y x"], mm: float) -> Float32[np.ndarray, "z y x"]:
        width = max(1, round(mm / spacing) | 1)
        return ndimage.uniform_filter(image, (1, width, width), mode="nearest")

    blur = _BLUR_MM / spacing
    smooth = np.asarray(ndimage.gaussian_filter(coarse, (0.5, blur, blur)))
    bone = (smooth > _BONE_HU).astype(np.float32)
    outer, inner = _RING_MM
    ring = (squares(bone, outer) * outer**2 - squares(bone, inner) * inner**2) / (outer**2 - inner**2)
    soft = squares(smooth, 8.0)
    score = ring - squares(bone, 10.0) - 0.5 * ((soft < _CANAL_HU[0]) | (soft > _CANAL_HU[1]))
    return np.asarray(ndimage.uniform_filter1d(score.astype(np.float32), 3, axis=0, mode="nearest"))


def _best_ringed(
    plane: Float32[np.ndarray, "y x"], ringed: Float32[np.ndarray, "y x"], spacing: float
) -> tuple[float, float, float] | None:
    """Score and place (y, x) of the likeliest canal in the middle of the back of one slice; None without a body."""
    pieces = np.asarray(ndimage.label(ndimage.binary_opening(plane > -300, np.ones((3, 3), dtype=np.bool_)))[0])
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    body = pieces == int(sizes.argmax())
    if sizes.max() * spacing**2 < _BODY_MM2:
        return None
    rows, columns = (np.flatnonzero(body.any(axis=axis)) for axis in (1, 0))
    depth, middle = int(rows[-1] - rows[0]), (int(columns[0]) + int(columns[-1])) / 2
    top, bottom = int(rows[0] + _BACK[0] * depth), int(rows[-1] - _BACK[1] / spacing)
    left, right = max(0, int(middle - _MIDDLE_MM / spacing)), int(middle + _MIDDLE_MM / spacing)
    window = ringed[top:bottom, left:right]
    if window.size == 0:
        return None
    # The heart and a bright aorta make rings too, in front of the spine.
    score = window + _BEHIND * np.linspace(0, 1, window.shape[0], dtype=np.float32)[:, None]
    y, x = np.unravel_index(int(score.argmax()), score.shape)
    return float(score[y, x]), float(top + y), float(left + x)


def _smooth_and_rough(
    coarse: Float32[np.ndarray, "z y x"], spacing: float
) -> tuple[Float32[np.ndarray, "z y x"], Float32[np.ndarray, "z y x"]]:
    """Mean and standard deviation over a square of about 12 mm in plane."""
    width = max(3, round(_DISC_MM / spacing))
    size = (1, width, width)
    mean = ndimage.uniform_filter(coarse, size)
    square = ndimage.uniform_filter(coarse * coarse, size)
    return mean, np.sqrt(np.maximum(square - mean * mean, 0))


def _window(
    shape: tuple[int, ...],
    centre: Float32[np.ndarray, " 2"],
    mm: tuple[tuple[float, float], tuple[float, float]],
    spacing: float,
) -> tuple[slice, slice]:
    bounds = [
        slice(int(np.clip(c + low / spacing, 0, n - 1)), int(np.clip(c + high / spacing, 1, n)))
        for c, (low, high), n in zip(centre, mm, shape, strict=True)
    ]
    return bounds[0], bounds[1]


def _aorta(
    smooth: Float32[np.ndarray, "z y x"],
    rough: Float32[np.ndarray, "z y x"],
    canal: Float32[np.ndarray, "z 2"],
    spacing: float,
) -> float | None:
    """Median over slices of the brightest even square in front of the spine."""
    found: list[float] = []
    for plane, noise, centre in zip(smooth, rough, canal, strict=True):
        window = _window(plane.shape, centre, (_AORTA_Y, _AORTA_X), spacing)
        even = _even(plane[window], noise[window])
        if even.any():
            found.append(float(plane[window][even].max()))
    if len(found) < 2:
        return None
    middle = float(np.median(found))
    # An aorta has one HU along its length; vertebrae, crus and bowel in its place have many.
    alike = np.abs(np.array(found) - middle) < _ALIKE[0] + _ALIKE[1] * abs(middle)
    return middle if alike.mean() >= _ALIKE_SHARE else None


def _even(mean: Float32[np.ndarray, "y x"], noise: Float32[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    return (mean > 0) & (noise < 12 + 0.12 * mean)


def _liver(
    smooth: Float32[np.ndarray, "z y x"],
    rough: Float32[np.ndarray, "z y x"],
    canal: Float32[np.ndarray, "z 2"],
    spacing: float,
) -> float | None:
    """Mode of the even soft tissue on the right."""
    values: list[np.ndarray] = []
    tall = 0
    for plane, noise, centre in zip(smooth, rough, canal, strict=True):
        window = _window(plane.shape, centre, (_LIVER_Y, _LIVER_X), spacing)
        inside = plane[window]
        values.append(inside[(inside > 0) & (inside < 200) & (noise[window] < 18)])
        tall += values[-1].size >= _LIVER_VOXELS
    pooled = np.concatenate(values)
    # On a lower stretch it may be kidney or bowel.
    if tall < _LIVER_SLICES:
        return None
    counts, edges = np.histogram(pooled, bins=50, range=(0, 200))
    best = int(ndimage.uniform_filter1d(counts.astype(np.float64), 3).argmax())
    return float(edges[best] + edges[best + 1]) / 2
