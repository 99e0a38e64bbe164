"""What a result keeps so that every model, sensitivity and score can be judged later without a network.

A label map holds one model's answer. The evidence holds what all of them follow from: the `SensitivityMap` inside the
liver, and the counts that UNet^patch gave for the proposals of each sensitivity factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from livercascade.data.grid import Grid, Shape
from livercascade.data.labels import BACKGROUND, FIRST_LESION, LAST_LESION
from livercascade.data.lesion import Box, Lesion, LesionSet
from livercascade.detect.liver import without_strays
from livercascade.detect.seg2det import LesionRule, seg2det
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.reclassification.patch_tally import PatchTally
from livercascade.reclassification.reclassify import Reclassified, ReclassifySettings, judge

Tallies = Mapping[float, tuple[PatchTally | None, ...]]
"""Per sensitivity factor, the tally of each proposal in the order of `Evidence.proposals`; None if bypassed."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Everything that the models Base, High and their reclassified forms follow from, for one case.

    Arrays cover ``box`` only; outside the liver nothing counts as lesion at any factor.

    Attributes:
        case_id: The case.
        grid: Grid of the scan.
        box: Smallest box (z, y, x) of ``grid`` that holds the liver with its content.
        liver: The liver with its content at High's sensitivity, inside ``box``.
        sensitivity: Margin and labels inside ``box``; exact in the liver, background elsewhere.
        low_factor, high_factor: Sensitivities of Base and High.
        min_volume_ml: Smaller proposals were left out.
        settings: Settings of the reclassification.
        models: SHA-256 of UNet^whole and UNet^patch.
        tallies: Counts of UNet^patch, for every factor of the sweep.
        lesions: Definition of one lesion that proposals were formed by.
    """

    case_id: str
    grid: Grid
    box: Box
    liver: Bool[np.ndarray, "z y x"]
    sensitivity: SensitivityMap
    low_factor: float
    high_factor: float
    min_volume_ml: float
    settings: ReclassifySettings
    models: tuple[str, str]
    tallies: Tallies
    lesions: LesionRule = LesionRule.UNION
    _known: dict[float, LesionSet] = field(default_factory=dict[float, LesionSet], repr=False)

    @property
    def factors(self) -> tuple[float, ...]:
        """Factors whose proposals were reclassified, smallest first."""
        return tuple(sorted(self.tallies))

    @property
    def box_grid(self) -> Grid:
        """Grid of the arrays inside ``box``."""
        first = np.array([s.start for s in self.box], dtype=np.float64)
        x, y, z = (float(v) for v in self.grid.world(first))
        return replace(self.grid, shape=_shape(self.box), origin=(x, y, z))

    def mask(self, factor: float) -> UInt8[np.ndarray, "z y x"]:
        """Label map at a sensitivity inside ``box``, before reclassification; background outside the liver.

        Raises:
            ValueError: ``factor`` is not a finite number above 0.
        """
        return without_strays(self.sensitivity.mask(factor), self.liver)

    def proposals(self, factor: float) -> LesionSet:
        """Lesions at a sensitivity before reclassification, on the scan's grid: the models Base and High.

        Raises:
            ValueError: ``factor`` is not a finite number above 0.
        """
        if factor not in self._known:
            inside = seg2det(
                self.mask(factor),
                self.box_grid,
                min_volume_ml=self.min_volume_ml,
                per_label=self.lesions is LesionRule.PER_LABEL,
            )
            moved = tuple(replace(lesion, bbox=_shifted(lesion.bbox, self.box)) for lesion in inside)
            self._known[factor] = LesionSet(moved, self.grid.shape, self.grid.spacing)
        return self._known[factor]

    def reclassified(self, factor: float, settings: ReclassifySettings | None = None) -> Reclassified:
        """Verdicts on the proposals of a factor of the sweep: Base+ReCls and High+ReCls.

        Args:
            factor: One of ``factors``.
            settings: Score, thresholds and relabelling; as the cascade did if not given. ``shuffled=False`` judges by
                the original patches alone.

        Raises:
            KeyError: The proposals of ``factor`` were not reclassified.
            ValueError: The tallies do not fit the proposals.
        """
        chosen = self.settings if settings is None else settings
        tallies, proposals = self.tallies[factor], self.proposals(factor)
        outcomes = tuple(
            judge(lesion, tally if tally is None or chosen.shuffled else tally.original, chosen)
            for lesion, tally in zip(proposals, tallies, strict=True)
        )
        return Reclassified(proposals, outcomes)

    def lesion_map(self, lesions: LesionSet) -> UInt8[np.ndarray, "z y x"]:
        """Label map on the scan's grid that holds only these lesions, each with its one label.

        Raises:
            ValueError: The lesions lie on another grid.
        """
        if lesions.shape != self.grid.shape:
            raise ValueError(f"lesions lie on {lesions.shape}, the evidence on {self.grid.shape}")
        out = np.zeros(self.grid.shape, dtype=np.uint8)
        for lesion in lesions:
            out[lesion.bbox][lesion.mask] = lesion.label
        return out

    def typed_map(self, factor: float) -> UInt8[np.ndarray, "z y x"]:
        """Lesion labels 1-6 of every voxel on the scan's grid at a sensitivity, before lesions are formed."""
        inside = self.mask(factor)
        out = np.zeros(self.grid.shape, dtype=np.uint8)
        out[self.box] = np.where((inside >= FIRST_LESION) & (inside <= LAST_LESION), inside, BACKGROUND)
        return out

    def lesion_margin(self, lesion: Lesion) -> Float32[np.ndarray, " n"]:
        """Margins of the voxels of a lesion: the least log f at which each of them is lesion."""
        z, y, x = (slice(s.start - b.start, s.stop - b.start) for s, b in zip(lesion.bbox, self.box, strict=True))
        return self.sensitivity.margin[z, y, x][lesion.mask]


def crop(
    sensitivity: SensitivityMap, liver: Bool[np.ndarray, "z y x"], box: Box
) -> tuple[SensitivityMap, Bool[np.ndarray, "a b c"]]:
    """Map and liver inside ``box``; what cannot become a lesion is background with an infinite margin."""
    inside = liver[box]
    return (
        SensitivityMap(
            np.where(inside, sensitivity.best_lesion[box], FIRST_LESION).astype(np.uint8),
            np.where(inside, sensitivity.best_other[box], BACKGROUND).astype(np.uint8),
            np.where(inside, sensitivity.margin[box], np.inf).astype(np.float32),
        ),
        inside.copy(),
    )


def _shape(box: Box) -> Shape:
    z, y, x = (s.stop - s.start for s in box)
    return z, y, x


def _shifted(box: Box, outer: Box) -> Box:
    z, y, x = (slice(s.start + o.start, s.stop + o.start) for s, o in zip(box, outer, strict=True))
    return z, y, x
