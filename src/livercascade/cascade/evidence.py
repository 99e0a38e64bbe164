"""Evidence of one case: its sensitivity map, and its proposals reclassified at every factor of the sweep."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from livercascade.cascade.findings import Findings, Progress, Sensitivities, on_working_grid
from livercascade.cascade.settings import CascadeSettings
from livercascade.data.class_priors import logit_adjustment
from livercascade.data.lesion import Lesion, LesionSet
from livercascade.data.scan import Scan
from livercascade.detect.seg2det import bounding_box, seg2det
from livercascade.reclassify.patch_tally import PatchTally
from livercascade.reclassify.reclassify import Reclassified, reclassify
from livercascade.reclassify.working_grid import WorkingScan, resample_lesions
from livercascade.results.evidence import Evidence, crop
from livercascade.segment.model import Model

_Key = tuple[tuple[int, ...], bytes]


def collect_evidence(
    case_id: str,
    scan: Scan,
    findings: Findings,
    models: tuple[Model, Model],
    settings: CascadeSettings,
    *,
    progress: Progress | None = None,
) -> Evidence:
    """Evidence of a case that the cascade has analysed.

    A proposal that is the same voxel for voxel at several factors is judged once. Base and High keep the verdicts of
    ``findings``. Proposals up to High's factor are cut from High's liver, as Base's are; those of a larger factor from
    the liver at that factor, as if it were High's.

    Args:
        case_id: Name of the case.
        scan: What was analysed.
        findings: What was found.
        models: UNet^whole and UNet^patch.
        settings: As they were for ``findings``.
        progress: Called with (step in words, done, in all).
    """
    proposals = findings.proposals
    box = bounding_box(proposals.liver)
    # `propose` refuses a scan without liver.
    assert box is not None
    inner, liver = crop(proposals.sensitivity, proposals.liver, box)
    return Evidence(
        case_id,
        scan.grid,
        box,
        liver,
        inner,
        settings.low_factor,
        settings.high_factor,
        settings.min_volume_ml,
        settings.reclassify,
        (models[0].card.sha256, models[1].card.sha256),
        _Sweep(scan, proposals, models[1], settings).run(findings, progress),
    )


@dataclass(slots=True)
class _Sweep:
    """Judges the proposals of all factors, each distinct one once."""

    scan: Scan
    proposals: Sensitivities
    patch: Model
    settings: CascadeSettings
    known: dict[_Key, PatchTally | None] = field(default_factory=dict["_Key", "PatchTally | None"])

    def run(self, findings: Findings, progress: Progress | None) -> dict[float, tuple[PatchTally | None, ...]]:
        low, high = self.settings.low_factor, self.settings.high_factor
        out = {low: self._note(findings.low), high: self._note(findings.high)}
        rest = [f for f in self.settings.sweep if f not in out]
        # The first two streams of the seed are those of Base and High.
        seeds = np.random.SeedSequence(self.settings.seed).spawn(2 + len(rest))[2:]
        shared: WorkingScan | None = None
        for number, (factor, seed) in enumerate(zip(rest, seeds, strict=True)):
            mask = self.proposals.mask(factor)
            lesions = seg2det(mask, self.scan.grid, min_volume_ml=self.settings.min_volume_ml)
            new = lesions.where([_key(lesion) not in self.known for lesion in lesions])
            if len(new):
                if factor > high:
                    working = on_working_grid(self.scan, mask, new, self.patch)
                else:
                    working = shared = shared or on_working_grid(
                        self.scan, self.proposals.high, self.proposals.det_high, self.patch
                    )
                self._note(self._judge(new, working, seed))
            out[factor] = tuple(self.known[_key(lesion)] for lesion in lesions)
            if progress is not None:
                progress("keeping evidence", number + 1, len(rest))
        return out

    def _judge(self, lesions: LesionSet, working: WorkingScan, seed: np.random.SeedSequence) -> Reclassified:
        return reclassify(
            lesions,
            working.volume,
            self.patch.on_phases(self.scan.phases),
            self.settings.reclassify,
            np.random.default_rng(seed),
            on_volume=resample_lesions(lesions, self.scan.grid, working.grid),
            batch=self.patch.engine.batch(math.prod(self.patch.card.patch_size)),
            weights=logit_adjustment(self.patch.card.class_priors, self.settings.class_priors),
        )

    def _note(self, judged: Reclassified) -> tuple[PatchTally | None, ...]:
        tallies = tuple(outcome.tally for outcome in judged.candidates)
        # What Base and High were told first stays: their verdicts are those of the case.
        for lesion, tally in zip(judged.proposals, tallies, strict=True):
            self.known.setdefault(_key(lesion), tally)
        return tallies


def _key(lesion: Lesion) -> _Key:
    return tuple(n for s in lesion.bbox for n in (s.start, s.stop)), np.packbits(lesion.mask).tobytes()
