"""Settings of the alignment."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Level(BaseModel):
    """One level of the search, in voxels of the working grid.

    Attributes:
        block: Along each side of a block; its centre is a control point.
        radius: Displacements tried go from ``-radius`` to ``radius`` steps along each axis.
        step: From one displacement to the next.
        stride: Every how many voxels along each axis a block is sampled.
        distance: From the centre to its neighbours in the self-similarity context.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    block: int = Field(ge=2, le=16)
    radius: int = Field(ge=1, le=8)
    step: int = Field(ge=1, le=8)
    stride: int = Field(default=2, ge=1, le=4)
    distance: int = Field(default=1, ge=1, le=4)

    @property
    def side(self) -> int:
        """Displacements along each axis."""
        return 2 * self.radius + 1

    @property
    def patch(self) -> int:
        """Radius of the patches that are compared."""
        return self.distance // 2 + 1


LEVELS = (
    Level(block=8, radius=6, step=4, distance=3),
    Level(block=7, radius=6, step=3, distance=2),
    Level(block=6, radius=5, step=2, distance=2),
    Level(block=5, radius=4, step=1, distance=1),
    Level(block=4, radius=3, step=1, distance=1, stride=1),
)
"""From coarse to fine; the first one reaches 48 mm on a grid of 2 mm."""


class AlignSettings(BaseModel):
    """How phases are aligned.

    The field does not depend on ``threads``. Phases that lie on one another come out of any search moved by a fraction
    of a voxel of its grid, because noise always fits better somewhere else; ``still_mm`` and ``still_gain`` keep
    them where they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    spacing_mm: float = Field(default=2.0, ge=1.0, le=6.0, description="Of the isotropic working grid.")
    smooth_mm: float = Field(default=1.4, ge=0.0, le=5.0, description="Sigma of the smoothing of both phases.")
    levels: tuple[Level, ...] = Field(default=LEVELS, min_length=1)
    stiffness: float = Field(
        default=0.15, gt=0.0, description="Differing bits that one squared voxel of difference between blocks costs."
    )
    still_mm: float = Field(
        default=3.0, ge=0.0, description="Pairs moved less than this in 95 % of the body may have been aligned before."
    )
    still_gain: float = Field(
        default=1.02, ge=0.0, description="They stay as they lie if mutual information gains less than this factor."
    )
    threads: int = Field(default=0, ge=0, le=256, description="Threads; 0 takes one per core.")
