"""What a scan's own pixels say of the scanner: sharpness, noise, and how neighbouring slices share it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from scipy import ndimage

from livercascade.data.grid import Triple

_USUAL_BLUR_MM = 0.8
_FAT_HU, _ORGAN_HU = (-150.0, -70.0), (20.0, 200.0)
# Of an edge that lies oblique to the rows only the apparent width grows: the sharpest quarter counts.
_SHARP_QUARTER = 25.0
# Variance in pixels² of a pixel's own width, and of a difference between neighbours.
_BOX = 1.0 / 12.0
_SPAN = 6
_LEAST_EDGES = 200


@dataclass(frozen=True, slots=True)
class ScanNoise:
    """Noise of one phase.

    Attributes:
        noise_hu: SD of the noise in the liver.
        slice_correlation: Correlation of the noise of neighbouring slices.
        spectrum: Power of the noise in the slice by frequency, 32 x 32, zero frequency first, of mean 1.
    """

    noise_hu: float
    slice_correlation: float
    spectrum: Float32[np.ndarray, "32 32"]


def measure_blur(image: Shaped[np.ndarray, "z y x"], spacing: Triple) -> float:
    """Sigma in mm of the scan's blur in the slice, from edges between fat and organs along rows and columns.

    A Gaussian edge of height H has the slope H / (sigma sqrt(2 pi)). Where the scan shows no such edges, 0.8 mm. Edges
    to air are of no use: what lies outside the body is set to one value by many archives.
    """
    slices = np.asarray(image[:: max(1, image.shape[0] // 24)], dtype=np.float32)
    sigmas: list[float] = []
    for lines in (
        slices[:, ::2].reshape(-1, slices.shape[2]),
        slices[:, :, ::2].transpose(0, 2, 1).reshape(-1, slices.shape[1]),
    ):
        for line in (lines, lines[:, ::-1]):
            sigmas += _widths(line)
    if len(sigmas) < _LEAST_EDGES:
        return _USUAL_BLUR_MM
    square = float(np.percentile(sigmas, _SHARP_QUARTER)) ** 2 - 2 * _BOX
    return float(np.clip(np.sqrt(max(square, 0.0)) * spacing[2], 0.3, 1.5))


def _widths(lines: Float32[np.ndarray, "n x"]) -> list[float]:
    """Apparent sigma in pixels of every edge that rises from fat to an organ within `_SPAN` pixels."""
    fat = (lines > _FAT_HU[0]) & (lines < _FAT_HU[1])
    organ = (lines > _ORGAN_HU[0]) & (lines < _ORGAN_HU[1])
    # Two pixels of each: one alone may be noise.
    at = np.argwhere(fat[:, :-_SPAN] & fat[:, 1 : 1 - _SPAN] & organ[:, _SPAN:] & organ[:, _SPAN - 1 : -1])
    if not len(at):
        return []
    steps = np.diff(lines, axis=1)
    slope = steps[at[:, :1], at[:, 1, None] + np.arange(_SPAN)].max(axis=1)
    height = lines[at[:, 0], at[:, 1] + _SPAN] - lines[at[:, 0], at[:, 1]]
    return (height / (slope * np.sqrt(2 * np.pi))).tolist()


def measure_noise(residual: Float32[np.ndarray, "z y x"], plain: Bool[np.ndarray, "z y x"]) -> tuple[float, float]:
    """SD of a residual over plain liver, and its correlation between neighbouring slices."""
    values = residual[plain]
    if values.size < 50:
        return 10.0, 0.0
    both = plain[1:] & plain[:-1]
    product = float((residual[1:][both] * residual[:-1][both]).mean()) if both.any() else 0.0
    variance = max(float(np.mean(values**2)), 1e-3)
    return float(np.sqrt(variance)), float(np.clip(product / variance, 0.0, 0.95))


def measure_spectrum(
    residual: Float32[np.ndarray, "z y x"], plain: Bool[np.ndarray, "z y x"]
) -> Float32[np.ndarray, "32 32"]:
    """Power spectrum of the noise in the slice, from squares of 32 pixels that hold mostly plain liver."""
    size, power = 32, np.zeros((32, 32))
    window = np.hanning(size)[:, None] * np.hanning(size)
    share = np.asarray(ndimage.uniform_filter(plain.astype(np.float32), (1, size, size), mode="constant"))
    # `uniform_filter` centres an even window half a pixel before its middle: the square begins 16 before it.
    middles = np.argwhere(share[:, size // 2 : -size // 2, size // 2 : -size // 2] > 0.75)
    if not len(middles):
        return np.ones((size, size), dtype=np.float32)
    for k, j, i in middles[:: max(1, len(middles) // 96)]:
        part = (int(k), slice(int(j), int(j) + size), slice(int(i), int(i) + size))
        power += np.abs(np.fft.fft2(np.where(plain[part], residual[part], 0.0) * window)) ** 2
    power = (power + np.roll(power[::-1, ::-1], (1, 1), axis=(0, 1))) / 2
    return (power / power.mean()).astype(np.float32)


def noise_field(
    shape: tuple[int, int, int], noise: ScanNoise, rng: np.random.Generator
) -> Float32[np.ndarray, "z y x"]:
    """Random noise of SD 1 with the spectrum and the slice correlation of a scan."""
    depth, height, width = shape
    half = 16
    centred = np.fft.fftshift(np.sqrt(noise.spectrum))
    fy = np.fft.fftfreq(height)[:, None] * 32 + half
    fx = np.fft.rfftfreq(width)[None, :] * 32 + half
    at = np.stack(np.broadcast_arrays(fy, fx))
    gain = np.asarray(ndimage.map_coordinates(centred, at, order=1, mode="nearest"), dtype=np.float32)
    out = np.empty(shape, dtype=np.float32)
    for k in range(depth):
        white = rng.standard_normal((height, width), dtype=np.float32)
        out[k] = np.fft.irfft2(np.fft.rfft2(white) * gain, s=(height, width))
    out /= max(float(out.std()), 1e-6)
    weight = np.float32(noise.slice_correlation)
    fresh = np.float32(np.sqrt(1.0 - noise.slice_correlation**2))
    for k in range(1, depth):
        out[k] = weight * out[k - 1] + fresh * out[k]
    return out
