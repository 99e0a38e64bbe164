"""One model's answers over all patients, as arrays of counts: what every figure, interval and comparison rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from livercascade.data.labels import PatientClass
from livercascade.detect.match import Counting
from livercascade.diagnose.joint import JointVerdict
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase, Reading
from livercascade.evaluation.cohort.model_keys import JointName, ModelName
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.lesion_counts import tally

CLASSES: tuple[PatientClass, ...] = tuple(PatientClass)
"""Patient classes in the order of the tables, by priority; normal is the last."""
UNCERTAIN = len(CLASSES)
"""Column after the classes: patients the joint model leaves to a human."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Counts of one model, case by case; cases that it leaves undecided count nothing at the level of lesions.

    Attributes:
        name: The model.
        decided: Cases with a verdict; all of them but for a joint model.
        confusion: By counting mode, confusion of types per case, see `Tally`.
        splits: True lesions found in several parts, per case.
        merges: Found lesions that join several true ones, per case.
        true_by_volume: True lesions by type, volume bin and outcome TP, FL, FN, per case.
        false_by_volume: False positives by found type and volume bin, per case.
        patients: One patient per case by true class (rows) and found class (columns, the last is UNCERTAIN).
        malignancy: Score of malignancy per case, 0 to 1, see `malignancy_score`.
        joint: True for a model that decides only where two others agree.
    """

    name: ModelName
    decided: Bool[np.ndarray, " cases"]
    confusion: Mapping[Counting, Int[np.ndarray, "cases 7 7"]]
    splits: Int[np.ndarray, " cases"]
    merges: Int[np.ndarray, " cases"]
    true_by_volume: Int[np.ndarray, "cases 6 bins 3"]
    false_by_volume: Int[np.ndarray, "cases 6 bins"]
    patients: Int[np.ndarray, "cases 7 8"]
    malignancy: Float[np.ndarray, " cases"]
    joint: bool = False

    @property
    def truly_malignant(self) -> Bool[np.ndarray, " cases"]:
        """Patients whose true class is malignant."""
        malignant = [k for k, c in enumerate(CLASSES) if c.malignant]
        return self.patients[:, malignant].sum(axis=(1, 2)) > 0

    @property
    def called_malignant(self) -> Bool[np.ndarray, " cases"]:
        """Patients whose found class is malignant; an undecided one is not."""
        malignant = [k for k, c in enumerate(CLASSES) if c.malignant]
        return self.patients[:, :, malignant].sum(axis=(1, 2)) > 0

    @property
    def class_right(self) -> Bool[np.ndarray, " cases"]:
        """Patients whose found class is the true one."""
        return np.trace(self.patients, axis1=1, axis2=2) > 0

    def where(self, keep: Bool[np.ndarray, " cases"]) -> Answers:
        """The same answers, undecided outside ``keep``."""
        cut = self.decided & keep
        patients = self.patients.copy()
        patients[~cut, :, UNCERTAIN] = patients[~cut].sum(axis=2)
        patients[~cut, :, :UNCERTAIN] = 0
        return replace(
            self,
            decided=cut,
            confusion={mode: _only(table, cut) for mode, table in self.confusion.items()},
            splits=_only(self.splits, cut),
            merges=_only(self.merges, cut),
            true_by_volume=_only(self.true_by_volume, cut),
            false_by_volume=_only(self.false_by_volume, cut),
            patients=patients,
        )


def answers_of(cases: Sequence[EvaluatedCase], name: ModelName, settings: EvaluationSettings) -> Answers:
    """Answers of a model that decides on every patient.

    Args:
        cases: At least one.
        name: A model that every case has a reading of.
        settings: How to count.
    """
    readings = [case.readings[name.key] for case in cases]
    tallies = [tally(case, reading, settings) for case, reading in zip(cases, readings, strict=True)]
    patients = np.zeros((len(cases), len(CLASSES), len(CLASSES) + 1), dtype=np.int64)
    for number, (case, reading) in enumerate(zip(cases, readings, strict=True)):
        patients[number, CLASSES.index(case.truth_class), CLASSES.index(reading.patient_class)] = 1
    return Answers(
        name,
        np.ones(len(cases), dtype=np.bool_),
        {mode: np.stack([t.confusion[mode] for t in tallies]) for mode in Counting},
        np.array([t.splits for t in tallies]),
        np.array([t.merges for t in tallies]),
        np.stack([t.true_by_volume for t in tallies]),
        np.stack([t.false_by_volume for t in tallies]),
        patients,
        np.array([malignancy_score(reading, settings) for reading in readings]),
    )


def joint_answers(cases: Sequence[EvaluatedCase], joint: JointName, settings: EvaluationSettings) -> Answers:
    """Answers of a joint model: those of its high side where both sides agree (paper, Sec. IV-C3)."""
    high = answers_of(cases, ModelName(joint.high, joint.name.title, joint.name.setting), settings)
    verdicts = [_verdict(case, joint, settings) for case in cases]
    agreed = np.array([verdict.value.patient_class is not None for verdict in verdicts])
    return replace(high, name=joint.name, joint=True).where(agreed)


def malignancy_score(reading: Reading, settings: EvaluationSettings) -> float:
    """Largest product of confidence and share of malignant votes over the lesions called malignant; 0 without any.

    For a label map, which says neither, it is 1 if there is a malignant lesion and 0 otherwise.
    """
    lesions = (x for x in reading.lesions if x.label.malignant and x.covered and settings.counts(x.volume_ml))
    return max((x.confidence * x.p_malignant for x in lesions), default=0.0)


def _verdict(case: EvaluatedCase, joint: JointName, settings: EvaluationSettings) -> JointVerdict:
    high = case.readings[joint.high]
    if joint.low is not None:
        return JointVerdict(case.readings[joint.low].patient_class, high.patient_class, settings.level)
    said = high.joint
    base = said.base if said is not None else high.patient_class
    return JointVerdict(base, said.high if said is not None else high.patient_class, settings.level)


def _only(per_case: np.ndarray, keep: Bool[np.ndarray, " cases"]) -> np.ndarray:
    out = per_case.copy()
    out[~keep] = 0
    return out
