"""Calibrated probabilities of candidates and patient, and the decision with controlled error, for the record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from livercascade.cascade.findings import Findings
from livercascade.data.labels import LesionType
from livercascade.diagnose.calibration import SettingCalibration
from livercascade.diagnose.confidence import blend, lesion_confidence, malignancy_score, malignant_share
from livercascade.diagnose.conformal import Decision
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
    candidates, margin = findings.high.candidates, findings.proposals.sensitivity.margin
    confidence = [_confidence(candidate, margin) for candidate in candidates]
    # Types are judged before any vote changed them: the proposal's own label.
    judged = [(c.lesion.label, {} if c.tally is None else c.tally.votes_by_type) for c in candidates]
    score = malignancy_score((p, malignant_share(*types)) for p, types in zip(confidence, judged, strict=True))
    return CaseProbabilities(
        tuple(calibration.lesion(p) for p in confidence),
        tuple(calibration.types(*types) for types in judged),
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
    findings: Findings, factors: SensitivityFactors, probabilities: CaseProbabilities | None
) -> VerdictRecord:
    """The patient's verdict for the record."""
    made = VerdictRecord.of(findings.base_class, findings.high_class, factors)
    if probabilities is None:
        return made
    rule = probabilities.calibration.abstention
    abstention = AbstentionRecord(
        decision=probabilities.decision, alpha=rule.alpha, n_malignant=rule.n_malignant, n_other=rule.n_other
    )
    return made.model_copy(update={"malignancy": probabilities.malignancy, "abstention": abstention})


def _confidence(candidate: Candidate, margin: Float32[np.ndarray, "z y x"]) -> float:
    by_whole = lesion_confidence(margin[candidate.lesion.bbox][candidate.lesion.mask])
    return blend(by_whole, None if candidate.tally is None else candidate.tally.share)
