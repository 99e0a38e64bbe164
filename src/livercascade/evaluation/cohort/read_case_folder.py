"""From a case folder to the predictions of the models it holds: Base, Base+ReCls, High and High+ReCls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32
from scipy import ndimage

from livercascade.data.errors import InputError
from livercascade.data.lesion import Box, Lesion, LesionSet
from livercascade.diagnose.confidence import blend
from livercascade.evaluation.cohort.cohort_files import LESIONS, read_result
from livercascade.evaluation.cohort.evaluated_case import CasePrediction
from livercascade.evaluation.cohort.evaluated_models import Variant
from livercascade.evaluation.cohort.evidence_case import EvidenceCase, evidence_case
from livercascade.evaluation.matching.matched_lesions import LesionSummary, MatchedLesions, ReferenceLesions
from livercascade.io.nifti import read_instances
from livercascade.reclassification.candidate import Candidate, CandidateStatus
from livercascade.reclassification.reclassify import ScoreMode
from livercascade.results.evidence import Evidence
from livercascade.results.evidence_file import read_evidence
from livercascade.results.result import CaseResult, LesionRecord


def read_folder(
    folder: Path, reference: ReferenceLesions, *, evidence: bool
) -> tuple[dict[Variant, CasePrediction], EvidenceCase | None]:
    """Predictions of a case folder, and what curves need; the latter is None without evidence.

    Args:
        folder: Case folder of ``livercascade predict``.
        reference: Reference of the case.
        evidence: True gives all four models from the evidence kept; False gives High and High+ReCls from the lesions.

    Raises:
        InputError: As `read_result` and `read_evidence`; ``BAD_LESIONS`` if the lesions are not those of result.json.
    """
    result = read_result(folder)
    if evidence:
        kept = read_evidence(folder)
        case = evidence_case(reference, kept, _probabilities(result))
        matched = _from_evidence(kept, case)
    else:
        case, matched = None, _from_lesions(folder, result, reference)
    return {
        variant: CasePrediction.of(
            lesions, reference.settings, result.verdict if variant is Variant.HIGH_RECLS else None
        )
        for variant, lesions in matched.items()
    }, case


def _probabilities(result: CaseResult) -> tuple[float, ...] | None:
    """Calibrated probability of every candidate; None where the model is not calibrated."""
    # All or none: a curve over some of the candidates would be of another cohort.
    each = [record.probability for record in result.lesions or ()]
    return None if not each or any(p is None for p in each) else tuple(p for p in each if p is not None)


def _from_evidence(evidence: Evidence, case: EvidenceCase) -> dict[Variant, MatchedLesions]:
    low, high = (_before_and_after(evidence, factor, case) for factor in (evidence.low_factor, evidence.high_factor))
    return dict(zip((Variant.BASE, Variant.BASE_RECLS, Variant.HIGH, Variant.HIGH_RECLS), (*low, *high), strict=True))


def _before_and_after(evidence: Evidence, factor: float, case: EvidenceCase) -> tuple[MatchedLesions, MatchedLesions]:
    """Every proposal with its own type and the confidence of UNet^whole; then those that stay, as the vote has them."""
    outcomes = [o for o in evidence.reclassified(factor).candidates if case.settings.keeps(o.lesion.volume_ml)]
    matched = case.proposals[factor]
    before = [_judged(p, o) for p, o in zip(matched.predicted, outcomes, strict=True)]
    after = [
        replace(p, label=o.result.label, confidence=_confidence(p, evidence.settings.score))
        for p, o in zip(before, outcomes, strict=True)
    ]
    return _stages(matched, before, after)


def _judged(proposal: LesionSummary, outcome: Candidate) -> LesionSummary:
    return replace(
        proposal,
        original=outcome.lesion.label,
        status=outcome.status,
        score=outcome.score,
        threshold=outcome.threshold,
        votes=outcome.votes,
    )


def _from_lesions(folder: Path, result: CaseResult, reference: ReferenceLesions) -> dict[Variant, MatchedLesions]:
    records = [r for r in result.lesions or () if reference.settings.keeps(r.volume_ml)]
    mode = _score_mode(result.provenance.settings)
    lesions = _numbered(folder, records)
    matched = reference.match(lesions, [_recorded(r, x) for r, x in zip(records, lesions, strict=True)])
    before = matched.predicted
    after = [replace(p, label=r.type, confidence=_confidence(p, mode)) for p, r in zip(before, records, strict=True)]
    return dict(zip((Variant.HIGH, Variant.HIGH_RECLS), _stages(matched, before, after), strict=True))


def _score_mode(settings: Mapping[str, Any]) -> ScoreMode:
    """Score by which the cascade reclassified."""
    stage = settings.get("reclassify")
    # Records of before the stages hold every setting at the top.
    known: Mapping[str, Any] = settings if stage is None else stage
    return ScoreMode(known.get("score", ScoreMode.VOLUME))


def _stages(
    matched: MatchedLesions, before: Sequence[LesionSummary], after: Sequence[LesionSummary]
) -> tuple[MatchedLesions, MatchedLesions]:
    """All candidates, and those that reclassification did not remove: the voxels, so the overlaps, are the same."""
    stays = [p.status is not CandidateStatus.REMOVED for p in after]
    return replace(matched, predicted=tuple(before)), replace(matched, predicted=tuple(after)).where(stays)


def _recorded(record: LesionRecord, lesion: Lesion) -> LesionSummary:
    return LesionSummary(
        record.original_type,
        record.volume_ml,
        int(np.count_nonzero(lesion.mask)),
        record.centroid_lps_mm,
        original=record.original_type,
        status=record.status,
        score=record.score,
        threshold=record.threshold,
        votes=record.votes,
    )


def _numbered(folder: Path, records: Sequence[LesionRecord]) -> LesionSet:
    """The voxels of the records' lesions, in their order."""
    numbers, grid = read_instances(folder / LESIONS, is_ct=False)
    # One pass for all lesions; a search for each number would read the whole volume as often.
    boxes = ndimage.find_objects(numbers)
    lesions: list[Lesion] = []
    for record in records:
        # Lesion L3 has the value 3 in the image.
        number = int(record.id[1:])
        box = boxes[number - 1] if number <= len(boxes) else None
        if box is None:
            message = f"case {folder.name}: lesion {record.id} of result.json is not in {LESIONS}."
            raise InputError("BAD_LESIONS", message, "Run 'livercascade predict --again' on it.", stage="measure")
        lesions.append(_lesion(numbers, (box[0], box[1], box[2]), number, record))
    return LesionSet(tuple(lesions), grid.shape, grid.spacing)


def _lesion(numbers: Int32[np.ndarray, "z y x"], box: Box, number: int, record: LesionRecord) -> Lesion:
    return Lesion(record.type, record.volume_ml, record.centroid_lps_mm, box, numbers[box] == number)


def _confidence(candidate: LesionSummary, mode: ScoreMode) -> float:
    """Confidence of both networks: the score says which share of the candidate UNet^patch confirms."""
    score = candidate.score
    share = score if score is None or mode is ScoreMode.RATIO else score / candidate.volume_ml
    return blend(candidate.confidence, share)
