"""Tissue values for the parts of lesions and mimics: what each of them is and how it looks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, UInt8

from livercascade.virtual.tissue import FIRST_PART, LAST_PART, LIVER_TISSUES, SOFT_ORGANS, tissue_labels


@dataclass(slots=True)
class Palette:
    """Gives out tissue values for parts of lesions and mimics and records what they are.

    Attributes:
        hu: Table ``[4, 256]`` shared with `Physiology`.
        labels: Label 0-13 per tissue value.
        families: Family of mimic or kind of confounder per tissue value, 0 for none.
        mottle: 1 for tissues that show the liver's own mottle: a lesion without it would give itself away.
        patchy_hu: SD of the unevenness inside a lesion at about 9 mm, per tissue value.
        used: Next value to give out.
    """

    hu: Float32[np.ndarray, "4 256"]
    labels: UInt8[np.ndarray, " 256"] = field(default_factory=tissue_labels)
    families: UInt8[np.ndarray, " 256"] = field(default_factory=lambda: np.zeros(256, dtype=np.uint8))
    mottle: Float32[np.ndarray, " 256"] = field(default_factory=lambda: _liver_mottle())
    patchy_hu: Float32[np.ndarray, " 256"] = field(default_factory=lambda: np.zeros(256, dtype=np.float32))
    used: int = FIRST_PART

    @property
    def room(self) -> int:
        """How many more parts can be given out."""
        return LAST_PART + 1 - self.used

    def add(
        self,
        curve: Float32[np.ndarray, " 4"],
        label: int,
        family: int = 0,
        *,
        solid: bool = True,
        patchy_hu: float = 0.0,
    ) -> int:
        """New tissue value with this HU curve, label and family of mimic; fluid and calcium are not ``solid``."""
        value = self.used
        self.used += 1
        self.hu[:, value] = curve
        self.labels[value] = label
        self.families[value] = family
        self.mottle[value] = float(solid)
        self.patchy_hu[value] = patchy_hu
        return value


def _liver_mottle() -> Float32[np.ndarray, " 256"]:
    table = np.zeros(256, dtype=np.float32)
    table[list(LIVER_TISSUES)] = 1.0
    table[list(SOFT_ORGANS)] = 0.5
    return table
