"""How a lesion takes up contrast medium: what a radiologist measures to name its type, as numbers.

Each phase is read in the lesion's core and rim against the liver round it and against the hepatic vessels. Which zones
and differences count is textbook knowledge (docs/types.md); no network sees the image here. What tells more of the
patient or of the outline than of the lesion is left out: on real scans it misled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from scipy import ndimage

from livercascade.data.labels import PHASES, Organ, Phase
from livercascade.data.lesion import Lesion, with_margin
from livercascade.data.scan import OUTSIDE_HU, Scan

LEVELS = (
    *("core against liver", "rim against liver", "5th percentile against liver", "95th percentile against liver"),
    *("spread", "95th percentile against hepatic vessels", "core"),
)
"""What is measured in every phase, HU; NaN where a phase or an organ is absent."""
FORM = ("log of ml", "depth in mm", "fullness")
"""What is measured once."""
_DIFFERENCES = ((0, 1), (1, 2), (2, 3), (0, 3), (0, 2))
"""Pairs of phases between which uptake and washout are read."""
_DIFFERING = (0, 1, 3, 6)
"""Levels of which they are."""
_AS_THEY_ARE = 6
"""Levels that are features as they are; the HU of the core, which depend on scanner and dose, only as differences."""
NUM_FEATURES = len(FORM) + len(PHASES) * _AS_THEY_ARE + len(_DIFFERENCES) * len(_DIFFERING)
FIRST_LEVEL = tuple(len(FORM) + index * _AS_THEY_ARE for index in range(len(PHASES)))
"""Features that are there exactly if a phase is."""
_MARGIN_MM = 16.0
_SHELL_MM = (2.0, 12.0)
_CORE = 0.5
"""Core: deeper than this share of the greatest depth."""
_LEAST_RIM, _LEAST_SHELL, _LEAST_ORGAN = 4, 20, 20
_SAMPLED = 50_000
"""Voxels from which an organ's median is taken: 0.1 HU of noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Enhancement:
    """Measures of one lesion.

    Attributes:
        levels: ``[phase, len(LEVELS)]`` in HU, NaN where absent.
        form: ``[len(FORM)]``.
    """

    levels: Float32[np.ndarray, "4 level"]
    form: Float32[np.ndarray, " form"]

    def features(self, phases: Bool[np.ndarray, " 4"] | None = None) -> Float32[np.ndarray, " feature"]:
        """What the type follows from: form, levels, and differences between phases; NaN where something is absent.

        Args:
            phases: Phases that may be seen; all that were measured by default.
        """
        seen = self.levels if phases is None else np.where(phases[:, None], self.levels, np.float32(np.nan))
        differences = [seen[late, _DIFFERING] - seen[early, _DIFFERING] for early, late in _DIFFERENCES]
        return np.concatenate([self.form, seen[:, :_AS_THEY_ARE].ravel(), *differences]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """What lesions of a patient are read against.

    Attributes:
        liver: Median HU per phase, NaN where absent; for lesions with too little liver round them.
        vessels: Likewise of the hepatic vessels.
    """

    liver: Float32[np.ndarray, " 4"]
    vessels: Float32[np.ndarray, " 4"]

    @classmethod
    def measure(cls, scan: Scan, labels: UInt8[np.ndarray, "z y x"]) -> Background:
        """Background in a scan by its label map 0-13 on the same grid."""
        flat = labels.ravel()
        liver, vessels = (_medians(scan, np.flatnonzero(flat == o)) for o in (Organ.LIVER, Organ.HEPATIC_VESSELS))
        return cls(liver, vessels)


def measure(scan: Scan, labels: UInt8[np.ndarray, "z y x"], lesion: Lesion, background: Background) -> Enhancement:
    """Measures of one lesion.

    Args:
        scan: One to four phases on one grid. A phase without data in part of the lesion counts as absent.
        labels: Label map 0-13 on that grid; what is liver round the lesion is read from it.
        lesion: Region to measure; what ``labels`` holds there does not matter.
        background: What it is read against.
    """
    box, inside = with_margin(lesion, scan.grid.shape, scan.grid.spacing, _MARGIN_MM)
    spacing = scan.grid.spacing
    # Padded: a lesion may reach the edge of the scan, which bounds it too.
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    apart = ndimage.distance_transform_edt(~inside, sampling=spacing)
    liver = (labels[box] == Organ.LIVER) & ~inside
    deepest = float(depth.max())
    core = depth >= _CORE * deepest
    rim = inside & ~core
    zones = {
        "inside": inside,
        "core": core,
        "rim": rim if np.count_nonzero(rim) >= _LEAST_RIM else inside,
        "shell": liver & (apart > _SHELL_MM[0]) & (apart < _SHELL_MM[1]),
    }
    ml = np.count_nonzero(inside) * scan.grid.voxel_ml
    ball_ml = 4 / 3 * math.pi * deepest**3 / 1000.0
    form = (math.log(ml), deepest, ml / ball_ml)
    levels = np.full((len(PHASES), len(LEVELS)), np.nan, dtype=np.float32)
    for phase in scan.phases:
        hu = scan.hu[phase][box]
        if not (hu[inside] <= OUTSIDE_HU).any():
            levels[phase.index] = _levels(hu, zones, phase, background)
    return Enhancement(levels, np.array(form, dtype=np.float32))


def _levels(
    hu: np.ndarray, zones: Mapping[str, Bool[np.ndarray, "z y x"]], phase: Phase, background: Background
) -> tuple[float, ...]:
    at = phase.index
    shell = hu[zones["shell"]]
    liver = float(np.median(shell)) if shell.size > _LEAST_SHELL else float(background.liver[at])
    core, rim = float(np.median(hu[zones["core"]])), float(np.median(hu[zones["rim"]]))
    values = hu[zones["inside"]].astype(np.float32)
    # Not the extremes, which are noise.
    low, high = (float(v) for v in np.percentile(values, (5, 95)))
    return (
        *(core - liver, rim - liver, low - liver, high - liver, float(values.std())),
        *(high - float(background.vessels[at]), core),
    )


def _medians(scan: Scan, at: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, " 4"]:
    out = np.full(len(PHASES), np.nan, dtype=np.float32)
    if len(at) <= _LEAST_ORGAN:
        return out
    some = at[:: max(len(at) // _SAMPLED, 1)]
    for phase in scan.phases:
        hu = scan.hu[phase].ravel()[some]
        hu = hu[hu > OUTSIDE_HU]
        if hu.size:
            out[phase.index] = np.median(hu)
    return out
