"""Diameters of masks, exact for boxes: between the middles of faces rather than between voxel centres."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist


def boundary(mask: Bool[np.ndarray, "*axes"]) -> Float[np.ndarray, "n d"]:
    """Middles of all faces between the mask and its outside, in index units.

    Diameters between them are exact for boxes, where voxel centres would be one voxel short and corners too long.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    faces: list[np.ndarray] = []
    for axis in range(mask.ndim):
        index = np.argwhere(np.diff(padded, axis=axis)) - 1.0
        index[:, axis] += 0.5
        faces.append(index)
    return np.concatenate(faces)


def farthest(points: Float[np.ndarray, "n d"]) -> tuple[float, Float[np.ndarray, " d"]]:
    """Largest distance of two points, and the vector from one to the other.

    Args:
        points: At least d + 1 points that do not lie in one plane.
    """
    hull = points[ConvexHull(points).vertices]
    distance = cdist(hull, hull)
    first, second = np.unravel_index(int(distance.argmax()), distance.shape)
    return float(distance[first, second]), hull[second] - hull[first]
