"""Settings of the registration of two phases, and limits that a registration must keep to be used."""

from __future__ import annotations

from enum import Enum

from pydantic import AliasChoices, Field

from livercascade.data.record import Record


class SearchLevel(Record):
    """One level of the coarse-to-fine search, in voxels of the registration grid.

    Attributes:
        block: Voxels along each side of a block; its centre is a control point.
        radius: Reach of the search: displacements go from ``-radius`` to ``radius`` steps along each axis.
        step: Voxels from one displacement to the next.
        stride: Spacing, along each axis, of the voxels of a block that are compared.
        distance: Voxels from the centre of a self-similarity descriptor to its neighbours.
    """

    block: int = Field(ge=2, le=16)
    radius: int = Field(ge=1, le=8)
    step: int = Field(ge=1, le=8)
    stride: int = Field(default=2, ge=1, le=4)
    distance: int = Field(default=1, ge=1, le=4)

    @property
    def side(self) -> int:
        """Number of displacements along each axis."""
        return 2 * self.radius + 1

    @property
    def patch(self) -> int:
        """Radius of the patches that are compared."""
        return self.distance // 2 + 1


# Grids, radii and steps of the original (8 to 4 voxels), found by trial on virtual pairs: an extra level of 3 voxels or
# a grid of 3 mm gained nothing.
LEVELS = (
    SearchLevel(block=8, radius=6, step=4, distance=3),
    SearchLevel(block=7, radius=6, step=3, distance=2),
    SearchLevel(block=6, radius=5, step=2, distance=2),
    SearchLevel(block=5, radius=4, step=1, distance=1),
    SearchLevel(block=4, radius=3, step=1, distance=1, stride=1),
)
"""Levels from coarse to fine; the first one reaches 48 mm on a grid of 2 mm."""


class AlignSettings(Record):
    """How phases are registered.

    The field does not depend on ``threads``. Phases that are aligned already come out of any search moved by a fraction
    of a voxel of its grid, because noise always fits better somewhere else; the no-motion check (``no_motion_mm`` and
    ``no_motion_gain``) leaves them where they are. The older names ``still_mm`` and ``still_gain`` are read too.
    """

    spacing_mm: float = Field(default=2.0, ge=1.0, le=6.0, description="Voxel size of the registration grid.")
    # Slices of 5 mm leave a periodic pattern of sharp and blurred planes, which smoothing evens out (0.2 mm of error).
    smooth_mm: float = Field(default=1.4, ge=0.0, le=5.0, description="Sigma of the smoothing of both phases.")
    levels: tuple[SearchLevel, ...] = Field(
        default=LEVELS, min_length=1, description="Levels of the search, from coarse to fine."
    )
    stiffness: float = Field(
        default=0.15, gt=0.0, description="Differing bits that one squared voxel of difference between blocks costs."
    )
    no_motion_mm: float = Field(
        default=3.0,
        ge=0.0,
        validation_alias=AliasChoices("no_motion_mm", "still_mm"),
        description="Largest motion, in 95 % of the body, of a pair that may have been aligned before.",
    )
    no_motion_gain: float = Field(
        default=1.02,
        ge=0.0,
        validation_alias=AliasChoices("no_motion_gain", "still_gain"),
        description="Factor by which mutual information must rise for such a pair to be moved.",
    )
    threads: int = Field(default=0, ge=0, le=256, description="Number of threads; 0 takes one per core.")


class OnPoorAlignment(Enum):
    """What happens to a phase that fails quality control: kept by header geometry, left out, or the case is refused."""

    UNALIGNED = "unaligned"
    DROP = "drop"
    REJECT = "reject"


class RegistrationLimits(Record):
    """Limits of registration quality control; a phase outside any of them is poorly aligned.

    Attributes:
        min_gain: Least ratio of the mutual information after and before. An alignment that loses similarity has made
            things worse; the slack is the little that interpolation changes in a pair that was aligned before.
        min_body_overlap: Least Dice overlap of all tissue but gas, after. Well aligned phases differ by gas in the
            bowel alone; another patient, or a field that slipped by a vertebra, lies well below.
        min_liver_overlap: Least Dice overlap of the liver, after, where masks of both phases are at hand. Groups that
            align livers by affine and B-spline transforms use 0.80 and reach 0.94 to 0.97.
        max_folded: Largest share of voxels where the field folds, which tissue cannot.
        max_displacement_mm: Largest 95th percentile of the displacement over the body, beyond a shift between the
            headers. Breath-holds differ by up to 40 mm at the dome and less elsewhere; the search reaches 48 mm.
        on_poor: What happens to a poorly aligned phase.
    """

    min_gain: float = Field(default=0.98, ge=0)
    min_body_overlap: float = Field(default=0.90, ge=0, le=1)
    min_liver_overlap: float = Field(default=0.80, ge=0, le=1)
    max_folded: float = Field(default=0.001, ge=0, le=1)
    max_displacement_mm: float = Field(default=45.0, gt=0)
    on_poor: OnPoorAlignment = OnPoorAlignment.UNALIGNED
