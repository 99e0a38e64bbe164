"""One patient as evaluation sees it: lesions without their voxels, and what every model predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from livercascade.data.labels import PatientClass
from livercascade.diagnose.confidence import malignancy_score, malignant_share
from livercascade.diagnose.patient import classify_patient
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.cohort.evidence_case import EvidenceCase
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.matched_lesions import LesionSummary, MatchedLesions
from livercascade.results.result import VerdictRecord


@dataclass(frozen=True, slots=True)
class CasePrediction:
    """What one model predicts for one patient.

    Attributes:
        matched: Its lesions and their overlaps with the reference. A model without reclassification holds every
            candidate, those that reclassification would remove too (`LesionSummary.status`).
        patient_class: Class of the patient from the lesions that reach the volume limit (paper, eq. 12).
        malignancy: Malignancy score, 0 to 1: largest product of confidence and share of malignant votes over the
            lesions called malignant; 0 without any. For a label map 1 with a malignant lesion, else 0.
        verdict: Verdict of the case folder, with the calibrated probability of malignancy and the decision with
            controlled error where the model is calibrated; of High+ReCls alone.
    """

    matched: MatchedLesions
    patient_class: PatientClass
    malignancy: float
    verdict: VerdictRecord | None = None

    @classmethod
    def of(
        cls, matched: MatchedLesions, settings: EvaluationSettings, verdict: VerdictRecord | None = None
    ) -> CasePrediction:
        """Prediction for the patient that follows from the lesions."""
        # Lesions where nobody looked are neither right nor wrong; a verdict from them could be judged by nothing.
        counted = [x for x in matched.predicted if x.covered and settings.counts(x.volume_ml)]
        score = malignancy_score(
            (x.confidence, malignant_share(x.label, x.votes)) for x in counted if x.label.malignant
        )
        return cls(matched, classify_patient(counted), score, verdict)

    @property
    def lesions(self) -> tuple[LesionSummary, ...]:
        """Its lesions, largest first."""
        return self.matched.predicted


@dataclass(frozen=True, slots=True)
class EvaluatedCase:
    """One patient: the reference, and a prediction of every model.

    Attributes:
        case_id: Name of the case in all folders.
        reference: Lesions of the reference, largest first.
        reference_class: Class of the patient from those that reach the volume limit (paper, eq. 12).
        predictions: Prediction of every model, in the order of the tables.
        evidence: Proposals at every sensitivity by name of the source, where its case folder keeps the evidence.
        reference_path: Label map of the reference; None if it came as an array.
        prediction_paths: Label map or case folder by name of the source (one case folder gives several models).
    """

    case_id: str
    reference: tuple[LesionSummary, ...]
    reference_class: PatientClass
    predictions: Mapping[EvaluatedModel, CasePrediction]
    evidence: Mapping[str, EvidenceCase] = field(default_factory=dict[str, EvidenceCase])
    reference_path: Path | None = None
    prediction_paths: Mapping[str, Path] = field(default_factory=dict[str, Path])
