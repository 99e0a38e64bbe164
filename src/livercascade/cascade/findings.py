"""The algorithmic heart for one scan: sensitivity map, proposals, reclassification, verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from livercascade.cascade.proposals import Sensitivities, propose, typed
from livercascade.cascade.settings import CascadeSettings
from livercascade.classify.lesion_classifier import LesionClassifier
from livercascade.data.class_priors import logit_adjustment
from livercascade.data.errors import InputError
from livercascade.data.lesion import LesionSet
from livercascade.data.notice import Notice
from livercascade.data.scan import Scan
from livercascade.detect.body import body_section
from livercascade.detect.liver import liver_with_content
from livercascade.diagnose.joint import JointVerdict
from livercascade.diagnose.patient import classify_patient
from livercascade.reclassify.reclassify import Reclassified, reclassify
from livercascade.reclassify.working_grid import WorkingScan, resample_lesions, to_working_grid
from livercascade.segment.model import Model
from livercascade.segment.unet_whole import segment

SMALL_LIVER_ML = 500.0
CUT_MM2 = 800.0
Progress = Callable[[str, int, int], None]


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
        for candidate in self.high.candidates:
            if candidate.present:
                out[candidate.lesion.bbox][candidate.lesion.mask] = candidate.label
        return out


def find(
    scan: Scan,
    whole: Model,
    patch: Model,
    settings: CascadeSettings,
    *,
    classifier: LesionClassifier | None = None,
    progress: Progress | None = None,
) -> Findings:
    """Run the whole cascade on a scan.

    Args:
        scan: One to four phases on one grid.
        whole: UNet^whole.
        patch: UNet^patch.
        settings: Sensitivities, scores, seed.
        classifier: Says of which type a proposal is; None leaves the types of UNet^whole.
        progress: Called with (step in words, done, in all).

    Raises:
        InputError: ``NO_LIVER``, or a network needs a phase that is absent (``PHASE_NEEDED``).
    """
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
        class_priors=settings.class_priors,
        progress=progress,
    )
    whole.release_memory()
    proposals = propose(sensitivity, scan, settings)
    if classifier is not None:
        proposals = typed(proposals, scan, classifier, settings.class_priors)
    return judge_proposals(scan, proposals, patch, settings, progress=progress)


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
    sets = [proposals.det_low]
    if proposals.det_high is not proposals.det_low:
        sets.append(proposals.det_high)
    total = settings.reclassify.patches * sum(map(len, sets))
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
            weights=logit_adjustment(patch.card.class_priors, settings.class_priors),
        )
        for det, seed in zip(sets, seeds, strict=False)
    ]
    patch.release_memory()
    tell("reclassifying", total, total)
    return out[0], out[-1]
