"""What was found in one scan: proposals, verdicts on them, classes of the patient; and how UNet^patch is applied."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int32, UInt8

from livercascade.cascade.proposals import Proposals, ProposalType
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.class_priors import logit_adjustment
from livercascade.data.labels import LAST_LESION, PatientClass
from livercascade.data.lesion import LesionSet
from livercascade.data.scan import Scan
from livercascade.detect.liver import liver_with_content
from livercascade.diagnose.patient import classify_patient
from livercascade.reclassification.candidate import Candidate, FoundAt
from livercascade.reclassification.reclassify import Reclassified, reclassify
from livercascade.reclassification.working_grid import WorkingScan, resample_lesions, to_working_grid
from livercascade.segment.model import Model
from livercascade.system.progress import Progress, silent

_STEP = "reclassifying"


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Everything found in one scan.

    Attributes:
        proposals: Lesions before reclassification.
        low: Verdicts on Base's proposals (Base+ReCls).
        high: Verdicts on High's proposals (High+ReCls).
    """

    proposals: Proposals
    low: Reclassified
    high: Reclassified

    @property
    def base_class(self) -> PatientClass:
        """Class of the patient by Base+ReCls (paper, eq. 12)."""
        return classify_patient(self.low.lesions)

    @property
    def high_class(self) -> PatientClass:
        """Class of the patient by High+ReCls."""
        return classify_patient(self.high.lesions)

    @property
    def labels(self) -> UInt8[np.ndarray, "z y x"]:
        """Final label map: High+ReCls; removed lesions turn back into what lay below them."""
        out = self.proposals.high.copy()
        lesion = liver_with_content(out) & (out <= LAST_LESION)
        out[lesion] = self.proposals.sensitivity.best_other[lesion]
        for candidate in self.high.candidates:
            if candidate.present:
                out[candidate.lesion.bbox][candidate.lesion.mask] = candidate.label
        return out

    def candidates(self, settings: CascadeSettings) -> tuple[Candidate, ...]:
        """Every proposal of High with its fate, largest first; proposals of Base lie inside them.

        Args:
            settings: Settings they were found with; reasons name the sensitivity factors.
        """
        low = self.proposals.det_low
        types = self.proposals.types or (None,) * len(self.high.candidates)
        return tuple(
            self._located(candidate, by_enhancement, low.instances(candidate.lesion.bbox), settings.detect.low_factor)
            for candidate, by_enhancement in zip(self.high.candidates, types, strict=True)
        )

    def _located(
        self, candidate: Candidate, types: ProposalType | None, low_box: Int32[np.ndarray, "z y x"], base: float
    ) -> Candidate:
        """The candidate with where it was found, what its type rests on, and a reason that says so."""
        inside = low_box[candidate.lesion.mask]
        numbers = np.unique(inside[inside > 0])
        kept_low = [n for n in numbers if self.low.candidates[int(n) - 1].present]
        reason = candidate.reason[0].upper() + candidate.reason[1:]
        if not candidate.present and kept_low:
            reason += f"; its core at f = {base:g} was kept"
        if candidate.present and len(numbers) and not kept_low:
            reason += f"; at f = {base:g} it was removed"
        return replace(
            candidate,
            reason=f"{reason}.",
            found_at=FoundAt.BASE_AND_HIGH if len(numbers) else FoundAt.HIGH_ONLY,
            core_ml=int(np.count_nonzero(inside)) * self.proposals.det_low.voxel_ml,
            enhancement=None if types is None else types.probabilities,
            network_type=None if types is None else types.network_type,
        )


@dataclass(frozen=True, slots=True)
class PatchJudge:
    """UNet^patch with the settings it judges by: verdicts on lesions of a scan.

    Attributes:
        patch: UNet^patch.
        settings: Scores, thresholds, class priors, seed.
    """

    patch: Model
    settings: CascadeSettings

    def both(self, scan: Scan, proposals: Proposals, progress: Progress | None) -> tuple[Reclassified, Reclassified]:
        """Verdicts on the proposals of Base and of High; the same object where both are one set."""
        if not len(proposals.det_high):
            return Reclassified(proposals.det_low, ()), Reclassified(proposals.det_high, ())
        tell = progress or silent
        working = self.working_scan(scan, proposals.high, proposals.det_high)
        sets = [proposals.det_low]
        if proposals.det_high is not proposals.det_low:
            sets.append(proposals.det_high)
        total, done = self.settings.judging.patches * sum(map(len, sets)), 0

        def advance(patches: int) -> None:
            nonlocal done
            done += patches
            # Windows inside a large lesion may be more than the patches of another.
            tell(_STEP, min(done, total), total)

        # Streams of random numbers are spawned from one seed per set: a verdict depends on nothing else.
        seeds = np.random.SeedSequence(self.settings.reclassify.seed).spawn(2)
        out = [
            self.verdicts(
                scan, lesions, working, seed, placed=working.proposals if lesions is proposals.det_high else None,
                advance=advance,
            )
            # One set alone where both factors are the same.
            for lesions, seed in zip(sets, seeds, strict=False)
        ]  # fmt: skip
        self.patch.release_memory()
        tell(_STEP, total, total)
        return out[0], out[-1]

    def working_scan(self, scan: Scan, mask: UInt8[np.ndarray, "z y x"], lesions: LesionSet) -> WorkingScan:
        """The liver of a scan as patches are cut from it.

        Args:
            scan: One to four phases on one grid.
            mask: Labels 0-13; its lesions are where no proposal is moved to.
            lesions: Lesions to place on the same grid.
        """
        return to_working_grid(
            scan,
            mask,
            lesions,
            normalise=self.patch.normalise,
            fill={phase: self.patch.fill(phase) for phase in scan.phases},
            spacing=self.patch.card.spacing_mm,
        )

    def verdicts(
        self,
        scan: Scan,
        lesions: LesionSet,
        working: WorkingScan,
        seed: np.random.SeedSequence,
        *,
        placed: LesionSet | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> Reclassified:
        """Verdicts on lesions of the scan.

        Args:
            scan: One to four phases on one grid.
            lesions: Lesions on the grid of the scan.
            working: The liver they are judged in.
            seed: Seed of the patches.
            placed: The same lesions on the working grid; they are brought there if absent.
            advance: Called with the number of patches of each batch.
        """
        network = self.patch.on_phases(scan.phases)

        def counted(patches: np.ndarray) -> np.ndarray:
            if advance is not None:
                advance(len(patches))
            return network(patches)

        return reclassify(
            lesions,
            working.volume,
            counted,
            self.settings.judging,
            np.random.default_rng(seed),
            on_volume=resample_lesions(lesions, scan.grid, working.grid) if placed is None else placed,
            batch=self.patch.engine.batch(math.prod(self.patch.card.patch_size)),
            weights=logit_adjustment(self.patch.card.class_priors, self.settings.segment.class_priors),
        )
