"""From a case folder to the readings of the models it holds: Base, Base+ReCls, High and High+ReCls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int32
from scipy import ndimage

from livercascade.data.errors import InputError
from livercascade.data.lesion import Box, Lesion, LesionSet
from livercascade.diagnose.joint import JointVerdict
from livercascade.evaluation.cohort.cohort_files import LESIONS, read_result
from livercascade.evaluation.cohort.evaluated_case import CalibratedVerdict, FoundLesion, Reading
from livercascade.evaluation.cohort.evidence_case import CurveCase, curve_case
from livercascade.evaluation.cohort.model_keys import Variant
from livercascade.evaluation.matching.reference_lesions import Truth
from livercascade.io.nifti import read_instances
from livercascade.reclassify.candidate import Candidate, CandidateStatus
from livercascade.reclassify.reclassify import Reclassified, ScoreMode
from livercascade.results.evidence import Evidence
from livercascade.results.evidence_file import read_evidence
from livercascade.results.result import CaseResult, LesionRecord


@dataclass(frozen=True, slots=True)
class FolderReading:
    """What a case folder says.

    Attributes:
        readings: One for every model it holds.
        curves: What curves need; None without evidence.
    """

    readings: dict[Variant, Reading]
    curves: CurveCase | None


def read_folder(folder: Path, truth: Truth, *, evidence: bool) -> FolderReading:
    """Readings of a case folder.

    Args:
        folder: Case folder of ``livercascade predict``.
        truth: What they are held against.
        evidence: True gives all four models from the evidence kept; False gives High and High+ReCls from the lesions.

    Raises:
        InputError: As `read_result` and `read_evidence`; ``BAD_LESIONS`` if the lesions are not those of result.json.
    """
    result = read_result(folder)
    kept = read_evidence(folder) if evidence else None
    made = _from_lesions(folder, result, truth) if kept is None else _from_evidence(kept, truth)
    if result.verdict is not None:
        joint = JointVerdict(result.verdict.base, result.verdict.high)
        own = replace(made[Variant.HIGH_RECLS], joint=joint, calibrated=_calibrated(result))
        made[Variant.HIGH_RECLS] = own
    return FolderReading(made, None if kept is None else curve_case(truth, kept, _probabilities(result)))


def _calibrated(result: CaseResult) -> CalibratedVerdict | None:
    said = result.verdict
    if said is None or said.malignancy is None or said.abstention is None:
        return None
    return CalibratedVerdict(said.malignancy, said.abstention.decision, said.abstention.alpha)


def _probabilities(result: CaseResult) -> tuple[float, ...] | None:
    """Calibrated probability of every candidate; None where the model is not calibrated."""
    each = [record.probability for record in result.lesions or ()]
    return None if not each or any(p is None for p in each) else tuple(p for p in each if p is not None)


def _from_evidence(evidence: Evidence, truth: Truth) -> dict[Variant, Reading]:
    low, high = (evidence.reclassified(factor) for factor in (evidence.low_factor, evidence.high_factor))
    return {
        Variant.BASE: _before(low, evidence, truth),
        Variant.BASE_RECLS: _after(low, evidence, truth),
        Variant.HIGH: _before(high, evidence, truth),
        Variant.HIGH_RECLS: _after(high, evidence, truth),
    }


def _before(judged: Reclassified, evidence: Evidence, truth: Truth) -> Reading:
    """Every proposal with its own type and the confidence of UNet^whole."""
    chosen = [o for o in judged.candidates if truth.settings.keeps(o.lesion.volume_ml)]
    found = [_judged(o, o.lesion, _whole_confidence(evidence, o.lesion)) for o in chosen]
    return truth.reading(_set_of([o.lesion for o in chosen], truth), found)


def _after(judged: Reclassified, evidence: Evidence, truth: Truth) -> Reading:
    """The proposals that stay, with the type after the vote and the share that UNet^patch confirms."""
    chosen = [
        o
        for o in judged.candidates
        if o.status is not CandidateStatus.REMOVED and truth.settings.keeps(o.lesion.volume_ml)
    ]
    mode = evidence.settings.score
    found = [
        _judged(o, o.result, _confidence(o.score, o.lesion.volume_ml, mode, _whole_confidence(evidence, o.lesion)))
        for o in chosen
    ]
    return truth.reading(_set_of([o.result for o in chosen], truth), found)


def _judged(outcome: Candidate, lesion: Lesion, confidence: float) -> FoundLesion:
    return FoundLesion(
        lesion.label,
        lesion.volume_ml,
        int(np.count_nonzero(lesion.mask)),
        lesion.centroid,
        original=outcome.lesion.label,
        status=CandidateStatus(outcome.status.value),
        score=outcome.score,
        threshold=outcome.threshold,
        votes=outcome.votes,
        confidence=confidence,
    )


def _whole_confidence(evidence: Evidence, lesion: Lesion) -> float:
    """Mean over the voxels of the odds of lesion against the best other label, as a share."""
    margin = np.clip(evidence.lesion_margin(lesion).astype(np.float64), -50, 50)
    return float((1 / (1 + np.exp(margin))).mean())


def _from_lesions(folder: Path, result: CaseResult, truth: Truth) -> dict[Variant, Reading]:
    records = [r for r in result.lesions or () if truth.settings.keeps(r.volume_ml)]
    lesions = _numbered(folder, records)
    kept = [record.present for record in records]
    mode = ScoreMode(str(result.provenance.settings.get("score", ScoreMode.VOLUME.value)))
    before = [_recorded(r, x, 1.0, final=False) for r, x in zip(records, lesions, strict=True)]
    after = [
        _recorded(r, x, _confidence(r.score, r.volume_ml, mode, 1.0), final=True)
        for r, x in zip(records, lesions, strict=True)
        if r.present
    ]
    return {
        Variant.HIGH: truth.reading(lesions, before),
        Variant.HIGH_RECLS: truth.reading(lesions.where(kept), after),
    }


def _recorded(record: LesionRecord, lesion: Lesion, confidence: float, *, final: bool) -> FoundLesion:
    return FoundLesion(
        record.type if final else record.original_type,
        record.volume_ml,
        int(np.count_nonzero(lesion.mask)),
        record.centroid_lps_mm,
        original=record.original_type,
        status=record.status,
        score=record.score,
        threshold=record.threshold,
        votes=record.votes,
        confidence=confidence,
    )


def _numbered(folder: Path, records: Sequence[LesionRecord]) -> LesionSet:
    """The voxels of the records' lesions, in their order."""
    numbers, grid = read_instances(folder / LESIONS, is_ct=False)
    boxes = ndimage.find_objects(numbers)
    lesions: list[Lesion] = []
    for record in records:
        number = int(record.id[1:])
        box = boxes[number - 1] if number <= len(boxes) else None
        if box is None:
            message = f"case {folder.name}: lesion {record.id} of result.json is not in {LESIONS}."
            raise InputError("BAD_LESIONS", message, "Run 'livercascade predict --again' on it.", stage="measure")
        lesions.append(_lesion(numbers, (box[0], box[1], box[2]), number, record))
    return LesionSet(tuple(lesions), grid.shape, grid.spacing)


def _lesion(numbers: Int32[np.ndarray, "z y x"], box: Box, number: int, record: LesionRecord) -> Lesion:
    return Lesion(record.type, record.volume_ml, record.centroid_lps_mm, box, numbers[box] == number)


def _set_of(lesions: Sequence[Lesion], truth: Truth) -> LesionSet:
    return LesionSet(tuple(lesions), truth.lesions.shape, truth.lesions.spacing)


def _confidence(score: float | None, volume_ml: float, mode: ScoreMode, whole: float) -> float:
    """Geometric mean, 0 to 1, of what UNet^whole says and of the share that UNet^patch confirms (1 unscored)."""
    share = 1.0 if score is None else score if mode is ScoreMode.RATIO else score / volume_ml
    return math.sqrt(whole * min(max(share, 0.0), 1.0))
