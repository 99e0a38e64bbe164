"""Phases brought to a model's spacing, by the scheme that its card names.

`Resampling.SPLINE` is nnU-Net's default (``resample_data_or_seg_to_shape``, order 3, thick slices one by one), so that
an imported model sees what it was trained on. What a spline gives along an axis is linear in the values, and a sample
far away hardly counts: one banded matrix for each axis, and a volume is resampled by two or three sparse products.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float32, Int16
from scipy import ndimage, sparse
from torch.nn import functional

from livercascade.data.grid import Shape, Triple
from livercascade.segment.card import Resampling

SLAB = 8
"""Slices that are worked on at a time."""
ANISOTROPY = 3.0
"""nnU-Net's ``ANISO_THRESHOLD``: beyond this ratio of spacings the slices are taken one by one."""
LEAST_WEIGHT = 1e-6
"""Weights below are left out: 1,000 HU would count 0.001 HU."""
_ORDER = 3


def resample_phase(
    hu: Int16[np.ndarray, "z y x"],
    size: Shape,
    how: Resampling,
    *,
    bounds: tuple[float, float],
    spacing: Triple,
    target: Triple,
) -> Float32[torch.Tensor, "n h w"]:
    """One phase, clipped to ``bounds`` and then resampled.

    Args:
        hu: The phase.
        size: Shape to reach.
        how: The scheme.
        bounds: Least and greatest HU; nnU-Net clips before it resamples.
        spacing: Of ``hu``, (z, y, x) in mm.
        target: Of the result, (z, y, x) in mm.
    """
    linear, apart = how is Resampling.LINEAR, slices_apart(spacing, target)
    planes = torch.empty((hu.shape[0], *size[1:]))
    for z in range(0, len(planes), SLAB):
        part = torch.from_numpy(hu[z : z + SLAB]).float().clamp(*bounds)
        planes[z : z + SLAB] = _linear_planes(part, size) if linear else _spline_planes(part, size, within=apart)
    if linear:
        return _linear_z(planes, size[0])
    if apart:
        return planes[_nearest(len(planes), size[0])]
    least, most = (min(max(float(value), bounds[0]), bounds[1]) for value in (hu.min(), hu.max()))
    return _along_z(planes, size[0]).clamp(least, most)


def slices_apart(spacing: Triple, target: Triple) -> bool:
    """Whether nnU-Net resamples slice by slice: slices much thicker than pixels, here or at the model's spacing."""
    for z, y, x in (spacing, target):
        if max(z, y, x) / min(z, y, x) > ANISOTROPY:
            return z > max(y, x)
    return False


def _linear_planes(part: Float32[torch.Tensor, "z y x"], size: Shape) -> Float32[torch.Tensor, "z h w"]:
    return functional.interpolate(part[:, None], size=size[1:], mode="bilinear", align_corners=False, antialias=True)[
        :, 0
    ]


def _linear_z(planes: Float32[torch.Tensor, "z y x"], depth: int) -> Float32[torch.Tensor, "n y x"]:
    """Slices on a coarser or finer z grid: averaged over the new thickness, or interpolated."""
    if planes.shape[0] == depth:
        return planes
    mode, corners = ("area", None) if planes.shape[0] > depth else ("linear", False)
    columns = functional.interpolate(planes.permute(1, 2, 0), size=depth, mode=mode, align_corners=corners)
    return columns.permute(2, 0, 1)


def _spline_planes(
    part: Float32[torch.Tensor, "z y x"], size: Shape, *, within: bool
) -> Float32[torch.Tensor, "z h w"]:
    """Splines overshoot at edges; ``within`` keeps each slice inside its own range, as skimage's ``resize`` does."""
    down, across = spline_matrix(part.shape[1], size[1]), spline_matrix(part.shape[2], size[2])
    made = torch.empty((len(part), *size[1:]))
    for plane, into in zip(part.numpy(), made.numpy(), strict=True):
        # Rows must lie one after the other for the sparse product.
        into[:] = (across @ np.ascontiguousarray((down @ plane).T)).T
    if not within:
        return made
    flat = part.flatten(1)
    return torch.minimum(torch.maximum(made, flat.amin(1)[:, None, None]), flat.amax(1)[:, None, None])


def _along_z(planes: Float32[torch.Tensor, "z y x"], depth: int) -> Float32[torch.Tensor, "n y x"]:
    made: Float32[np.ndarray, "n yx"] = spline_matrix(len(planes), depth) @ planes.flatten(1).numpy()
    return torch.from_numpy(made).reshape(depth, *planes.shape[1:])


@lru_cache(maxsize=8)
def spline_matrix(have: int, want: int) -> sparse.csr_matrix:
    """Cubic spline interpolation of ``have`` samples at ``want`` places of the same extent, edges going on outside.

    Column by column what scipy's ``zoom`` makes of a unit vector, which is what ``skimage.transform.resize`` calls.
    What a sample counts falls by 0.27 from one to the next: about 20 of them count, `LEAST_WEIGHT` and more.
    """
    if have == want:
        return sparse.csr_matrix(sparse.identity(have, np.float32))
    columns = ndimage.zoom(np.eye(have), (want / have, 1), order=_ORDER, mode="nearest", grid_mode=True)
    return sparse.csr_matrix(np.where(abs(columns) < LEAST_WEIGHT, 0, columns).astype(np.float32))


def _nearest(have: int, want: int) -> torch.Tensor:
    """Numbers of the slices that lie nearest (order 0 along z)."""
    at = (np.arange(want) + 0.5) * (have / want) - 0.5
    return torch.from_numpy(np.clip(np.floor(at + 0.5), 0, have - 1).astype(np.int64))
