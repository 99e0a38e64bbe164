"""What UNet^patch found in the patches of one proposal: small enough to keep, enough to judge again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from livercascade.data.labels import LESION_TYPES, LesionType


@dataclass(frozen=True, slots=True, eq=False)
class PatchTally:
    """Counts of one proposal, one row for each of its N patches (paper, eq. 10).

    Score, threshold and vote of every rule follow from these numbers, so that another rule needs no network.

    Attributes:
        votes: Voxels of each lesion type, in label order, that the network found inside the proposal.
        sizes: Voxels of the proposal in the patch.
        moved: True where the proposal was moved within the liver.
        voxel_ml: Volume of one voxel of a patch in ml.
    """

    votes: Int[np.ndarray, "n 6"]
    sizes: Int[np.ndarray, " n"]
    moved: Bool[np.ndarray, " n"]
    voxel_ml: float

    @property
    def overlap(self) -> Int[np.ndarray, " n"]:
        """Voxels confirmed as lesion of whatever type, per patch."""
        return self.votes.sum(axis=1)

    @property
    def overlap_ml(self) -> Float64[np.ndarray, " n"]:
        """Confirmed volume per patch in ml: the summands of the paper's score (eq. 11)."""
        return self.overlap * self.voxel_ml

    @property
    def votes_by_type(self) -> dict[LesionType, float]:
        """Voxels of each lesion type in all patches together."""
        return {t: float(n) for t, n in zip(LESION_TYPES, self.votes.sum(axis=0), strict=True)}

    @property
    def share(self) -> float:
        """Mean confirmed share of the proposal, 0 to 1."""
        return float(np.mean(self.overlap / np.maximum(self.sizes, 1)))

    @property
    def original(self) -> PatchTally:
        """The patches in which the proposal lies where it was found: a verdict without lesion shuffling."""
        kept = ~self.moved
        return PatchTally(self.votes[kept], self.sizes[kept], self.moved[kept], self.voxel_ml)
