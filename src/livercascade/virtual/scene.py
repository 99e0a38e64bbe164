"""What lesions, mimics and confounders are painted into: one patient's body, liver and contrast behaviour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from livercascade.virtual.anatomy import Anatomy
from livercascade.virtual.canvas import Canvas
from livercascade.virtual.habitus import Habitus
from livercascade.virtual.lesions.place import LiverMap
from livercascade.virtual.palette import Palette
from livercascade.virtual.physiology import Physiology


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One patient in the making.

    Attributes:
        anatomy: The body.
        liver: Points of its liver and what has been placed there.
        palette: Tissue values still to be given out.
        physiology: HU of every tissue and phase.
    """

    anatomy: Anatomy
    liver: LiverMap
    palette: Palette
    physiology: Physiology

    @property
    def canvas(self) -> Canvas:
        """The fine tissue map."""
        return self.anatomy.canvas

    @property
    def habitus(self) -> Habitus:
        """The build."""
        return self.anatomy.habitus

    @property
    def hilum(self) -> Float64[np.ndarray, " 3"]:
        """Where the portal vein enters the liver, (z, y, x) mm."""
        return self.anatomy.hilum
