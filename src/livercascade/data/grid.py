"""Where voxels lie in the patient: shape, spacing, origin and direction in LPS millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
IDENTITY: tuple[Triple, Triple, Triple] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


ROUNDED_MM = 0.1
"""Most that a mask may lie aside of its image: other programs round positions to a tenth of a millimetre."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Sampling grid of an array ``[z, y, x]``.

    Attributes:
        shape: Voxels along z, y, x.
        spacing: Distance of voxel centres along z, y, x in mm, above 0.
        origin: LPS position (x, y, z) in mm of the centre of voxel ``[0, 0, 0]``.
        direction: Unit vectors in LPS along which z, y and x indices grow: ``(dz, dy, dx)``.
    """

    shape: Shape
    spacing: Triple
    origin: Triple
    direction: tuple[Triple, Triple, Triple]

    @classmethod
    def axial(cls, shape: Shape, spacing: Triple, origin: Triple = (0.0, 0.0, 0.0)) -> Grid:
        """Axial grid: x index to the patient's left, y to the back, z to the head."""
        return cls(shape, spacing, origin, ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))

    @classmethod
    def from_affine(cls, affine_lps: Float[np.ndarray, "4 4"], shape: Shape) -> Grid:
        """Grid of an array ``[z, y, x]`` from the 4x4 matrix that maps (z, y, x, 1) indices to LPS mm.

        Raises:
            ValueError: The matrix is singular.
        """
        columns = np.asarray(affine_lps, dtype=np.float64)[:3, :3]
        spacing = np.linalg.norm(columns, axis=0)
        # No voxel is near 1e-9 mm³: the axes lie in one plane.
        if not np.all(spacing > 0) or abs(np.linalg.det(columns)) < 1e-9:
            raise ValueError("affine matrix is singular")
        unit = columns / spacing
        return cls(
            shape,
            _triple(spacing),
            _triple(affine_lps[:3, 3]),
            (_triple(unit[:, 0]), _triple(unit[:, 1]), _triple(unit[:, 2])),
        )

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Matrix from index (z, y, x, 1) to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(self.direction).T * np.asarray(self.spacing)
        matrix[:3, 3] = self.origin
        return matrix

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(np.prod(self.spacing)) / 1000.0

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    def world(self, index: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """LPS position (x, y, z) in mm of indices (z, y, x); the inverse of `voxel`."""
        matrix = self.affine
        return np.asarray(index, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]

    def voxel(self, position: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Index (z, y, x), fractional, of LPS positions (x, y, z) in mm."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(position, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def matches(self, other: Grid, tolerance_mm: float = 0.05) -> bool:
        """True if both grids put every voxel at the same place, within ``tolerance_mm`` at the corners."""
        if self.shape != other.shape:
            return False
        # Two affine maps differ most at a corner: where these agree, every voxel does.
        corners = np.array(np.meshgrid(*[(0.0, n - 1.0) for n in self.shape])).reshape(3, -1).T
        return bool(np.abs(self.world(corners) - other.world(corners)).max() <= tolerance_mm)


def _triple(values: object) -> Triple:
    z, y, x = (float(v) for v in np.asarray(values))
    return (z, y, x)
