"""What is random in a patient: one stream per purpose, and smooth random fields.

What one part of a patient draws never shifts what another part draws.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float32
from scipy import ndimage

from livercascade.data.grid import Shape, Triple

# Keeps these streams apart from any other use of the same seed; part of every patient, as the purposes are.
_FAMILY = 0x11FE


class StreamPurpose(IntEnum):
    """What a stream is for; the numbers are part of every patient and never change."""

    PLAN = 1
    HABITUS = 2
    ANATOMY = 3
    PHYSIOLOGY = 4
    LESIONS = 5
    MIMICS = 6
    CONFOUNDERS = 7
    SCANNER = 8
    TEXTURE = 9
    NOISE = 10
    BREATHING = 11
    ARTEFACTS = 12
    BODY = 13
    BODY_TISSUES = 14
    FIELD_OF_VIEW = 15
    CANVAS = 16


def random_stream(seed: int, purpose: StreamPurpose, number: int = 0) -> np.random.Generator:
    """Stream of a patient's seed for one purpose; ``number`` tells apart, for example, one lesion from the next.

    >>> first, again = (random_stream(7, StreamPurpose.LESIONS, 2).random() for _ in range(2))
    >>> first == again and first != random_stream(7, StreamPurpose.LESIONS, 3).random()
    True
    """
    return np.random.default_rng(np.random.SeedSequence([seed, _FAMILY], spawn_key=(int(purpose), number)))


def coarse_noise(shape: Shape, cells: Triple, rng: np.random.Generator) -> Float32[np.ndarray, "z y x"]:
    """Random field whose knots lie ``cells`` voxels apart (z, y, x); cheap for long wavelengths."""
    knots = tuple(max(4, int(np.ceil(n / c)) + 3) for n, c in zip(shape, cells, strict=True))
    low = rng.standard_normal(knots, dtype=np.float32)
    # White knots would make kinks where cells meet.
    low = np.asarray(ndimage.gaussian_filter(low, 0.7, mode="wrap"), dtype=np.float32)
    field = enlarge(low, shape)
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def enlarge(field: Float32[np.ndarray, "a b c"], shape: Shape) -> Float32[np.ndarray, "z y x"]:
    """Trilinear enlargement of ``field`` to ``shape``, corner voxels on corner voxels."""
    source = torch.from_numpy(np.ascontiguousarray(field, dtype=np.float32))[None, None]
    return torch.nn.functional.interpolate(source, size=shape, mode="trilinear", align_corners=True)[0, 0].numpy()
