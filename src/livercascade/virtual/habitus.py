"""A patient's build: the numbers that anatomy, physiology and scanner follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livercascade.virtual.virtual_settings import CaseMix, VirtualSettings


@dataclass(frozen=True, slots=True)
class Habitus:
    """Build and state of one virtual patient; lengths in mm, positions LPS with the liver dome near z = 0.

    Attributes:
        half_width, half_depth: Half axes of the trunk, skin to skin.
        fat_side, fat_front: Thickness of subcutaneous fat.
        wall: Thickness of the muscular body wall with the ribs.
        liver_height: Cranio-caudal extent of the right lobe.
        left_lobe: Reach of the left lobe to the patient's left.
        liver_ml: Volume of the liver that is aimed at.
        spleen_scale: Linear scale of the spleen (cirrhosis enlarges it).
        cirrhotic: True for a nodular, heterogeneous liver with a small right lobe.
        ascites: True for free fluid round liver and spleen.
        fat_fraction: 0 normal, to 1 severe steatosis.
        top, bottom: Ends of the scan, z in mm; from -270 down there is a pelvis, from -450 down thighs.
        arms_down: True for arms beside the trunk.
        effusion: Share of the chest's depth that fluid behind the lungs fills, 0 for none.
        fov: Side of the reconstructed square.
        warp: Amplitude of the organic bending of all organs.
    """

    half_width: float
    half_depth: float
    fat_side: float
    fat_front: float
    wall: float
    liver_height: float
    left_lobe: float
    liver_ml: float
    spleen_scale: float
    cirrhotic: bool
    ascites: bool
    fat_fraction: float
    top: float
    bottom: float
    fov: float
    warp: float
    arms_down: bool = False
    effusion: float = 0.0

    @property
    def spine_y(self) -> float:
        """Position of the vertebral body's centre, y in mm."""
        return self.half_depth - 58.0 - 0.2 * self.fat_side

    @property
    def effective_cm(self) -> float:
        """Diameter of the round trunk of the same area, cm."""
        return 0.2 * float(np.sqrt(self.half_width * self.half_depth))

    @property
    def cavity(self) -> tuple[float, float]:
        """Half axes (y, x) of the inner wall of the trunk."""
        return (
            self.half_depth - 0.5 * (self.fat_front + self.fat_side) - self.wall,
            self.half_width - self.fat_side - self.wall,
        )


def draw_habitus(settings: VirtualSettings, cirrhotic: bool, rng: np.random.Generator) -> Habitus:
    """Random build; `randomise` widens every range beyond the plausible (docs/virtual.md, anatomy)."""
    wide = 1.6 if settings.randomise else 1.0
    half_width = float(np.clip(rng.normal(168, 13 * wide), 135, 215))
    half_depth = half_width * float(np.clip(rng.normal(0.68, 0.05 * wide), 0.55, 0.85))
    fat_side = float(np.clip(rng.gamma(3.0, 5.0 * wide), 5, 50)) * half_width / 168
    target = rng.normal(1150, 230) if cirrhotic else rng.normal(1400, 280)
    fov = 2 * half_width + float(rng.uniform(10, 50))
    if settings.randomise and rng.random() < 0.15:
        fov *= float(rng.uniform(0.85, 0.95))
    top, bottom = _reach(settings, rng)
    arms_down = bool(rng.random() < 0.07)
    if arms_down:
        fov += float(rng.uniform(20, 90))
    return Habitus(
        half_width=half_width,
        half_depth=half_depth,
        fat_side=fat_side,
        fat_front=fat_side * float(rng.uniform(0.6, 1.3)),
        wall=float(rng.uniform(11, 17)),
        liver_height=float(np.clip(rng.normal(165, 18 * wide), 115, 230)),
        left_lobe=float(np.clip(rng.normal(68, 22 * wide), 5, 115)),
        liver_ml=float(np.clip(target, 700, 2400)),
        spleen_scale=float(np.clip(rng.normal(1.3 if cirrhotic else 1.0, 0.12), 0.7, 1.7)),
        cirrhotic=cirrhotic,
        ascites=bool(rng.random() < (0.25 if cirrhotic else 0.02)),
        fat_fraction=0.0 if cirrhotic or rng.random() > 0.3 else float(rng.uniform(0.2, 1.0)),
        top=top,
        bottom=bottom,
        fov=fov,
        warp=float(rng.uniform(4, 9)) * (1.3 if settings.randomise else 1.0),
        arms_down=arms_down,
        effusion=float(rng.uniform(0.12, 0.5)) if rng.random() < (0.15 if cirrhotic else 0.06) else 0.0,
    )


def _reach(settings: VirtualSettings, rng: np.random.Generator) -> tuple[float, float]:
    """Ends of the scan: liver to below it in most, down to pelvis or thighs and up to mid-chest in a share."""
    wide = settings.mix is CaseMix.TRAINING or settings.randomise
    chest = rng.random() < (0.3 if wide else 0.1)
    top = float(rng.uniform(60, 130) if chest else rng.uniform(20, 60))
    depth = str(rng.choice(["liver", "pelvis", "thighs"], p=[0.70, 0.18, 0.12] if wide else [0.87, 0.09, 0.04]))
    low, high = {"liver": (190.0, 265.0), "pelvis": (300.0, 430.0), "thighs": (450.0, 520.0)}[depth]
    return top, -float(rng.uniform(low, high))
