"""Calibrated probabilities of candidates and patient, and the decision with controlled error, for the record."""

from __future__ import annotations

from dataclasses import dataclass

from livercascade.cascade.findings import Findings
from livercascade.data.labels import LesionType
from livercascade.data.lesion import Lesion
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.diagnose.calibration import SettingCalibration
from livercascade.diagnose.confidence import Suspect, blend, suspicion, whole_probability
from livercascade.diagnose.conformal import Decision
from livercascade.diagnose.joint import JointVerdict
from livercascade.reclassify.candidate import Candidate
from livercascade.results.result import AbstentionRecord, LesionRecord, SensitivityFactors, VerdictRecord


@dataclass(frozen=True, slots=True)
class Chances:
    """Probabilities of one case.

    Attributes:
        lesion: Of a true lesion, for every candidate of High in order.
        types: Of its types.
        malignancy: That the patient has a malignant lesion.
        decision: With controlled error.
        calibration: What they follow from.
    """

    lesion: tuple[float, ...]
    types: tuple[dict[LesionType, float], ...]
    malignancy: float
    decision: Decision
    calibration: SettingCalibration


def chances_of(findings: Findings, calibration: SettingCalibration | None) -> Chances | None:
    """Probabilities of what was found; None without a calibration."""
    if calibration is None:
        return None
    sensitivity = findings.proposals.sensitivity
    suspects = [_suspect(candidate, sensitivity) for candidate in findings.high.candidates]
    score = suspicion(suspects)
    return Chances(
        tuple(calibration.lesion(s.confidence) for s in suspects),
        tuple(calibration.types(s.label, s.votes) for s in suspects),
        calibration.malignancy(score),
        calibration.abstention.decide(score),
        calibration,
    )


def with_chances(records: tuple[LesionRecord, ...], chances: Chances | None) -> tuple[LesionRecord, ...]:
    """Records of the candidates, in their order, with their probabilities."""
    if chances is None:
        return records
    return tuple(
        record.model_copy(update={"probability": p, "type_probabilities": types})
        for record, p, types in zip(records, chances.lesion, chances.types, strict=True)
    )


def verdict_record(verdict: JointVerdict, factors: SensitivityFactors, chances: Chances | None) -> VerdictRecord:
    """The patient's verdict for the record."""
    made = VerdictRecord.of(verdict.base, verdict.high, factors)
    if chances is None:
        return made
    rule = chances.calibration.abstention
    abstention = AbstentionRecord(
        decision=chances.decision, alpha=rule.alpha, n_malignant=rule.n_malignant, n_other=rule.n_other
    )
    return made.model_copy(update={"malignancy": chances.malignancy, "abstention": abstention})


def _suspect(candidate: Candidate, sensitivity: SensitivityMap) -> Suspect:
    tally = candidate.tally
    votes = () if tally is None else tuple(float(n) for n in tally.votes.sum(axis=0))
    confidence = blend(_probability(candidate.lesion, sensitivity), None if tally is None else tally.share)
    return Suspect(candidate.lesion.label, confidence, votes)


def _probability(lesion: Lesion, sensitivity: SensitivityMap) -> float:
    return whole_probability(sensitivity.margin[lesion.bbox][lesion.mask])
