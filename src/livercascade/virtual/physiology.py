"""HU of every tissue in every phase for one patient: bolus, tube, liver (docs/virtual.md, HU of tissues)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from livercascade.virtual.habitus import Habitus
from livercascade.virtual.tissue import Curve, Tissue
from livercascade.virtual.virtual_settings import VirtualSettings

# NC, AP, VP, DP means and SDs between patients at 120 kVp.
_TABLE: dict[Tissue, tuple[Curve, Curve]] = {
    Tissue.AIR: ((-1000, -1000, -1000, -1000), (0, 0, 0, 0)),
    Tissue.FAT: ((-102, -101, -99, -99), (5, 0, 0, 0)),
    Tissue.SKIN: ((20, 25, 30, 30), (10, 0, 0, 0)),
    Tissue.MUSCLE: ((55, 60, 66, 66), (5, 2, 3, 3)),
    Tissue.LUNG: ((-850, -845, -840, -840), (30, 5, 5, 5)),
    Tissue.CORTICAL_BONE: ((650, 655, 660, 660), (120, 0, 0, 0)),
    Tissue.MARROW: ((165, 172, 180, 178), (40, 2, 4, 4)),
    Tissue.DISC: ((85, 87, 90, 90), (10, 1, 1, 1)),
    Tissue.LUNG_VESSEL: ((20, 90, 70, 45), (10, 20, 10, 10)),
    Tissue.PLEURAL_FLUID: ((9, 9, 10, 10), (4, 0, 0, 0)),
    Tissue.AIRWAY: ((-960, -960, -960, -960), (10, 0, 0, 0)),
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
_EARLY_S, _LATE_S = -3.84, 3.11
"""Errors of the arterial timing beyond which AP is early (10 %) or too late (15 %), at an SD of 3 s."""


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

    def apply(
        self, curve: Float32[np.ndarray, " 4"], liver: Float32[np.ndarray, " 4"], *, plain: bool = False
    ) -> Float32[np.ndarray, " 4"]:
        """HU per phase of a zone with this curve, in this liver; ``plain`` fluid and calcium keep theirs."""
        if plain:
            return curve.astype(np.float32)
        return (liver + np.float32(self.contrast) * (curve - liver) + self.shift).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Bolus:
    """How contrast medium reached one patient.

    Attributes:
        arrival_s: Time from injection to the aorta.
        cardiac: Cardiac output against the norm; little output makes a late, tall arterial peak.
        iodine: Dose against the norm.
        tube_kv: 120, or 100 with iodine 1.25 times as bright.
        error_s: Error of the arterial phase's time; early under -3.84 s, too late over 3.11 s.
        early_veins: VP taken before the hepatic veins fill.
    """

    arrival_s: float
    cardiac: float
    iodine: float
    tube_kv: int
    error_s: float
    early_veins: bool

    @property
    def gain(self) -> float:
        """Factor on every enhancement over NC."""
        return self.iodine * (1.25 if self.tube_kv == 100 else 1.0)

    @property
    def timing(self) -> str:
        """``early``, ``late`` (as wanted) or ``too late`` arterial phase."""
        return "early" if self.error_s < _EARLY_S else "too late" if self.error_s > _LATE_S else "late"

    @property
    def arterial(self) -> float:
        """Share of their arterial enhancement that lesions have reached in AP; 1 unless AP is early."""
        return float(np.clip(0.65 - 0.1 * (_EARLY_S - self.error_s), 0.25, 0.65)) if self.timing == "early" else 1.0

    @property
    def venous(self) -> float:
        """How far AP has gone towards VP; 0 unless AP is too late."""
        return float(np.clip(0.4 + 0.06 * (self.error_s - _LATE_S), 0.4, 0.7)) if self.timing == "too late" else 0.0


def draw_bolus(settings: VirtualSettings, rng: np.random.Generator) -> Bolus:
    """Random bolus; with `randomise` more of the arterial phases miss their time."""
    wide = 1.6 if settings.randomise else 1.0
    dose = 0.15 * wide
    return Bolus(
        arrival_s=float(rng.uniform(15, 22)),
        cardiac=float(rng.uniform(0.75, 1.3)),
        iodine=float(rng.uniform(1 - dose, 1 + dose)),
        tube_kv=100 if rng.random() < 0.2 else 120,
        error_s=float(rng.normal(0, 3.0 * (1.25 if settings.randomise else 1.0))),
        early_veins=bool(rng.random() < 0.08),
    )


@dataclass(frozen=True, slots=True)
class Physiology:
    """Contrast behaviour of one patient.

    Attributes:
        hu: HU ``[4 phases, 256 tissues]``; rows of lesion parts are filled by their makers.
        bolus: When and how much contrast medium came.
        contrast: Factor on lesions' contrast that the settings ask for.
        randomised: Lesions differ from the textbook by more than is plausible.
    """

    hu: Float32[np.ndarray, "4 256"]
    bolus: Bolus
    contrast: float = 1.0
    randomised: bool = False

    def enhance(self, curve: Curve) -> Float32[np.ndarray, " 4"]:
        """HU of a tissue with this textbook curve in this patient: its gains over NC scaled by iodine."""
        values = np.asarray(curve, dtype=np.float32)
        return (values[0] + (values - values[0]) * np.float32(self.bolus.gain)).astype(np.float32)

    def enhance_lesion(self, curve: Curve) -> Float32[np.ndarray, " 4"]:
        """As `enhance`, for tissue fed by arteries: less in an early AP, half way to VP in one that is too late."""
        values = self.enhance(curve)
        values[1] = values[0] + self.bolus.arterial * (values[1] - values[0])
        values[1] += self.bolus.venous * (values[2] - values[1])
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
        contrast, patchy = self.contrast, 0.0 if fluid else float(rng.uniform(1.5, 5))
        if self.randomised and not fluid:
            shift[1:] += rng.normal(0, 5, 3)
            contrast, patchy = self.contrast * float(rng.uniform(0.55, 1.3)), float(rng.uniform(1, 9))
        return LesionCharacter(shift.astype(np.float32), contrast, patchy)

    @property
    def liver(self) -> Float32[np.ndarray, " 4"]:
        """HU of this patient's liver per phase."""
        return self.hu[:, Tissue.LIVER]


