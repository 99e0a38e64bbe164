"""One patient as evaluation sees it: true and found lesions without their voxels, and which of them overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from livercascade.data.grid import Triple
from livercascade.data.labels import LesionType, PatientClass
from livercascade.data.lesion import Lesion
from livercascade.detect.match import Pair
from livercascade.diagnose.conformal import Decision
from livercascade.diagnose.joint import JointVerdict
from livercascade.reclassify.candidate import CandidateStatus


@dataclass(frozen=True, slots=True)
class TrueLesion:
    """One lesion of the truth.

    Attributes:
        label: Its type.
        volume_ml: Volume in ml.
        voxels: Number of voxels.
        centroid: Centre of mass in LPS mm (x, y, z).
    """

    label: LesionType
    volume_ml: float
    voxels: int
    centroid: Triple

    @classmethod
    def of(cls, lesion: Lesion) -> TrueLesion:
        """The figures of a lesion."""
        return cls(lesion.label, lesion.volume_ml, int(lesion.mask.sum()), lesion.centroid)


@dataclass(frozen=True, slots=True)
class FoundLesion:
    """One lesion of a model. What only a case folder knows is absent when the model gave a label map.

    Attributes:
        label: Its type in this model: before or after reclassification.
        volume_ml: Volume in ml.
        voxels: Number of voxels.
        centroid: Centre of mass in LPS mm (x, y, z).
        covered: False if no voxel lies where the truth was read; such a lesion is neither right nor wrong.
        original: Type before reclassification.
        status: What reclassification did; None without it.
        score: Candidate score in the unit of ``threshold``; None when not scored.
        threshold: Score needed to stay.
        votes: Share of each type in the vote of UNet^patch, 0 to 1.
        confidence: How sure the model is of a lesion at this place, 0 to 1; 1 for a label map, which cannot tell.
    """

    label: LesionType
    volume_ml: float
    voxels: int
    centroid: Triple
    covered: bool = True
    original: LesionType | None = None
    status: CandidateStatus | None = None
    score: float | None = None
    threshold: float | None = None
    votes: Mapping[LesionType, float] = field(default_factory=dict[LesionType, float])
    confidence: float = 1.0

    @property
    def p_malignant(self) -> float:
        """Probability of a malignant type: the votes' share; without votes 1 or 0 by the label."""
        total = sum(self.votes.values())
        if total <= 0:
            return float(self.label.malignant)
        return sum(share for lesion_type, share in self.votes.items() if lesion_type.malignant) / total


@dataclass(frozen=True, slots=True)
class CalibratedVerdict:
    """What a calibrated model adds.

    Attributes:
        malignancy: Probability of a malignant lesion.
        decision: Malignant, not malignant or UNCERTAIN.
        alpha: Error allowed in each class of patients.
    """

    malignancy: float
    decision: Decision
    alpha: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one model says about one patient.

    Attributes:
        lesions: Its lesions, largest first. The reading before reclassification holds every candidate, those that
            reclassification removed too (`FoundLesion.status`).
        pairs: Overlaps of the true lesions (``Pair.truth``) with these (``Pair.found``), in voxels.
        patient_class: Class of the patient from the lesions that reach the volume limit (paper, eq. 12).
        joint: Verdicts of Base+ReCls and High+ReCls where the case folder says them; on the reading of High+ReCls.
        calibrated: Probability of malignancy and the decision with controlled error, likewise.
    """

    lesions: tuple[FoundLesion, ...]
    pairs: tuple[Pair, ...]
    patient_class: PatientClass
    joint: JointVerdict | None = None
    calibrated: CalibratedVerdict | None = None


@dataclass(frozen=True, slots=True)
class EvaluatedCase:
    """One patient: truth, and a reading for every model.

    Attributes:
        case_id: Name of the case in all folders.
        truth: True lesions, largest first.
        truth_class: Class of the patient from the true lesions that reach the volume limit (paper, eq. 12).
        readings: Reading by name of the model, in the order of the table.
        truth_path: Label map of the truth.
        found_paths: Label map or case folder by name of the found side (one case folder gives several models).
        virtual: True if the images are those of a virtual patient.
    """

    case_id: str
    truth: tuple[TrueLesion, ...]
    truth_class: PatientClass
    readings: Mapping[str, Reading]
    truth_path: Path
    found_paths: Mapping[str, Path]
    virtual: bool = False
