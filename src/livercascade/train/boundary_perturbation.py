"""True lesions as a network would outline them: larger, smaller, shifted on one side, or in part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from livercascade.data.grid import Triple
from livercascade.data.labels import Organ
from livercascade.data.lesion import Lesion, with_margin

_LEAST_VOXELS = 3
_GRAIN_MM = 4.0
"""SD of the smoothing of the random shift: bulges are about a slice thick."""
_MARGIN_MM = 8.0
_LEAST_RADIUS_MM = 2.0
"""A lesion of one slice has next to no depth; its outline still moves."""


def perturb_boundary(
    lesion: Lesion,
    labels: UInt8[np.ndarray, "z y x"],
    spacing: Triple,
    rng: np.random.Generator,
    *,
    unevenness: float = 0.35,
    shrink: float = 0.35,
    swell: float = 0.3,
) -> tuple[Lesion, UInt8[np.ndarray, "z y x"]]:
    """Lesion with another outline, and the label map that goes with it.

    The outline moves by a share of the lesion's radius, everywhere by the same and by a smooth random amount; what it
    leaves out becomes liver, as in a prediction. A lesion of which nothing would be left stays as it is.

    Args:
        lesion: True lesion.
        labels: Reference label map 0-13.
        spacing: Voxel spacing (z, y, x) in mm.
        rng: Source of the draw.
        unevenness: Largest random part of the shift, as a share of the radius.
        shrink: Largest shift of the whole outline inwards, as a share of the radius.
        swell: Largest shift outwards.
    """
    box, inside = with_margin(lesion, labels.shape, spacing, _MARGIN_MM)
    # Padded, so that a lesion that fills its box still has an outside to be far from.
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    signed = depth - ndimage.distance_transform_edt(~inside, sampling=spacing)
    grain = ndimage.gaussian_filter(rng.normal(size=inside.shape), [_GRAIN_MM / s for s in spacing])
    grain /= max(float(grain.std()), 1e-6)
    radius = max(float(signed.max()), _LEAST_RADIUS_MM)
    moved = signed + radius * (grain * rng.uniform(0, unevenness) + rng.uniform(-shrink, swell))
    near = labels[box]
    # Lesions grow into liver alone, never into vessels, other lesions or what lies outside.
    made = (moved > 0) & (inside | (near == Organ.LIVER))
    if np.count_nonzero(made) < _LEAST_VOXELS:
        return lesion, labels
    out = labels.copy()
    part = out[box]
    part[inside & ~made] = Organ.LIVER
    part[made] = lesion.label
    volume = lesion.volume_ml * np.count_nonzero(made) / np.count_nonzero(inside)
    return replace(lesion, bbox=box, mask=made, volume_ml=volume), out
