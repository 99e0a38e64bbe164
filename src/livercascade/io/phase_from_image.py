"""Contrast phase from the image alone: HU of aorta and liver, found by their position beside the spinal canal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int16
from scipy import ndimage

from livercascade.data.grid import Grid
from livercascade.data.labels import PHASES, Phase

# Averaging to this size brings the noise of thin slices below the differences between phases.
_STEP_MM = 2.0
_SLICE_MM = 8.0
_BONE_HU = 160
# Plausible areas of the spinal canal in one slice; other holes in bone are smaller or larger.
_CANAL_MM2 = (90.0, 900.0)
# A square that fits into an aorta.
_DISC_MM = 12.0
# Offsets from the centre of the spinal canal in mm, LPS; the body of the vertebra lies between canal and aorta.
_AORTA_Y, _AORTA_X = (-80.0, -46.0), (-12.0, 45.0)
_LIVER_Y, _LIVER_X = (-150.0, -10.0), (-130.0, -45.0)
# Mean and spread in HU per phase of aorta and liver, as usual in liver protocols.
_AORTA: Mapping[Phase, tuple[float, float]] = {
    Phase.NC: (45, 14),
    Phase.AP: (310, 75),
    Phase.VP: (155, 28),
    Phase.DP: (108, 18),
}
_LIVER: Mapping[Phase, tuple[float, float]] = {
    Phase.NC: (54, 14),
    Phase.AP: (70, 16),
    Phase.VP: (107, 18),
    Phase.DP: (90, 15),
}
# An odd patient is unlikely, not impossible.
_FLOOR = 1e-3
# Venous and delayed phases overlap in HU; far fewer studies have a delayed phase.
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


def measure_organ_hu(hu: Int16[np.ndarray, "z y x"], grid: Grid) -> OrganHu:
    """HU of aorta and liver of a volume in canonical orientation."""
    coarse, spacing = _coarse(hu, grid)
    canal = _canal(coarse, spacing)
    if canal is None:
        return OrganHu(None, None)
    smooth, rough = _smooth_and_rough(coarse, spacing)
    return OrganHu(_aorta(smooth, rough, canal, spacing), _liver(smooth, rough, canal, spacing))


def phase_probabilities(found: OrganHu) -> dict[Phase, float]:
    """Probability of each phase, all equal where nothing was measured.

    Each organ is taken as Gaussian round its usual HU, with a floor so that an odd patient is unlikely, not impossible.
    """
    measured = found.aorta is not None or found.liver is not None
    weights = {phase: _RARE_DELAYED if measured and phase is Phase.DP else 1.0 for phase in PHASES}
    for value, usual in ((found.aorta, _AORTA), (found.liver, _LIVER)):
        if value is not None:
            for phase, (mean, spread) in usual.items():
                weights[phase] *= float(np.exp(-0.5 * ((value - mean) / spread) ** 2)) / spread + _FLOOR / 20
    total = sum(weights.values())
    return {phase: weight / total for phase, weight in weights.items()}


def _coarse(hu: Int16[np.ndarray, "z y x"], grid: Grid) -> tuple[Float32[np.ndarray, "c h w"], float]:
    """Every 8 mm a slice, averaged in plane to about 2 mm; and the pixel size."""
    stride = max(1, round(_SLICE_MM / grid.spacing[0]))
    factor = max(1, round(_STEP_MM / grid.spacing[1]))
    slices = hu[::stride]
    ny, nx = (n // factor * factor for n in slices.shape[1:])
    blocks = slices[:, :ny, :nx].reshape(len(slices), ny // factor, factor, nx // factor, factor)
    return blocks.mean(axis=(2, 4), dtype=np.float32), grid.spacing[1] * factor


def _canal(coarse: Float32[np.ndarray, "z y x"], spacing: float) -> Float32[np.ndarray, "z 2"] | None:
    """Centre (y, x) of the spinal canal per slice: a hole of fitting size inside bone, in the back half of the body."""
    found = {z: centre for z, plane in enumerate(coarse) if (centre := _canal_in(plane, spacing)) is not None}
    if len(found) < 2:
        return None
    points = np.array(list(found.values()))
    middle = np.median(points, axis=0)
    # A spine bends by less; holes further off lie in ribs or the pelvis.
    near = np.abs(points - middle).max(axis=1) * spacing < 40
    heights = np.array(list(found))[near]
    rows = [np.interp(np.arange(len(coarse)), heights, points[near, axis]) for axis in (0, 1)]
    return np.stack(rows, axis=1).astype(np.float32)


def _canal_in(plane: Float32[np.ndarray, "y x"], spacing: float) -> tuple[float, float] | None:
    body = plane > -300
    if not body.any():
        return None
    back, middle = (float(c) for c in ndimage.center_of_mass(body))
    bone = plane > _BONE_HU
    holes, count = ndimage.label(ndimage.binary_fill_holes(bone) & ~bone)
    areas = np.bincount(holes.reshape(-1), minlength=count + 1) * spacing**2
    areas[0] = 0.0
    best: tuple[float, tuple[float, float]] | None = None
    for number in np.flatnonzero((areas >= _CANAL_MM2[0]) & (areas <= _CANAL_MM2[1])).tolist():
        y, x = (float(c) for c in ndimage.center_of_mass(holes == number))
        if y > back and abs(x - middle) * spacing < 40 and (best is None or areas[number] > best[0]):
            best = (float(areas[number]), (y, x))
    return best[1] if best else None


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
    return float(np.median(found)) if len(found) >= 2 else None


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
    for plane, noise, centre in zip(smooth, rough, canal, strict=True):
        window = _window(plane.shape, centre, (_LIVER_Y, _LIVER_X), spacing)
        inside = plane[window]
        values.append(inside[(inside > 0) & (inside < 200) & (noise[window] < 18)])
    pooled = np.concatenate(values)
    if pooled.size < 200:
        return None
    counts, edges = np.histogram(pooled, bins=50, range=(0, 200))
    best = int(ndimage.uniform_filter1d(counts.astype(np.float64), 3).argmax())
    return float(edges[best] + edges[best + 1]) / 2
