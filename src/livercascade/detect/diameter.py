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
    first, second = farthest_pair(points)
    return float(np.linalg.norm(second - first)), second - first


def farthest_pair(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "2 d"]:
    """The two points that lie farthest apart.

    Args:
        points: At least d + 1 points that do not lie in one plane.
    """
    hull = points[ConvexHull(points).vertices]
    distance = cdist(hull, hull)
    return hull[list(np.unravel_index(int(distance.argmax()), distance.shape))]


def width_across(
    points: Float[np.ndarray, "n 2"], ends: Float[np.ndarray, "2 2"]
) -> tuple[float, Float[np.ndarray, "2 2"]]:
    """Extent of points at right angles to a line, and a line of that length across it.

    The line crosses midway between the two outermost points, as callipers would be laid on.

    Args:
        points: Points in a plane.
        ends: Ends of the line, at different places.
    """
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    normal = np.array([-along[1], along[0]])
    across = points @ normal
    outer = [int(across.argmin()), int(across.argmax())]
    middle = along * (points[outer] @ along).mean()
    return float(np.ptp(across)), middle + across[outer][:, None] * normal
