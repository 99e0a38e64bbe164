"""A scan without its noise: averages over neighbours of the same tissue, so that edges stay where they are."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Shaped
from scipy import ndimage

from livercascade.alignment.compiled_loops import kernel
from livercascade.data.grid import Triple

_REACH_MM, _SIGMA_MM = 4.0, 2.2
# Differences of the presmoothed image beyond this many times its own noise are edges.
_EDGE = 2.5
_LEVELS = 256
_AIR_HU = -900.0


def denoised(image: Shaped[np.ndarray, "z y x"], spacing: Triple, noise_hu: float) -> Float32[np.ndarray, "z y x"]:
    """The image averaged over some 4 mm within tissues (a joint bilateral filter, Petschnigg et al. 2004).

    Args:
        image: HU.
        spacing: Voxel spacing (z, y, x) in mm.
        noise_hu: SD of the noise of one voxel.
    """
    source = np.ascontiguousarray(image, dtype=np.float32)
    # Neighbours are told apart on a smoother image: the noise of single voxels would decide otherwise.
    guide = presmoothed(source, spacing)
    reach = np.array([min(5, int(_REACH_MM / step)) for step in spacing], dtype=np.int64)
    axes = [np.exp(-0.5 * (np.arange(-r, r + 1) * s / _SIGMA_MM) ** 2) for r, s in zip(reach, spacing, strict=True)]
    near = (axes[0][:, None, None] * axes[1][:, None] * axes[2]).astype(np.float32)
    # Smoothing by 0.8 voxels leaves about half of the noise.
    width = np.float32(max(_EDGE * 0.5 * noise_hu, 1.0))
    alike = np.exp(-0.5 * (np.arange(_LEVELS) * 4.0 / _LEVELS) ** 2).astype(np.float32)
    out = np.empty_like(source)
    average_alike(source, guide, near, alike, np.float32(_LEVELS / 4.0) / width, np.float32(_AIR_HU), out)
    return out


def presmoothed(image: Float32[np.ndarray, "z y x"], spacing: Triple) -> Float32[np.ndarray, "z y x"]:
    """The image smoothed by about a voxel in the slice, and less between slices that are thick."""
    sigma = (min(0.5, 0.8 / spacing[0]), max(0.8, 0.8 / spacing[1]), max(0.8, 0.8 / spacing[2]))
    return np.asarray(ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=2.5), dtype=np.float32)


@kernel
def average_alike(
    image: Float32[np.ndarray, "z y x"],
    guide: Float32[np.ndarray, "z y x"],
    near: Float32[np.ndarray, "a b c"],
    alike: Float32[np.ndarray, " n"],
    per_hu: np.float32,
    air_hu: np.float32,
    out: Float32[np.ndarray, "z y x"],
) -> None:
    """Weighted mean of each voxel's neighbours.

    Args:
        image: What is averaged.
        guide: What tells whether two voxels are of one tissue.
        near: Weight by place, odd in each length.
        alike: Weight by difference in the guide, in steps of ``1 / per_hu``; 0 beyond.
        per_hu: Steps of ``alike`` per HU.
        air_hu: Voxels under this stay as they are.
        out: Result, written in place.
    """
    depth, height, width = image.shape
    a, b, c = near.shape[0] // 2, near.shape[1] // 2, near.shape[2] // 2
    for k in range(depth):
        for j in range(height):
            for i in range(width):
                here = guide[k, j, i]
                # Air round the body is most of many scans, and nothing in it needs an average.
                if here < air_hu:
                    out[k, j, i] = image[k, j, i]
                    continue
                total, weights = np.float32(0.0), np.float32(0.0)
                for u in range(max(k - a, 0), min(k + a + 1, depth)):
                    for v in range(max(j - b, 0), min(j + b + 1, height)):
                        for w in range(max(i - c, 0), min(i + c + 1, width)):
                            step = int(abs(guide[u, v, w] - here) * per_hu)
                            if step < alike.size:
                                weight = alike[step] * near[u - k + a, v - j + b, w - i + c]
                                weights += weight
                                total += weight * image[u, v, w]
                out[k, j, i] = total / weights
