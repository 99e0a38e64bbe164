"""HU of every tissue in every phase for one patient (CLINICAL, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from livercascade.virtual.habitus import Habitus
from livercascade.virtual.settings import VirtualSettings
from livercascade.virtual.tissue import Curve, Tissue

# NC, AP, VP, DP means and SDs between patients at 120 kVp.
_TABLE: dict[Tissue, tuple[Curve, Curve]] = {
    Tissue.AIR: ((-1000, -1000, -1000, -1000), (0, 0, 0, 0)),
    Tissue.FAT: ((-102, -101, -99, -99), (5, 0, 0, 0)),
    Tissue.SKIN: ((20, 25, 30, 30), (10, 0, 0, 0)),
    Tissue.MUSCLE: ((55, 60, 66, 66), (5, 2, 3, 3)),
    Tissue.LUNG: ((-850, -845, -840, -840), (30, 5, 5, 5)),
    Tissue.CORTICAL_BONE: ((650, 655, 660, 660), (120, 0, 0, 0)),
    Tissue.MARROW: ((170, 178, 186, 184), (45, 2, 4, 4)),
    Tissue.CARTILAGE: ((80, 82, 85, 85), (10, 1, 1, 1)),
    Tissue.SPINAL_CANAL: ((28, 30, 34, 34), (5, 1, 2, 2)),
    Tissue.HEART: ((45, 100, 110, 92), (5, 15, 10, 8)),
    Tissue.HEART_BLOOD: ((40, 260, 155, 110), (5, 50, 18, 10)),
    Tissue.AORTA: ((40, 310, 160, 110), (5, 55, 20, 12)),
    Tissue.IVC: ((40, 90, 140, 110), (5, 35, 25, 10)),
    Tissue.PORTAL_TRUNK: ((40, 110, 175, 115), (5, 40, 22, 12)),
    Tissue.HEPATIC_VEIN: ((40, 50, 155, 112), (5, 10, 25, 12)),
    Tissue.HEPATIC_ARTERY: ((40, 250, 150, 108), (5, 55, 20, 10)),
    Tissue.MESENTERIC_VESSEL: ((40, 150, 165, 112), (5, 50, 20, 12)),
    Tissue.GALLBLADDER_WALL: ((35, 55, 75, 70), (5, 8, 10, 10)),
    Tissue.BILE: ((8, 8, 8, 8), (6, 0, 0, 0)),
    Tissue.SPLEEN: ((47, 120, 118, 90), (5, 25, 13, 9)),
    Tissue.PANCREAS: ((40, 100, 88, 68), (7, 18, 12, 9)),
    Tissue.STOMACH_WALL: ((40, 75, 85, 75), (5, 12, 10, 8)),
    Tissue.STOMACH_CONTENT: ((18, 18, 18, 18), (12, 0, 0, 0)),
    Tissue.STOMACH_GAS: ((-950, -950, -950, -950), (15, 0, 0, 0)),
    Tissue.RENAL_CORTEX: ((33, 165, 175, 140), (4, 30, 20, 18)),
    Tissue.RENAL_MEDULLA: ((33, 70, 160, 140), (4, 15, 20, 18)),
    Tissue.BOWEL_WALL: ((38, 75, 88, 75), (6, 15, 12, 10)),
    Tissue.BOWEL_CONTENT: ((22, 22, 22, 22), (14, 0, 0, 0)),
    Tissue.BOWEL_GAS: ((-900, -900, -900, -900), (50, 0, 0, 0)),
    Tissue.STOOL: ((-60, -60, -60, -60), (90, 0, 0, 0)),
    Tissue.FLUID: ((8, 8, 9, 10), (4, 0, 0, 0)),
    Tissue.TABLE: ((-150, -150, -150, -150), (150, 0, 0, 0)),
    Tissue.BLADDER: ((6, 6, 8, 60), (4, 0, 0, 40)),
    Tissue.ADRENAL: ((30, 75, 80, 60), (8, 15, 10, 8)),
    Tissue.OESOPHAGUS: ((38, 55, 65, 60), (6, 8, 8, 6)),
}
_LIVER_NORMAL = ((55, 70, 106, 87), (6, 6, 10, 6))
_LIVER_CIRRHOTIC = ((48, 58, 91, 82), (6, 5, 9, 6))
_CONTENT = (Tissue.BILE, Tissue.STOMACH_CONTENT, Tissue.BOWEL_CONTENT, Tissue.STOOL, Tissue.FLUID)


@dataclass(frozen=True, slots=True)
class LesionCharacter:
    """What makes one lesion differ from the textbook.

    Attributes:
        shift: HU added per phase.
        contrast: Factor on its difference from the liver.
        patchy_hu: SD of its inner unevenness.
    """

    shift: Float32[np.ndarray, " 4"]
    contrast: float
    patchy_hu: float

    def apply(self, curve: Float32[np.ndarray, " 4"], liver: Float32[np.ndarray, " 4"]) -> Float32[np.ndarray, " 4"]:
        """HU per phase of a zone with this curve, in this liver."""
        return (liver + np.float32(self.contrast) * (curve - liver) + self.shift).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Physiology:
    """Contrast behaviour of one patient.

    Attributes:
        hu: HU ``[4 phases, 256 tissues]``; rows of lesion parts are filled by their makers.
        timing: ``early``, ``late`` or ``too late`` arterial phase.
        iodine: Factor on every enhancement over NC.
        arterial: Share of their arterial enhancement that lesions have reached in AP; under 1 when AP is early.
        randomised: Lesions differ from the textbook by more than is plausible.
    """

    hu: Float32[np.ndarray, "4 256"]
    timing: str
    iodine: float
    arterial: float = 1.0
    randomised: bool = False

    def enhance(self, curve: Curve) -> Float32[np.ndarray, " 4"]:
        """HU of a tissue with this textbook curve in this patient: its gains over NC scaled by iodine."""
        values = np.asarray(curve, dtype=np.float32)
        return (values[0] + (values - values[0]) * np.float32(self.iodine)).astype(np.float32)

    def enhance_lesion(self, curve: Curve) -> Float32[np.ndarray, " 4"]:
        """As `enhance`, for tissue fed by arteries: less in an early AP, half way to VP in one that is too late."""
        values = self.enhance(curve)
        values[1] = values[0] + self.arterial * (values[1] - values[0])
        if self.timing == "too late":
            values[1] = 0.5 * (values[1] + values[2])
        return values

    def lesion_character(self, jitter: float, *, fluid: bool, rng: np.random.Generator) -> LesionCharacter:
        """How one lesion differs from others of its kind.

        Args:
            jitter: SD of its shift in the contrast phases, HU.
            fluid: True for lesions without vessels, whose HU hardly vary.
            rng: Source of the draw.
        """
        together = float(rng.normal(0, jitter))
        shift = np.array([rng.normal(0, 2 if fluid else 4), together, together, together])
        contrast, patchy = 1.0, 0.0 if fluid else float(rng.uniform(1.5, 5))
        if self.randomised and not fluid:
            shift[1:] += rng.normal(0, 5, 3)
            contrast, patchy = float(rng.uniform(0.55, 1.3)), float(rng.uniform(1, 9))
        return LesionCharacter(shift.astype(np.float32), contrast, patchy)

    @property
    def liver(self) -> Float32[np.ndarray, " 4"]:
        """HU of this patient's liver per phase."""
        return self.hu[:, Tissue.LIVER]


