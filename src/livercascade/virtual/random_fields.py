"""Smooth random fields, and trilinear enlargement and sampling of coarse fields."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from scipy import ndimage

from livercascade.data.grid import Shape, Triple


def coarse_noise(shape: Shape, cells: Triple, rng: np.random.Generator) -> Float32[np.ndarray, "z y x"]:
    """Random field whose knots lie ``cells`` voxels apart (z, y, x); cheap for long wavelengths."""
    knots = tuple(max(4, int(np.ceil(n / c)) + 3) for n, c in zip(shape, cells, strict=True))
    low = rng.standard_normal(knots, dtype=np.float32)
    low = np.asarray(ndimage.gaussian_filter(low, 0.7, mode="wrap"), dtype=np.float32)
    field = enlarge(low, shape)
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def enlarge(field: Float32[np.ndarray, "a b c"], shape: Shape) -> Float32[np.ndarray, "z y x"]:
    """Trilinear enlargement of ``field`` to ``shape``, corner voxels on corner voxels."""
    source = torch.from_numpy(np.ascontiguousarray(field, dtype=np.float32))[None, None]
    return torch.nn.functional.interpolate(source, size=shape, mode="trilinear", align_corners=True)[0, 0].numpy()


def sample(
    fields: Float32[np.ndarray, "c a b d"], places: Float32[np.ndarray, "n 3"], low: Triple, high: Triple
) -> Float32[np.ndarray, "c n"]:
    """Trilinear values of ``fields`` at places (z, y, x) in mm; outside, those of the nearest place inside.

    Args:
        fields: Lattice ``[channel, z, y, x]``, corner points at ``low`` and ``high``.
        places: Positions in mm.
        low: Position (z, y, x) in mm of the first lattice point.
        high: Position of the last one.
    """
    start, extent = np.asarray(low, dtype=np.float32), np.subtract(high, low).astype(np.float32)
    unit = (2.0 * (places - start) / extent - 1.0).astype(np.float32)[None, None, None, :, ::-1]
    out = torch.nn.functional.grid_sample(
        torch.from_numpy(np.ascontiguousarray(fields))[None],
        torch.from_numpy(np.ascontiguousarray(unit)),
        padding_mode="border",
        align_corners=True,
    )
    return out[0, :, 0, 0].numpy()
