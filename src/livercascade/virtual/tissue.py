"""Values of the tissue map: what each of them is, its label (0-13) and how it looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from jaxtyping import Float32, UInt8

from livercascade.data.labels import BACKGROUND, Organ

Curve = tuple[float | int, float | int, float | int, float | int]
"""HU in NC, AP, VP and DP."""


class Tissue(IntEnum):
    """Values of the fine tissue map; values from `FIRST_PART` on belong to lesions and mimics."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    LUNG = 3
    CORTICAL_BONE = 4
    MARROW = 5
    SPINAL_CANAL = 6
    HEART = 7
    HEART_BLOOD = 8
    AORTA = 9
    IVC = 10
    LIVER = 11
    PORTAL_BRANCH = 12
    HEPATIC_VEIN = 13
    HEPATIC_ARTERY = 14
    PORTAL_TRUNK = 15
    GALLBLADDER_WALL = 16
    BILE = 17
    SPLEEN = 18
    PANCREAS = 19
    STOMACH_WALL = 20
    STOMACH_CONTENT = 21
    STOMACH_GAS = 22
    RENAL_CORTEX = 23
    RENAL_MEDULLA = 24
    BOWEL_WALL = 25
    BOWEL_CONTENT = 26
    BOWEL_GAS = 27
    STOOL = 28
    FLUID = 29
    TABLE = 30
    MESENTERIC_VESSEL = 31
    BLADDER = 32
    ADRENAL = 33
    SKIN = 34
    CARTILAGE = 35
    OESOPHAGUS = 36
    LUNG_VESSEL = 37
    PLEURAL_FLUID = 38
    DISC = 39
    AIRWAY = 40


FIRST_PART = 48
"""First tissue value that is given out to parts of lesions and mimics."""
LAST_PART = 255

_LABELS = {
    Tissue.LIVER: Organ.LIVER,
    Tissue.PORTAL_BRANCH: Organ.HEPATIC_VESSELS,
    Tissue.HEPATIC_VEIN: Organ.HEPATIC_VESSELS,
    Tissue.HEPATIC_ARTERY: Organ.HEPATIC_VESSELS,
    Tissue.PORTAL_TRUNK: Organ.PORTAL_SPLENIC_VEIN,
    Tissue.GALLBLADDER_WALL: Organ.GALLBLADDER,
    Tissue.BILE: Organ.GALLBLADDER,
    Tissue.SPLEEN: Organ.SPLEEN,
    Tissue.PANCREAS: Organ.PANCREAS,
    Tissue.STOMACH_WALL: Organ.STOMACH,
    Tissue.STOMACH_CONTENT: Organ.STOMACH,
    Tissue.STOMACH_GAS: Organ.STOMACH,
}


def tissue_labels() -> UInt8[np.ndarray, " 256"]:
    """Label 0-13 of every tissue value; parts of lesions are filled in by their makers."""
    table = np.full(256, BACKGROUND, dtype=np.uint8)
    for tissue, organ in _LABELS.items():
        table[tissue] = organ
    return table


SOFT_ORGANS = (Tissue.SPLEEN, Tissue.PANCREAS, Tissue.RENAL_CORTEX, Tissue.HEART, Tissue.MUSCLE)
"""Tissues that show a mottle of their own, weaker than the liver's."""
LIVER_TISSUES = (Tissue.LIVER, Tissue.PORTAL_BRANCH, Tissue.HEPATIC_VEIN, Tissue.HEPATIC_ARTERY)
"""Where a lesion or mimic may lie."""


@dataclass(slots=True)
class TissueTable:
    """Gives out tissue values for parts of lesions and mimics and records what they are.

    Attributes:
        hu: Table ``[4, 256]`` shared with `Physiology`.
        labels: Label 0-13 per tissue value.
        families: Family of mimic or kind of confounder per tissue value, 0 for none.
        mottle: 1 for tissues that show the liver's own mottle: a lesion without it would give itself away.
        patchy_hu: SD of the unevenness inside a lesion at about 9 mm, per tissue value.
        used: Next value to give out.
        spared: Tissue values that throw no streaks, however dense they are.
    """

    hu: Float32[np.ndarray, "4 256"]
    labels: UInt8[np.ndarray, " 256"] = field(default_factory=tissue_labels)
    families: UInt8[np.ndarray, " 256"] = field(default_factory=lambda: np.zeros(256, dtype=np.uint8))
    mottle: Float32[np.ndarray, " 256"] = field(default_factory=lambda: _liver_mottle())
    patchy_hu: Float32[np.ndarray, " 256"] = field(default_factory=lambda: np.zeros(256, dtype=np.float32))
    used: int = FIRST_PART
    spared: tuple[int, ...] = ()

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
    # Half of the liver's: other organs look smoother.
    table[list(SOFT_ORGANS)] = 0.5
    return table
