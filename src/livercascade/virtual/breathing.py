"""Motion between phases as breath-holds make it: organs slide under a chest and along a spine that stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from livercascade.data.grid import Shape, Triple
from livercascade.data.labels import PHASES, Phase
from livercascade.virtual.motion import Motion
from livercascade.virtual.randomness import coarse_noise
from livercascade.virtual.tissue import FIRST_PART, LIVER_TISSUES, Tissue
from livercascade.virtual.tissue_map import COARSE_MM, TissueMap

DOME_MM = (12.0, 35.0)
"""Cranio-caudal distance between two breath-holds over the dome, mm."""
LOCAL_MM = (3.0, 10.0)
"""Peak of the organs' own bending in the liver, mm."""
MAX_SLOPE = 0.7
"""Steepest slope of slide and drift; under 1, so that neither folds."""
# Wavelength of the organs' own bending: organs bend as a whole, not ripple.
_KNOT_MM = 70.0
# How far below the dome the slide has faded to a tenth: kidneys still move, the pelvis hardly does.
_FADE_MM = 230.0
_STILL = (
    *(Tissue.AIR, Tissue.TABLE, Tissue.SKIN),
    *(Tissue.CORTICAL_BONE, Tissue.MARROW, Tissue.CARTILAGE, Tissue.SPINAL_CANAL),
)
# Neither held still nor moved on their own: they follow whichever is nearer.
_NEUTRAL = (Tissue.FAT, Tissue.MUSCLE, Tissue.AORTA, Tissue.IVC, Tissue.OESOPHAGUS)


@dataclass(frozen=True, slots=True)
class Breath:
    """One phase's motion against VP in numbers.

    Attributes:
        dome_mm: Cranio-caudal displacement over the dome from VP to this phase; negative is towards the feet.
        back_mm, left_mm: Displacement of the organs towards back and left.
        turn_deg: Rotation of the organs about the long axis.
        local_mm: Peak of their own bending within the liver.
    """

    dome_mm: float
    back_mm: float
    left_mm: float
    turn_deg: float
    local_mm: float


def draw_breath(rng: np.random.Generator) -> Breath:
    """Random motion of one phase (CLINICAL, section 4, with the breath-holds of an uncooperative patient)."""
    way = 1.0 if rng.random() < 0.5 else -1.0
    return Breath(
        dome_mm=way * float(rng.uniform(*DOME_MM)),
        back_mm=float(np.clip(rng.normal(0, 2.0), -5, 5)),
        left_mm=float(np.clip(rng.normal(0, 1.5), -4, 4)),
        turn_deg=float(np.clip(rng.normal(0, 1.0), -2.5, 2.5)),
        local_mm=float(rng.uniform(*LOCAL_MM)),
    )


def breathe(tissue_map: TissueMap, rng: np.random.Generator) -> tuple[Mapping[Phase, Motion], Mapping[Phase, Breath]]:
    """Motion of NC, AP and DP against VP, and its numbers as they came out.

    Slopes above `MAX_SLOPE` scale the slide or the drift of that phase down as a whole.
    """
    body = _MovingOrgans.of(tissue_map)
    motions: dict[Phase, Motion] = {}
    breaths: dict[Phase, Breath] = {}
    for phase in PHASES:
        if phase is not Phase.VP:
            motions[phase], breaths[phase] = body.motion(draw_breath(rng), rng)
    return motions, breaths