def draw_physiology(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Physiology:
    """HU table of a patient: bolus timing, iodine and tube voltage, steatosis, cirrhosis."""
    wide = 1.35 if settings.randomise else 1.0
    iodine = float(np.clip(rng.normal(1.0, 0.1 * wide), 0.65, 1.45)) * (1.25 if rng.random() < 0.2 else 1.0)
    shares = [0.22, 0.58, 0.20] if settings.randomise else [0.10, 0.75, 0.15]
    timing = str(rng.choice(["early", "late", "too late"], p=shares))
    arterial = float(rng.uniform(0.25, 0.65)) if timing == "early" else 1.0
    table = np.zeros((4, 256), dtype=np.float32)
    physiology = Physiology(table, timing, iodine, arterial, settings.randomise)
    for tissue, (mean, sd) in _TABLE.items():
        physiology.hu[:, tissue] = _draw(physiology, mean, sd, wide, rng)
    physiology.hu[:, Tissue.LIVER] = _liver(physiology, habitus, wide, rng)
    _timing(physiology)
    physiology.hu[:, Tissue.PORTAL_BRANCH] = physiology.hu[:, Tissue.PORTAL_TRUNK]
    if rng.random() < 0.1:
        physiology.hu[:, Tissue.STOMACH_CONTENT] = rng.uniform(150, 300)
    if settings.randomise:
        _blur_truth(physiology, rng)
    return physiology


def _draw(
    physiology: Physiology,
    mean: Curve,
    sd: Curve,
    wide: float,
    rng: np.random.Generator,
) -> Float32[np.ndarray, " 4"]:
    curve = physiology.enhance(mean)
    shared = rng.normal(0, sd[0] * wide)
    own = np.array([0.0, *(rng.normal(0, s * wide) for s in sd[1:])])
    return (curve + shared + own).astype(np.float32)


def _liver(
    physiology: Physiology, habitus: Habitus, wide: float, rng: np.random.Generator
) -> Float32[np.ndarray, " 4"]:
    mean, sd = _LIVER_CIRRHOTIC if habitus.cirrhotic else _LIVER_NORMAL
    curve = _draw(physiology, mean, sd, wide, rng)
    if habitus.fat_fraction > 0:
        nc = 50.0 - 45.0 * habitus.fat_fraction + rng.normal(0, 4)
        gain = np.array([0.0, 13.0, 45.0, 30.0]) * physiology.iodine
        curve = (nc + gain + np.array([0, *rng.normal(0, 4, 3)])).astype(np.float32)
    elif rng.random() < 0.04:
        curve = curve + np.float32(rng.uniform(20, 40))
    return curve.astype(np.float32)


def _timing(physiology: Physiology) -> None:
    hu = physiology.hu
    if physiology.timing == "early":
        hu[1, Tissue.PORTAL_TRUNK] = hu[0, Tissue.PORTAL_TRUNK] + 6
        hu[1, Tissue.LIVER] = hu[0, Tissue.LIVER] + 0.45 * (hu[1, Tissue.LIVER] - hu[0, Tissue.LIVER])
        hu[1, Tissue.SPLEEN] = hu[0, Tissue.SPLEEN] + 0.75 * (hu[1, Tissue.SPLEEN] - hu[0, Tissue.SPLEEN])
    elif physiology.timing == "too late":
        for tissue in (Tissue.LIVER, Tissue.PORTAL_TRUNK, Tissue.HEPATIC_VEIN):
            hu[1, tissue] = 0.5 * (hu[1, tissue] + hu[2, tissue])
        hu[1, Tissue.AORTA] = 0.6 * hu[1, Tissue.AORTA] + 0.4 * hu[2, Tissue.AORTA]


def _blur_truth(physiology: Physiology, rng: np.random.Generator) -> None:
    """Independent offsets per tissue: models must not rely on one table of HU."""
    offset = rng.normal(0, 6, 256).astype(np.float32)
    offset[[Tissue.AIR, Tissue.LUNG, Tissue.FAT]] *= 0.5
    physiology.hu[:] += offset[None, :]