def draw_physiology(habitus: Habitus, settings: VirtualSettings, rng: np.random.Generator) -> Physiology:
    """HU table of a patient: bolus and tube voltage, steatosis, cirrhosis, iron."""
    wide = 1.35 if settings.randomise else 1.0
    bolus = draw_bolus(settings, rng)
    physiology = Physiology(np.zeros((4, 256), dtype=np.float32), bolus, settings.lesion_contrast, settings.randomise)
    for tissue, (mean, sd) in _TABLE.items():
        physiology.hu[:, tissue] = _draw(physiology, mean, sd, wide, rng)
    physiology.hu[:, Tissue.LIVER] = _liver(physiology, habitus, wide, rng)
    _time(physiology, rng)
    physiology.hu[:, Tissue.PORTAL_BRANCH] = physiology.hu[:, Tissue.PORTAL_TRUNK]
    if rng.random() < 0.1:
        # Positive oral contrast, denser in the stomach than further down.
        physiology.hu[:, Tissue.STOMACH_CONTENT] = rng.uniform(150, 300)
        physiology.hu[:, Tissue.BOWEL_CONTENT] = rng.uniform(60, 250)
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
        gain = np.array([0.0, 13.0, 45.0, 30.0]) * physiology.bolus.gain
        curve = (nc + gain + np.array([0, *rng.normal(0, 4, 3)])).astype(np.float32)
    elif rng.random() < 0.04:
        # Iron makes a liver dense in every phase.
        curve = curve + np.float32(rng.uniform(20, 40))
    return curve.astype(np.float32)


def _time(physiology: Physiology, rng: np.random.Generator) -> None:
    """What an arterial phase before or after its time shows, and veins that have not filled in VP."""
    hu, bolus = physiology.hu, physiology.bolus
    for tissue in (Tissue.AORTA, Tissue.HEART_BLOOD, Tissue.HEPATIC_ARTERY):
        # Little output dilutes the bolus less: its peak is taller.
        hu[1, tissue] = hu[0, tissue] + (hu[1, tissue] - hu[0, tissue]) * bolus.cardiac**-0.3
    if bolus.timing == "early":
        hu[1, Tissue.PORTAL_TRUNK] = hu[0, Tissue.PORTAL_TRUNK] + 6
        for tissue, share in ((Tissue.LIVER, 0.45), (Tissue.SPLEEN, 0.75), (Tissue.PANCREAS, 0.7)):
            hu[1, tissue] = hu[0, tissue] + share * (hu[1, tissue] - hu[0, tissue])
        hu[1, Tissue.MESENTERIC_VESSEL] = hu[0, Tissue.MESENTERIC_VESSEL] + 30
    elif bolus.timing == "too late":
        for tissue in (Tissue.LIVER, Tissue.PORTAL_TRUNK, Tissue.HEPATIC_VEIN, Tissue.AORTA, Tissue.HEPATIC_ARTERY):
            hu[1, tissue] += bolus.venous * (hu[2, tissue] - hu[1, tissue])
    if bolus.early_veins:
        hu[2, Tissue.HEPATIC_VEIN] = hu[2, Tissue.LIVER] - rng.uniform(8, 25)
        hu[1, Tissue.HEPATIC_VEIN] = hu[0, Tissue.HEPATIC_VEIN] + 5


def _blur_truth(physiology: Physiology, rng: np.random.Generator) -> None:
    """Independent offsets per tissue: models must not rely on one table of HU."""
    offset = rng.normal(0, 6, 256).astype(np.float32)
    # Tissues of fixed density vary less than those that take up contrast medium.
    offset[[Tissue.AIR, Tissue.LUNG, Tissue.FAT]] *= 0.5
    physiology.hu[:] += offset[None, :]
