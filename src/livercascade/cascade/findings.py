"""The algorithmic heart for one scan: sensitivity map, proposals, reclassification, verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from livercascade.cascade.settings import CascadeSettings
from livercascade.data.errors import InputError
from livercascade.data.lesion import LesionSet
from livercascade.data.notice import Notice
from livercascade.data.scan import Scan
from livercascade.data.type_shares import type_weights
from livercascade.detect.body import body_section
from livercascade.detect.liver import liver_with_content, main_liver, without_strays
from livercascade.detect.seg2det import bounding_box, seg2det
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.diagnose.joint import JointVerdict
from livercascade.diagnose.patient import classify_patient
from livercascade.reclassify.reclassify import Reclassified, Verdict, reclassify
from livercascade.reclassify.working_grid import WorkingScan, resample_lesions, to_working_grid
from livercascade.segment.model import Model
from livercascade.segment.whole import segment

NO_LIVER_ML = 150.0
SMALL_LIVER_ML = 500.0
CUT_MM2 = 800.0
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Sensitivities:
    """What UNet^whole says at both sensitivities.

    Attributes:
        low, high: Label maps at f = 1 and f = 4, strays outside the liver removed.
        det_low, det_high: Their lesions (``Det_pred``).
        sensitivity: The map for every other f.
        liver: The liver with its content at f = 4.
        strays: Lesions found at f = 4 outside the liver, which were left out.
    """

    low: UInt8[np.ndarray, "z y x"]
    high: UInt8[np.ndarray, "z y x"]
    det_low: LesionSet
    det_high: LesionSet
    sensitivity: SensitivityMap
    liver: Bool[np.ndarray, "z y x"]
    strays: int

    def mask(self, factor: float) -> UInt8[np.ndarray, "z y x"]:
        """Label map at any sensitivity, strays removed."""
        return without_strays(self.sensitivity.mask(factor), self.liver)

    def liver_masks(self, factors: Iterable[float]) -> Iterator[UInt8[np.ndarray, "a b c"]]:
        """Label maps at several sensitivities, strays removed, of the liver's box alone: all lesions lie in it."""
        box = bounding_box(self.liver)
        if box is None:
            raise ValueError("there is no liver")
        near, liver = self.sensitivity.within(box), self.liver[box]
        for factor in factors:
            yield without_strays(near.mask(factor), liver)


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Everything found in one scan.

    Attributes:
        proposals: Before reclassification.
        low, high: After it: Base+ReCls and High+ReCls.
        verdict: Patient classes of both and the joint verdict.
    """

    proposals: Sensitivities
    low: Reclassified
    high: Reclassified
    verdict: JointVerdict

    @property
    def labels(self) -> UInt8[np.ndarray, "z y x"]:
        """Final label map: High+ReCls; removed lesions turn back into what lay below them."""
        out = self.proposals.high.copy()
        lesion = liver_with_content(out) & (out <= 6)
        out[lesion] = self.proposals.sensitivity.best_other[lesion]
        for outcome in self.high.outcomes:
            if outcome.verdict is not Verdict.REMOVED:
                out[outcome.lesion.bbox][outcome.lesion.mask] = outcome.new_label
        return out


def find(
    scan: Scan, whole: Model, patch: Model, settings: CascadeSettings, *, progress: Progress | None = None
) -> Findings:
    """Run the whole cascade on a scan.

    Args:
        scan: One to four phases on one grid.
        whole: UNet^whole.
        patch: UNet^patch.
        settings: Sensitivities, scores, seed.
        progress: Called with (step in words, done, in all).

    Raises:
        InputError: ``NO_LIVER``, or a network needs a phase that is absent (``PHASE_NEEDED``).
    """
    tell = progress or _silent
    whole.require(scan.phases)
    patch.require(scan.phases)
    check_trunk(scan)
    sensitivity = segment(
        scan,
        whole,
        overlap=settings.overlap,
        pooled=settings.pooled,
        search=settings.search,
        factor=max(settings.low_factor, settings.high_factor),
        type_shares=settings.type_shares,
        progress=lambda done, total: tell("segmenting", done, total),
    )
    whole.rest()
    return judge_proposals(scan, propose(sensitivity, scan, settings), patch, settings, progress=progress)


def judge_proposals(
    scan: Scan, proposals: Sensitivities, patch: Model, settings: CascadeSettings, *, progress: Progress | None = None
) -> Findings:
    """Everything behind UNet^whole: reclassification and verdict.

    Args:
        scan: What was segmented.
        proposals: What UNet^whole says of it; several UNet^patch can judge the same.
        patch: UNet^patch.
        settings: Scores and seed.
        progress: Called with (step in words, done, in all).
    """
    low, high = _reclassify(scan, proposals, patch, settings, progress or _silent)
    verdict = JointVerdict(classify_patient(low.lesions), classify_patient(high.lesions))
    return Findings(proposals, low, high, verdict)


def _silent(step: str, done: int, total: int) -> None:
    del step, done, total


def check_trunk(scan: Scan) -> None:
    """Refuse a head or a limb before the network, which knows trunks only, finds a liver in it.

    Raises:
        InputError: ``NO_LIVER``.
    """
    section = body_section(scan.hu[scan.reference], scan.grid)
    if not section.trunk:
        raise InputError(
            "NO_LIVER",
            f"The body's section is {section.area_cm2:.0f} cm² with {section.bone_share:.0%} bone: not an adult trunk.",
            "Give a CT of the upper abdomen.",
            stage="segment",
        )


def propose(sensitivity: SensitivityMap, scan: Scan, settings: CascadeSettings) -> Sensitivities:
    """Lesion proposals at both sensitivities, inside the liver.

    Raises:
        InputError: ``NO_LIVER`` if less than 150 ml of liver was found.
    """
    raw = sensitivity.mask(settings.high_factor)
    liver = main_liver(raw, scan.grid)
    volume = float(liver.sum()) * scan.grid.voxel_ml
    if volume < NO_LIVER_ML:
        raise InputError(
            "NO_LIVER",
            f"Only {volume:.0f} ml of liver were found in the scan.",
            "Give a CT of the upper abdomen; check orientation and HU.",
            stage="segment",
        )
    high = without_strays(raw, liver)
    low = without_strays(sensitivity.mask(settings.low_factor), liver)
    limit = settings.min_volume_ml
    strays = len(seg2det(np.where(liver, np.uint8(0), raw), scan.grid, min_volume_ml=limit))
    det_low, det_high = (seg2det(m, scan.grid, min_volume_ml=limit) for m in (low, high))
    return Sensitivities(low, high, det_low, det_high, sensitivity, liver, strays)


def liver_notices(proposals: Sensitivities, scan: Scan) -> tuple[Notice, ...]:
    """Warnings about a small liver or one that the scan cuts off."""
    liver, grid = proposals.liver, scan.grid
    notices: list[Notice] = []
    volume = float(liver.sum()) * grid.voxel_ml
    if volume < SMALL_LIVER_ML:
        notices.append(Notice("SMALL_LIVER", f"Only {volume:.0f} ml of liver were found; parts may be missing."))
    area = grid.spacing[1] * grid.spacing[2]
    ends = [float(liver[z].sum()) * area for z in (0, -1)]
    if max(ends) > CUT_MM2:
        notices.append(
            Notice(
                "LIVER_CUT", "The liver reaches the first or last slice: volumes are partial, lesions may be missed."
            )
        )
    return tuple(notices)


def on_working_grid(scan: Scan, mask: UInt8[np.ndarray, "z y x"], proposals: LesionSet, patch: Model) -> WorkingScan:
    """The liver of a scan as patches for UNet^patch are cut from it.

    Args:
        scan: The phases.
        mask: Labels 0-13; its lesions are where no proposal is moved to.
        proposals: Lesions to place on the same grid.
        patch: UNet^patch, which says how to normalise.
    """
    return to_working_grid(
        scan,
        mask,
        proposals,
        normalise=patch.normalise,
        fill={phase: patch.fill(phase) for phase in scan.phases},
        spacing=patch.card.spacing_mm,
    )


def _reclassify(
    scan: Scan, proposals: Sensitivities, patch: Model, settings: CascadeSettings, tell: Progress
) -> tuple[Reclassified, Reclassified]:
    if not len(proposals.det_high):
        return Reclassified(proposals.det_low, ()), Reclassified(proposals.det_high, ())
    working = on_working_grid(scan, proposals.high, proposals.det_high, patch)
    network = patch.on_phases(scan.phases)
    total = settings.reclassify.patches * (len(proposals.det_low) + len(proposals.det_high))
    done = 0

    def counted(patches: np.ndarray) -> np.ndarray:
        nonlocal done
        done += len(patches)
        tell("reclassifying", done, total)
        return network(patches)

    # Streams of random numbers are spawned from one seed per set: a verdict depends on nothing else.
    seeds = np.random.SeedSequence(settings.seed).spawn(2)
    out = [
        reclassify(
            det,
            working.volume,
            counted,
            settings.reclassify,
            np.random.default_rng(seed),
            on_volume=working.proposals
            if det is proposals.det_high
            else resample_lesions(det, scan.grid, working.grid),
            batch=patch.engine.batch(math.prod(patch.card.patch_size)),
            weights=type_weights(patch.card.type_shares, settings.type_shares),
        )
        for det, seed in zip((proposals.det_low, proposals.det_high), seeds, strict=True)
    ]
    patch.rest()
    tell("reclassifying", total, total)
    return out[0], out[1]
