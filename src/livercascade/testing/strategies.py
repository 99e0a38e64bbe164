"""Hypothesis strategies of grids, label maps and lesion sets; needs the package hypothesis."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from livercascade.data.grid import Grid, Shape, Triple
from livercascade.data.labels import LesionType
from livercascade.data.lesion import LesionSet
from livercascade.detect.seg2det import seg2det

SMALL_SHAPE: Shape = (4, 7, 8)


def shapes(largest: int = 8) -> st.SearchStrategy[Shape]:
    """Numbers of voxels along z, y, x, each from 1 to ``largest``."""
    return st.tuples(*[st.integers(1, largest)] * 3)


def spacings(
    slices: tuple[float, float] = (0.5, 10.0), pixels: tuple[float, float] = (0.4, 2.5)
) -> st.SearchStrategy[Triple]:
    """Spacing (z, y, x) in mm, with distances of slices and of pixels from the given ranges."""
    return st.tuples(st.floats(*slices), st.floats(*pixels), st.floats(*pixels))


def grids(shape: Shape | None = None, *, tilt_degrees: float = 25.0) -> st.SearchStrategy[Grid]:
    """Grids of CT: any origin, and axes turned by at most ``tilt_degrees`` about x, y and z.

    Args:
        shape: Voxels along z, y, x; None draws them too.
        tilt_degrees: 0 gives axial grids.
    """
    angles = st.tuples(*[st.floats(-tilt_degrees, tilt_degrees)] * 3)
    origins = st.tuples(*[st.floats(-800, 800)] * 3)
    return st.builds(_grid, shapes() if shape is None else st.just(shape), spacings(), origins, angles)


def label_maps(
    shape: Shape | None = None, *, labels: Sequence[int] = tuple(LesionType), density: tuple[float, float] = (0.05, 0.7)
) -> st.SearchStrategy[np.ndarray]:
    """Label maps (uint8) of voxels that are background or one of ``labels``, drawn voxel by voxel.

    Args:
        shape: Voxels along z, y, x; None draws them too.
        labels: Values beside 0.
        density: Range of the share of voxels that are not background.
    """
    shape_of = shapes() if shape is None else st.just(shape)
    values = np.array(labels, dtype=np.uint8)
    return st.builds(_label_map, shape_of, st.just(values), st.floats(*density), st.integers(0, 2**32 - 1))


def masks(largest: int = 6) -> st.SearchStrategy[np.ndarray]:
    """Boolean arrays with at least one voxel that is true."""
    return arrays(np.bool_, shapes(largest)).filter(np.any)


def lesion_sets(shape: Shape | None = SMALL_SHAPE, spacing: Triple = (5.0, 0.8, 0.7)) -> st.SearchStrategy[LesionSet]:
    """Lesions of `label_maps` without a least volume; two of one shape can be matched."""
    return st.builds(_lesions, label_maps(shape), st.just(spacing))


def _grid(shape: Shape, spacing: Triple, origin: Triple, angles: Triple) -> Grid:
    axes = Rotation.from_euler("xyz", angles, degrees=True).apply(np.eye(3)[::-1])
    dz, dy, dx = (_triple(axis) for axis in axes)
    return Grid(shape, spacing, origin, (dz, dy, dx))


def _triple(values: np.ndarray) -> Triple:
    x, y, z = (float(v) for v in values)
    return x, y, z


def _label_map(shape: Shape, labels: np.ndarray, density: float, seed: int) -> np.ndarray:
    # One seed instead of one draw a voxel: quick, and hypothesis still shrinks shape and density.
    rng = np.random.default_rng(seed)
    drawn = rng.choice(labels, shape)
    drawn[rng.random(shape) > density] = 0
    return drawn


def _lesions(label_map: np.ndarray, spacing: Triple):
    # Hypothesis forbids the global generator inside strategies, and beartype, where tests check types, draws from it:
    # here for every list, and for a return type that is a sequence, which is therefore left out.
    state = random.getstate()
    try:
        return seg2det(label_map, spacing, min_volume_ml=0.0)
    finally:
        random.setstate(state)
