"""Calibrated probabilities of candidates and patient, and the decision with controlled error, for the record."""

from __future__ import annotations

from dataclasses import dataclass

from livercascade.cascade.findings import Findings
from livercascade.data.labels import LesionType
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.diagnose.calibration import SettingCalibration
from livercascade.diagnose.confidence import ScoredCandidate, blend, lesion_confidence, malignancy_score
from livercascade.diagnose.conformal import Decision
from livercascade.diagnose.joint import JointVerdict
from livercascade.reclassification.candidate import Candidate
from livercascade.results.result import AbstentionRecord, LesionRecord, SensitivityFactors, VerdictRecord


@dataclass(frozen=True, slots=True)
class CaseProbabilities:
    """Probabilities of one case.

    Attributes:
        lesion: Probability of a true lesion, for every candidate of High in order.
        types: Probability of each type, likewise.
        malignancy: Probability that the patient has a malignant lesion.
        decision: Malignant or not, with controlled error.
        calibration: Fit that they follow from.
    """

    lesion: tuple[float, ...]
    types: tuple[dict[LesionType, float], ...]
    malignancy: float
    decision: Decision
    calibration: SettingCalibration


def probabilities_of(findings: Findings, calibration: SettingCalibration | None) -> CaseProbabilities | None:
    """Probabilities of what was found; None without a calibration."""
    if calibration is None:
        return None
    scored = [_scored(candidate, findings.proposals.sensitivity) for candidate in findings.high.candidates]
    score = malignancy_score(scored)
    return CaseProbabilities(
        tuple(calibration.lesion(one.confidence) for one in scored),
        tuple(calibration.types(one.label, one.votes) for one in scored),
        calibration.malignancy(score),
        calibration.abstention.decide(score),
        calibration,
    )


def with_probabilities(
    records: tuple[LesionRecord, ...], probabilities: CaseProbabilities | None
) -> tuple[LesionRecord, ...]:
    """Records of the candidates, in their order, with their probabilities."""
    if probabilities is None:
        return records
    return tuple(
        record.model_copy(update={"probability": p, "type_probabilities": types})
        for record, p, types in zip(records, probabilities.lesion, probabilities.types, strict=True)
    )


def verdict_record(
    verdict: JointVerdict, factors: SensitivityFactors, probabilities: CaseProbabilities | None
) -> VerdictRecord:
    """The patient's verdict for the record."""
    made = VerdictRecord.of(verdict.base, verdict.high, factors)
    if probabilities is None:
        return made
    rule = probabilities.calibration.abstention
    abstention = AbstentionRecord(
        decision=probabilities.decision, alpha=rule.alpha, n_malignant=rule.n_malignant, n_other=rule.n_other
    )
    return made.model_copy(update={"malignancy": probabilities.malignancy, "abstention": abstention})


def _scored(candidate: Candidate, sensitivity: SensitivityMap) -> ScoredCandidate:
    lesion, tally = candidate.lesion, candidate.tally
    by_whole = lesion_confidence(sensitivity.margin[lesion.bbox][lesion.mask])
    if tally is None:
        return ScoredCandidate(lesion.label, blend(by_whole, None))
    return ScoredCandidate(lesion.label, blend(by_whole, tally.share), tally.votes_by_type)
