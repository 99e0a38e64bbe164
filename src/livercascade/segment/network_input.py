"""Input of the networks: phases at the model's spacing, normalised, zero where absent, and flags of those present.

Phases come to a model's spacing by the scheme that its card names. `ResamplingScheme.SPLINE` is nnU-Net's default
(``resample_data_or_seg_to_shape``, order 3, thick slices one by one), so that an imported model sees what it was
trained on. What a spline gives along an axis is linear in the values, and a sample far away hardly counts: one banded
matrix for each axis, and a volume is resampled by two or three sparse products.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int16
from scipy import ndimage, sparse
from torch.nn import functional

from livercascade.data.grid import Shape, Triple
from livercascade.segment.model_card import PhaseNormalisation, ResamplingScheme

SLAB = 8
"""Slices that are worked on at a time."""
ANISOTROPY = 3.0
"""nnU-Net's ``ANISO_THRESHOLD``: beyond this ratio of spacings the slices are taken one by one."""
LEAST_WEIGHT = 1e-6
"""Weights below are left out: 1,000 HU would count 0.001 HU."""
_ORDER = 3


def normalise(
    hu: Float[torch.Tensor, "*batch phase z y x"], scheme: Sequence[PhaseNormalisation]
) -> Float[torch.Tensor, "*batch phase z y x"]:
    """HU of all phases clipped and z-scored, each phase by its own entry of ``scheme`` (nnU-Net's CT scheme).

    Raises:
        ValueError: ``scheme`` has another length than there are phases.
    """
    if len(scheme) != hu.shape[-4]:
        raise ValueError(f"{hu.shape[-4]} phases but {len(scheme)} normalisations")

    def column(name: str) -> torch.Tensor:
        return torch.tensor([getattr(s, name) for s in scheme], dtype=hu.dtype, device=hu.device)[:, None, None, None]

    clipped = torch.maximum(torch.minimum(hu, column("upper")), column("lower"))
    return (clipped - column("mean")) / column("std")


def phase_input(
    normalised: Float[torch.Tensor, "*batch image z y x"],
    present: Sequence[bool] | Bool[torch.Tensor, "*batch phase"],
) -> Float[torch.Tensor, "*batch channel z y x"]:
    """Network input: phases with absent ones set to 0, followed by one constant flag channel per phase.

    Args:
        normalised: Normalised phases, in each window all of them; values of an absent phase do not matter, NaN too.
        present: Presence of each phase, for all of the batch or per sample.

    Raises:
        ValueError: There are not as many, or twice as many, channels as entries of ``present``.
    """
    there = torch.as_tensor(present, dtype=torch.bool, device=normalised.device)
    windows, rest = divmod(normalised.shape[-4], there.shape[-1])
    if rest or windows not in (1, 2):
        raise ValueError(f"{normalised.shape[-4]} phases but {there.shape[-1]} presence flags")
    if there.ndim == 1:
        return _one_set(normalised, there.tolist())
    flags = there[..., None, None, None].expand((*there.shape, *normalised.shape[-3:]))
    shown = torch.cat((flags,) * windows, dim=-4)
    kept = torch.where(shown, normalised, torch.zeros((), dtype=normalised.dtype, device=normalised.device))
    return torch.cat((kept, flags.to(normalised.dtype)), dim=-4)


def _one_set(
    normalised: Float[torch.Tensor, "*batch image z y x"], present: list[bool]
) -> Float[torch.Tensor, "*batch channel z y x"]:
    """The same phases present in all of the batch: each voxel is written once."""
    *batch, count, z, y, x = normalised.shape
    out = normalised.new_empty((*batch, count + len(present), z, y, x))
    for i in range(count):
        out[..., i, :, :, :] = normalised[..., i, :, :, :] if present[i % len(present)] else 0.0
    for i, there in enumerate(present):
        out[..., count + i, :, :, :] = float(there)
    return out


def resample_phase(
    hu: Int16[np.ndarray, "z y x"],
    size: Shape,
    how: ResamplingScheme,
    *,
    bounds: tuple[float, float],
    spacing: Triple,
    target: Triple,
) -> Float32[torch.Tensor, "n h w"]:
    """One phase, clipped to ``bounds`` and then resampled.

    Args:
        hu: HU of the phase.
        size: Shape of the result.
        how: Scheme of the resampling.
        bounds: Lowest and highest HU; nnU-Net clips before it resamples.
        spacing: Spacing of ``hu``, (z, y, x) in mm.
        target: Spacing of the result, (z, y, x) in mm.
    """
    linear, separately = how is ResamplingScheme.LINEAR, slices_separately(spacing, target)
    planes = torch.empty((hu.shape[0], *size[1:]))
    for z in range(0, len(planes), SLAB):
        part = torch.from_numpy(hu[z : z + SLAB]).float().clamp(*bounds)
        planes[z : z + SLAB] = _linear_planes(part, size) if linear else _spline_planes(part, size, within=separately)
    if linear:
        return _linear_z(planes, size[0])
    if separately:
        return planes[_nearest(len(planes), size[0])]
    least, most = (min(max(float(value), bounds[0]), bounds[1]) for value in (hu.min(), hu.max()))
    return _along_z(planes, size[0]).clamp(least, most)


def slices_separately(spacing: Triple, target: Triple) -> bool:
    """True if nnU-Net resamples slice by slice: slices much thicker than pixels, here or at the model's spacing."""
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
