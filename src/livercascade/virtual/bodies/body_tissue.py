"""Tissues and things that only whole bodies hold, and their HU."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from livercascade.virtual.physiology import Physiology
from livercascade.virtual.tissue import FIRST_PART, Curve


class BodyTissue(IntEnum):
    """Values of the fine tissue map beside `Tissue`; in whole bodies, parts of lesions begin after them."""

    GREY_MATTER = FIRST_PART
    WHITE_MATTER = FIRST_PART + 1
    CSF = FIRST_PART + 2
    SKULL = FIRST_PART + 3
    TOOTH = FIRST_PART + 4
    EYE = FIRST_PART + 5
    GLAND = FIRST_PART + 6
    BREAST = FIRST_PART + 7
    THYROID = FIRST_PART + 8
    RIGHT_BLOOD = FIRST_PART + 9
    INFLOW = FIRST_PART + 10
    PROSTATE = FIRST_PART + 11
    UTERUS = FIRST_PART + 12
    FATTY_MUSCLE = FIRST_PART + 13
    CONSOLIDATION = FIRST_PART + 14
    MASS = FIRST_PART + 15
    CYSTIC = FIRST_PART + 16
    CALCIFICATION = FIRST_PART + 17
    FOAM = FIRST_PART + 18
    MATTRESS = FIRST_PART + 19
    CARBON = FIRST_PART + 20
    CLOTH = FIRST_PART + 21
    CABLE = FIRST_PART + 22
    METAL = FIRST_PART + 23


FIRST_FREE = max(BodyTissue) + 1
"""First value for parts of lesions and mimics in a whole body."""
# NC, AP, VP, DP means and SDs between patients.
_TABLE: dict[BodyTissue, tuple[Curve, Curve]] = {
    BodyTissue.GREY_MATTER: ((38, 41, 44, 44), (3, 1, 2, 2)),
    BodyTissue.WHITE_MATTER: ((29, 30, 33, 33), (3, 1, 1, 1)),
    BodyTissue.CSF: ((8, 8, 9, 9), (3, 0, 0, 0)),
    BodyTissue.SKULL: ((1000, 1000, 1000, 1000), (180, 0, 0, 0)),
    BodyTissue.TOOTH: ((1800, 1800, 1800, 1800), (300, 0, 0, 0)),
    BodyTissue.EYE: ((12, 12, 13, 13), (4, 0, 0, 0)),
    BodyTissue.GLAND: ((25, 60, 75, 65), (15, 10, 10, 10)),
    BodyTissue.BREAST: ((25, 35, 48, 48), (12, 6, 8, 8)),
    BodyTissue.THYROID: ((98, 190, 175, 150), (15, 25, 20, 15)),
    BodyTissue.RIGHT_BLOOD: ((40, 190, 150, 110), (5, 60, 18, 10)),
    BodyTissue.INFLOW: ((40, 320, 150, 112), (5, 220, 20, 12)),
    BodyTissue.PROSTATE: ((38, 58, 78, 74), (6, 10, 12, 12)),
    BodyTissue.UTERUS: ((42, 85, 112, 108), (6, 20, 18, 15)),
    BodyTissue.FATTY_MUSCLE: ((18, 22, 27, 27), (12, 2, 3, 3)),
    BodyTissue.CONSOLIDATION: ((35, 75, 95, 88), (10, 20, 20, 15)),
    BodyTissue.MASS: ((38, 75, 85, 78), (8, 30, 20, 15)),
    BodyTissue.CYSTIC: ((9, 9, 10, 11), (6, 0, 0, 0)),
    BodyTissue.CALCIFICATION: ((500, 500, 500, 500), (180, 0, 0, 0)),
    BodyTissue.FOAM: ((-900, -900, -900, -900), (50, 0, 0, 0)),
    BodyTissue.MATTRESS: ((-150, -150, -150, -150), (170, 0, 0, 0)),
    BodyTissue.CARBON: ((50, 50, 50, 50), (260, 0, 0, 0)),
    BodyTissue.CLOTH: ((-600, -600, -600, -600), (160, 0, 0, 0)),
    BodyTissue.CABLE: ((500, 500, 500, 500), (600, 0, 0, 0)),
    BodyTissue.METAL: ((3000, 3000, 3000, 3000), (0, 0, 0, 0)),
}
MOTTLED: dict[BodyTissue, float] = {
    BodyTissue.MASS: 1.0,
    BodyTissue.CONSOLIDATION: 1.5,
    BodyTissue.UTERUS: 0.8,
    BodyTissue.PROSTATE: 0.8,
    BodyTissue.GLAND: 1.5,
    BodyTissue.BREAST: 1.0,
    BodyTissue.FATTY_MUSCLE: 1.0,
    BodyTissue.GREY_MATTER: 0.4,
    BodyTissue.WHITE_MATTER: 0.4,
}
"""Tissues that are uneven, against the liver's mottle."""


SPARED = (BodyTissue.SKULL, BodyTissue.TOOTH, BodyTissue.CABLE)
"""Dense tissues that throw no streaks."""


def draw_body_tissues(physiology: Physiology, rng: np.random.Generator) -> None:
    """Write HU of these tissues into a patient's table; with the same bolus, and early or late blood as the aorta's."""
    for tissue, (mean, sd) in _TABLE.items():
        curve = physiology.enhance(mean) + np.float32(rng.normal(0, sd[0]))
        own = np.array([0.0, *(rng.normal(0, s) for s in sd[1:])])
        physiology.hu[:, tissue] = np.clip(curve + own, -1000, 3000)
    if physiology.bolus.timing == "too late":
        for tissue in (BodyTissue.RIGHT_BLOOD, BodyTissue.INFLOW):
            physiology.hu[1, tissue] += physiology.bolus.venous * (physiology.hu[2, tissue] - physiology.hu[1, tissue])
