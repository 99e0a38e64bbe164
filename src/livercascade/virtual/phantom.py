"""What lesions, mimics and confounders are painted into: one patient's body, liver and contrast behaviour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from livercascade.virtual.anatomy import Anatomy
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.lesions.liver_sites import LiverMap
from livercascade.virtual.physiology import Physiology
from livercascade.virtual.tissue import TissueTable
from livercascade.virtual.tissue_map import TissueMap


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """One patient in the making.

    Attributes:
        anatomy: The body.
        liver: Points of its liver and what has been placed there.
        tissue_table: Tissue values still to be given out.
        physiology: HU of every tissue and phase.
    """

    anatomy: Anatomy
    liver: LiverMap
    tissue_table: TissueTable
    physiology: Physiology

    @property
    def tissue_map(self) -> TissueMap:
        """The fine tissue map."""
        return self.anatomy.tissue_map

    @property
    def habitus(self) -> Habitus:
        """The build."""
        return self.anatomy.habitus

    @property
    def hilum(self) -> Float64[np.ndarray, " 3"]:
        """Where the portal vein enters the liver, (z, y, x) mm."""
        return self.anatomy.hilum
