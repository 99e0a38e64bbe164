"""The reconstructed circle: padding outside it, and the bright rim of a body that reaches over it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt8

from livercascade.data.labels import BACKGROUND, Phase
from livercascade.virtual.bodies.body_plan import BodyPlan

_RIM_MM = 14.0
_SOFT_HU = -300


def outside_circle(plan: BodyPlan, shape: tuple[int, int]) -> Bool[np.ndarray, "y x"]:
    """True where a slice of this shape lies outside the reconstructed circle; nowhere for a full square."""
    if plan.circle <= 0:
        return np.zeros(shape, dtype=bool)
    return _radius(shape) > plan.circle


def cut_to_circle(
    hu: Mapping[Phase, Int16[np.ndarray, "z y x"]],
    maps: tuple[UInt8[np.ndarray, "z y x"], ...],
    plan: BodyPlan,
    pixel_mm: float,
    rng: np.random.Generator,
) -> None:
    """Write the padding outside the circle, no label there, and brighten a body that the circle cuts; in place."""
    shape = (next(iter(hu.values())).shape[1], next(iter(hu.values())).shape[2])
    outside = outside_circle(plan, shape)
    if not outside.any():
        return
    depth_mm = (plan.circle - _radius(shape)) * 0.5 * shape[1] * pixel_mm
    # Truncated projections pile up at the edge: tens to hundreds of HU within a centimetre or two.
    rim = (float(rng.uniform(20, 160)) * np.exp(-np.maximum(depth_mm, 0.0) / _RIM_MM)).astype(np.float32)
    for image in hu.values():
        near = (rim > 4.0) & ~outside
        values = image[:, near]
        values[values > _SOFT_HU] += np.broadcast_to(rim[near].astype(np.int16), values.shape)[values > _SOFT_HU]
        image[:, near] = values
        image[:, outside] = plan.padding
    for labels in maps:
        labels[:, outside] = BACKGROUND


def _radius(shape: tuple[int, int]) -> Float32[np.ndarray, "y x"]:
    """Distance from the middle of a slice as a share of half its width."""
    y, x = ((np.arange(n) - (n - 1) / 2) / (n / 2) for n in shape)
    return np.hypot(y[:, None], x[None]).astype(np.float32)
