"""What a scan shows of a liver: its smooth background, vessels, rim, and noise free of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from scipy import ndimage

from livercascade.data.grid import Triple
from livercascade.virtual.canvas.edge_keeping_filter import presmoothed

_BACKGROUND_MM = 7.0
# Manual liver masks are about a voxel too wide: what is dark within this depth is no liver.
_RIM_MM = 3.2
_FAT_HU = 12.0
_SHIFTS = 96
ScanArray = Float32[np.ndarray, "z y x"]
ScanMask = Bool[np.ndarray, "z y x"]


@dataclass(frozen=True, slots=True, eq=False)
class ScannedLiver:
    """A liver in one phase.

    Attributes:
        median_hu: HU of plain liver.
        background: HU of the liver without vessels and noise, `_BACKGROUND_MM` wide means; also beyond its border.
        residual: Image minus background.
        vessels: Vessels that stand out.
        rim: Voxels of the mask that are fat, wall or fissure.
        plain: Liver that is neither vessel nor rim.
    """

    median_hu: float
    background: ScanArray
    residual: ScanArray
    vessels: ScanMask
    rim: ScanMask
    plain: ScanMask


def scanned_liver(image: Shaped[np.ndarray, "z y x"], liver: ScanMask, spacing: Triple) -> ScannedLiver:
    """Background, vessels and rim of a liver in one phase.

    Args:
        image: HU.
        liver: The liver without lesions and without what nobody could judge.
        spacing: Voxel spacing (z, y, x) in mm.
    """
    source = np.asarray(image, dtype=np.float32)
    smooth = presmoothed(source, spacing)
    depth = np.asarray(ndimage.distance_transform_edt(liver, sampling=spacing), dtype=np.float32)
    inner = liver & (depth > _RIM_MM)
    core = smooth[inner if inner.any() else liver]
    median = float(np.median(core))
    spread = max(1.4826 * float(np.median(np.abs(core - median))), 2.0)
    background = _mean_over(smooth, liver & (np.abs(smooth - median) < 2.5 * spread), spacing, median)
    fine = _own_spread(smooth - background, inner if inner.any() else liver)
    # Vessels are bright after contrast medium and dark before it, in a fatty liver the other way round.
    off = np.abs(smooth - background) > max(2.0 * fine, 6.0)
    rim = liver & (((depth <= _RIM_MM) & (smooth < background - 2.0 * fine)) | (smooth < min(_FAT_HU, median - 45.0)))
    plain = liver & ~off & ~rim
    background = _mean_over(source, plain, spacing, median)
    vessels = liver & ~rim & (smooth > background + max(2.0 * fine, 6.0))
    return ScannedLiver(median, background, source - background, vessels, rim, plain)


def quiet_residual(liver: ScannedLiver, wanted: ScanMask, spacing: Triple, rng: np.random.Generator) -> ScanArray:
    """Noise and texture at the ``wanted`` voxels as plain liver has them.

    Where the liver is plain it is the scan's own; for vessels, rim and what lies outside it is copied from plain liver
    some 6 to 30 mm away, by one shift for as many voxels as possible, so that the noise stays coherent.
    """
    out = np.where(liver.plain, liver.residual, np.float32(0.0))
    open_ = np.argwhere(wanted & ~liver.plain)
    shape = np.asarray(liver.plain.shape)
    for _ in range(_SHIFTS):
        if not len(open_):
            return out
        away = rng.uniform(6.0, 30.0) * _direction(rng)
        # Noise changes less along the body than across it.
        shift = np.rint(away / np.asarray(spacing) * (0.4, 1.0, 1.0)).astype(np.int64)
        source = open_ + shift
        usable = np.asarray(((source >= 0) & (source < shape)).all(axis=1))
        usable[usable] = liver.plain[tuple(source[usable].T)]
        out[tuple(open_[usable].T)] = liver.residual[tuple(source[usable].T)]
        open_ = open_[~usable]
    pool = liver.residual[liver.plain]
    if len(open_) and pool.size:
        out[tuple(open_.T)] = rng.choice(pool, len(open_))
    return out


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=3)
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def _own_spread(difference: ScanArray, where: ScanMask) -> float:
    values = difference[where]
    return max(1.4826 * float(np.median(np.abs(values - np.median(values)))), 1.0)


def _mean_over(image: ScanArray, where: ScanMask, spacing: Triple, empty: float) -> ScanArray:
    """Gaussian mean over the voxels of ``where`` alone; far from all of them, ``empty``."""
    # Every second voxel is enough for so wide a mean.
    stride = tuple(2 if step < 0.3 * _BACKGROUND_MM else 1 for step in spacing)
    coarse = tuple(slice(None, None, n) for n in stride)
    sigma = [_BACKGROUND_MM / (step * n) for step, n in zip(spacing, stride, strict=True)]
    weight = where[coarse].astype(np.float32)
    total = ndimage.gaussian_filter((image[coarse] - np.float32(empty)) * weight, sigma, mode="constant")
    share = ndimage.gaussian_filter(weight, sigma, mode="constant")
    mean = np.asarray(total / (share + np.float32(2e-3)) + np.float32(empty), dtype=np.float32)
    for axis, n in enumerate(stride):
        if n > 1:
            mean = np.repeat(mean, n, axis=axis)
    whole = mean[: image.shape[0], : image.shape[1], : image.shape[2]]
    return np.asarray(ndimage.uniform_filter(whole, [2 * n - 1 for n in stride]), dtype=np.float32)