@dataclass(frozen=True, slots=True, eq=False)
class _MovingOrgans:
    """How freely tissue moves, on a lattice over the tissue map.

    Attributes:
        axes: Positions along z, y, x in mm.
        spacing: Distance of lattice points along z, y, x in mm.
        slides: 0 on bone and skin to 1 inside the trunk, steep at the inner wall: organs slide along it.
        drifts: The same, gently: no organ is pushed into the wall.
        liver: Voxels of the liver with its lesions.
    """

    axes: tuple[Float32[np.ndarray, " a"], Float32[np.ndarray, " b"], Float32[np.ndarray, " c"]]
    spacing: Triple
    slides: Float32[np.ndarray, "a b c"]
    drifts: Float32[np.ndarray, "a b c"]
    liver: Bool[np.ndarray, "a b c"]

    @classmethod
    def of(cls, tissue_map: TissueMap) -> _MovingOrgans:
        places = [_lattice(axis) for axis in (tissue_map.z, tissue_map.y, tissue_map.x)]
        z, y, x = (axis[index] for axis, index in zip((tissue_map.z, tissue_map.y, tissue_map.x), places, strict=True))
        tissue = tissue_map.values[np.ix_(*places)]
        spacing = tuple(float((a[-1] - a[0]) / (len(a) - 1)) for a in (z, y, x))
        step = (spacing[0], spacing[1], spacing[2])
        still = np.isin(tissue, _STILL)
        free = ~np.isin(tissue, (*_STILL, *_NEUTRAL))
        # Ribs hold the wall between them: along z, distances from them count little.
        to_cage = np.asarray(ndimage.distance_transform_edt(~still, sampling=(0.15 * step[0], *step[1:])))
        to_still = np.asarray(ndimage.distance_transform_edt(~still, sampling=step))
        to_free = np.asarray(ndimage.distance_transform_edt(~free, sampling=step))
        # Half way between what stays and what moves is where organs slide along the wall.
        wall = _ease(to_still / (to_still + to_free + 1e-3))
        slides = _along_z(_ease((to_cage - 2.0) / 8.0) * wall, 12.0 / step[0])
        liver = np.isin(tissue, LIVER_TISSUES) | (tissue >= FIRST_PART)
        return cls((z, y, x), step, slides, (_ease((to_still - 2.0) / 30.0) * wall).astype(np.float32), liver)

    @property
    def shape(self) -> Shape:
        a, b, c = self.slides.shape
        return (a, b, c)

    def motion(self, breath: Breath, rng: np.random.Generator) -> tuple[Motion, Breath]:
        """The motion with these numbers, and the numbers after limiting its slopes."""
        slide, drift = -breath.dome_mm * self.slides * self._depth(), self._drift(breath, rng)
        less_slide = min(1.0, MAX_SLOPE / _steepest(slide[None], self.spacing, axes=(1,)))
        less_drift = min(1.0, MAX_SLOPE / _steepest(drift, self.spacing))
        low, high = (self._corner(0), self._corner(-1))
        motion = Motion((slide * less_slide).astype(np.float32), (drift * less_drift).astype(np.float32), low, high)
        return motion, Breath(
            dome_mm=round(breath.dome_mm * less_slide, 2),
            back_mm=round(breath.back_mm * less_drift, 2),
            left_mm=round(breath.left_mm * less_drift, 2),
            turn_deg=round(breath.turn_deg * less_drift, 3),
            local_mm=round(breath.local_mm * less_drift, 2),
        )

    def _corner(self, index: int) -> Triple:
        z, y, x = (float(axis[index]) for axis in self.axes)
        return (z, y, x)

    def _depth(self) -> Float32[np.ndarray, "a b c"]:
        """1 at the height of the dome, fading to both ends; a little more behind, where the diaphragm moves most."""
        z, y = self.axes[0][:, None, None], self.axes[1][None, :, None]
        rows = np.flatnonzero(self.liver.any(axis=(1, 2)))
        dome = float(self.axes[0][rows[-1]]) if rows.size else 0.0
        below = 0.1 + 0.9 * _ease(1.0 + (z - dome) / _FADE_MM)
        above = 1.0 - 0.5 * _ease((z - dome) / 120.0)
        return (np.where(z < dome, below, above) * (0.92 + 0.08 * np.tanh(y / 60.0))).astype(np.float32)

    def _drift(self, breath: Breath, rng: np.random.Generator) -> Float32[np.ndarray, "3 a b c"]:
        y, x = self.axes[1][None, :, None], self.axes[2][None, None, :]
        turn = np.deg2rad(breath.turn_deg)
        cells = (_KNOT_MM / self.spacing[0], _KNOT_MM / self.spacing[1], _KNOT_MM / self.spacing[2])
        local = np.stack([self.drifts * coarse_noise(self.shape, cells, rng) for _ in range(3)])
        inside = self.liver if self.liver.any() else np.ones_like(self.liver)
        local *= breath.local_mm / max(float(np.linalg.norm(local, axis=0)[inside].max()), 1e-6)
        local[1] -= self.drifts * (breath.back_mm + turn * x)
        local[2] -= self.drifts * (breath.left_mm - turn * y)
        return local.astype(np.float32)


def _lattice(axis: Float32[np.ndarray, " n"]) -> np.ndarray:
    """Indices of a lattice about 4 mm wide, from end to end."""
    count = max(round(float(axis[-1] - axis[0]) / COARSE_MM) + 1, 8)
    return np.rint(np.linspace(0, len(axis) - 1, count)).astype(np.int64)


def _ease(share: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth in between."""
    clipped = np.clip(share, 0.0, 1.0)
    return clipped * clipped * (3.0 - 2.0 * clipped)


def _along_z(field: np.ndarray, sigma: float) -> Float32[np.ndarray, "a b c"]:
    return np.asarray(ndimage.gaussian_filter1d(field, sigma, axis=0, mode="nearest"), dtype=np.float32)


def _steepest(fields: Float32[np.ndarray, "n a b c"], spacing: Triple, axes: tuple[int, ...] = (1, 2, 3)) -> float:
    """Largest slope between lattice neighbours, over all components together."""
    slopes = [np.abs(np.diff(fields, axis=axis)).max(axis=axis) / spacing[axis - 1] for axis in axes]
    return max(float(np.sqrt(sum(float(s.max()) ** 2 for s in slopes))), 1e-6)
