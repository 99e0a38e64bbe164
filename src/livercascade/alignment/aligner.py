"""What an aligner gives, and what one must offer: the place to plug in another registration method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int16

from livercascade.alignment.displacement_field import DisplacementField
from livercascade.data.scan import PhaseVolume
from livercascade.system.progress import Progress


@dataclass(frozen=True, slots=True, eq=False)
class PairAlignment:
    """A moving phase on the grid of the fixed one.

    Attributes:
        moved: HU of the moving phase on the fixed grid, ``[z, y, x]``, -1024 where it has no data.
        valid: Voxels of the fixed grid where the moving phase has data.
        field: Displacement on the fixed grid, from fixed to moving points; None if the aligner knows none.
        offset_mm: Shift along z by which the headers were corrected first because they do not place the phases
            together; 0 if they do. It is part of the field.
        folded: Share of voxels where the field folds, 0 to 1.
        sideways_mm: The same shift along x and y.
    """

    moved: Int16[np.ndarray, "z y x"]
    valid: Bool[np.ndarray, "z y x"]
    field: DisplacementField | None
    offset_mm: float = 0.0
    folded: float = 0.0
    sideways_mm: tuple[float, float] = (0.0, 0.0)

    @property
    def shift_mm(self) -> tuple[float, float, float]:
        """Shift (x, y, z) in LPS mm that corrected the headers."""
        return (*self.sideways_mm, self.offset_mm)


@runtime_checkable
class Aligner(Protocol):
    """A method that carries one phase onto the grid of another; `DeedsAligner` is the one of this package."""

    @property
    def identity(self) -> str:
        """Name, version and settings in one line, for provenance: results of two identities are not interchanged."""
        ...

    def align(self, fixed: PhaseVolume, moving: PhaseVolume, *, progress: Progress | None = None) -> PairAlignment:
        """The moving phase on the grid of the fixed one.

        Args:
            fixed: Reference phase; its voxels must not be changed.
            moving: Phase on any grid, of any orientation and coverage.
            progress: Called with (step in words, done, total); may be ignored.
        """
        ...
