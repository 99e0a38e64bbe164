"""Evidence of one case: its sensitivity map, and its proposals reclassified at every factor of the sweep."""

from __future__ import annotations

import numpy as np

from livercascade.cascade.findings import Findings, PatchJudge
from livercascade.cascade.proposals import form_lesions
from livercascade.data.lesion import Lesion
from livercascade.data.scan import Scan
from livercascade.detect.seg2det import bounding_box
from livercascade.reclassification.patch_tally import PatchTally
from livercascade.reclassification.reclassify import Reclassified
from livercascade.reclassification.working_grid import WorkingScan
from livercascade.results.evidence import Evidence, crop
from livercascade.system.progress import Progress, counter

_Key = tuple[tuple[int, ...], bytes]


def collect_evidence(
    case_id: str,
    scan: Scan,
    findings: Findings,
    judge: PatchJudge,
    whole_sha256: str,
    *,
    progress: Progress | None = None,
) -> Evidence:
    """Evidence of a case that the cascade has analysed.

    A proposal that is the same voxel for voxel at several factors is judged once. Base and High keep the verdicts of
    ``findings``. Proposals up to High's factor are cut from High's liver, as Base's are; those of a larger factor from
    the liver at that factor, as if it were High's.

    Args:
        case_id: Name of the case.
        scan: Scan that was analysed.
        findings: What was found in it.
        judge: UNet^patch and the settings that ``findings`` were made with.
        whole_sha256: Hash of UNet^whole.
        progress: Called with (step in words, done, total).
    """
    proposals, settings = findings.proposals, judge.settings
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
        settings.detect.low_factor,
        settings.detect.high_factor,
        settings.detect.min_volume_ml,
        settings.judging,
        (whole_sha256, judge.patch.card.sha256),
        _tallies(scan, findings, judge, progress),
        settings.detect.lesions,
    )


def _tallies(
    scan: Scan, findings: Findings, judge: PatchJudge, progress: Progress | None
) -> dict[float, tuple[PatchTally | None, ...]]:
    """Tallies of the proposals of all factors, each distinct proposal judged once."""
    settings, proposals = judge.settings, findings.proposals
    known: dict[_Key, PatchTally | None] = {}
    # Verdicts of Base and High come first and stay: they are those of the case.
    out = {
        settings.detect.low_factor: _note(findings.low, known),
        settings.detect.high_factor: _note(findings.high, known),
    }
    rest = [f for f in settings.output.sweep if f not in out]
    # The first two streams of the seed are those of Base and High.
    seeds = np.random.SeedSequence(settings.reclassify.seed).spawn(2 + len(rest))[2:]
    advance = counter(progress, "keeping evidence", len(rest))
    shared: WorkingScan | None = None
    for factor, seed in zip(rest, seeds, strict=True):
        mask = proposals.mask(factor)
        lesions = form_lesions(mask, scan.grid, settings.detect)
        new = lesions.where([_key(lesion) not in known for lesion in lesions])
        if len(new):
            if factor > settings.detect.high_factor:
                working = judge.working_scan(scan, mask, new)
            else:
                working = shared = shared or judge.working_scan(scan, proposals.high, proposals.det_high)
            _note(judge.verdicts(scan, new, working, seed), known)
        out[factor] = tuple(known[_key(lesion)] for lesion in lesions)
        advance()
    return out


def _note(judged: Reclassified, known: dict[_Key, PatchTally | None]) -> tuple[PatchTally | None, ...]:
    """Enter the tallies of proposals that are not known yet; returns those of all."""
    tallies = tuple(candidate.tally for candidate in judged.candidates)
    for lesion, tally in zip(judged.proposals, tallies, strict=True):
        known.setdefault(_key(lesion), tally)
    return tallies


def _key(lesion: Lesion) -> _Key:
    return tuple(n for s in lesion.bbox for n in (s.start, s.stop)), np.packbits(lesion.mask).tobytes()
