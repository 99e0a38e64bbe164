"""Counts of one model over all patients: what every metric, interval and comparison follows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from livercascade.data.labels import PatientClass
from livercascade.detect.match import Counting, Match, Outcome, judge
from livercascade.diagnose.joint import JointClass, joint_class
from livercascade.evaluation.cohort.evaluated_case import EvaluatedCase
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel, JointModel
from livercascade.evaluation.evaluation_settings import EvaluationSettings, Extras
from livercascade.evaluation.matching.matched_lesions import MatchedLesions
from livercascade.evaluation.matching.volume_bins import VOLUME_BINS, bin_of

CLASSES: tuple[PatientClass, ...] = tuple(PatientClass)
"""Patient classes in the order of the tables, by priority; normal is the last."""
UNCERTAIN = len(CLASSES)
"""Column after the classes: patients the joint model leaves to a human."""
_FOUND = {Outcome.TP: 0, Outcome.FL: 1, Outcome.FN: 2}
"""Columns of the outcomes of reference lesions."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelCounts:
    """Counts of one model, case by case; cases that it leaves undecided count nothing at the level of lesions.

    Attributes:
        model: The model.
        decided: Cases with a verdict; all of them but for a joint model.
        confusion: Types per case by counting mode: reference in rows (6 spurious), predicted in columns (6 missed).
        splits: Reference lesions found in two or more parts, per case.
        merges: Predicted lesions that join two or more reference lesions, per case.
        reference_by_volume: Reference lesions by type, volume bin and outcome TP, FL, FN, per case; each counts once.
        false_by_volume: False positives by predicted type and volume bin, per case.
        patients: One patient per case by reference class (rows) and predicted class (columns, the last is UNCERTAIN).
        malignancy: Malignancy score per case, 0 to 1, see `CasePrediction`.
        joint: True for a model that decides only where two others agree.
    """

    model: EvaluatedModel
    decided: Bool[np.ndarray, " cases"]
    confusion: Mapping[Counting, Int[np.ndarray, "cases 7 7"]]
    splits: Int[np.ndarray, " cases"]
    merges: Int[np.ndarray, " cases"]
    reference_by_volume: Int[np.ndarray, "cases 6 bins 3"]
    false_by_volume: Int[np.ndarray, "cases 6 bins"]
    patients: Int[np.ndarray, "cases 7 8"]
    malignancy: Float[np.ndarray, " cases"]
    joint: bool = False

    @property
    def truly_malignant(self) -> Bool[np.ndarray, " cases"]:
        """Patients whose reference class is malignant."""
        malignant = [k for k, c in enumerate(CLASSES) if c.malignant]
        return self.patients[:, malignant].sum(axis=(1, 2)) > 0

    @property
    def called_malignant(self) -> Bool[np.ndarray, " cases"]:
        """Patients whose predicted class is malignant; an undecided one is not."""
        malignant = [k for k, c in enumerate(CLASSES) if c.malignant]
        return self.patients[:, :, malignant].sum(axis=(1, 2)) > 0

    @property
    def class_right(self) -> Bool[np.ndarray, " cases"]:
        """Patients whose predicted class is that of the reference."""
        return np.trace(self.patients, axis1=1, axis2=2) > 0

    def where(self, keep: Bool[np.ndarray, " cases"]) -> ModelCounts:
        """The same counts, undecided outside ``keep``."""
        cut = self.decided & keep
        # Undecided patients leave the classes but not the table, so that coverage can be read from it.
        patients = self.patients.copy()
        patients[~cut, :, UNCERTAIN] = patients[~cut].sum(axis=2)
        patients[~cut, :, :UNCERTAIN] = 0
        return replace(
            self,
            decided=cut,
            confusion={mode: _only(table, cut) for mode, table in self.confusion.items()},
            splits=_only(self.splits, cut),
            merges=_only(self.merges, cut),
            reference_by_volume=_only(self.reference_by_volume, cut),
            false_by_volume=_only(self.false_by_volume, cut),
            patients=patients,
        )


def counts_of_model(cases: Sequence[EvaluatedCase], model: EvaluatedModel, settings: EvaluationSettings) -> ModelCounts:
    """Counts of a model that decides on every patient.

    Args:
        cases: At least one.
        model: A model that every case has a prediction of.
        settings: Rules by which lesions are counted.
    """
    n, bins = len(cases), len(VOLUME_BINS)
    made = ModelCounts(
        model,
        np.ones(n, dtype=np.bool_),
        {mode: _zeros(n, 7, 7) for mode in Counting},
        _zeros(n),
        _zeros(n),
        _zeros(n, 6, bins, 3),
        _zeros(n, 6, bins),
        _zeros(n, len(CLASSES), len(CLASSES) + 1),
        np.zeros(n),
    )
    for number, case in enumerate(cases):
        prediction = case.predictions[model]
        _count_lesions(made, number, prediction.matched.countable(settings), settings)
        row, column = CLASSES.index(case.reference_class), CLASSES.index(prediction.patient_class)
        made.patients[number, row, column] = 1
        made.malignancy[number] = prediction.malignancy
    return made


def counts_of_joint_model(
    cases: Sequence[EvaluatedCase], joint: JointModel, settings: EvaluationSettings
) -> ModelCounts:
    """Counts of a joint model: those of its high side where both sides agree (paper, Sec. IV-C3)."""
    high = counts_of_model(cases, joint.high, settings)
    verdicts = [_verdict(case, joint, settings) for case in cases]
    agreed = np.array([verdict.patient_class is not None for verdict in verdicts])
    return replace(high, model=joint.model, joint=True).where(agreed)


def lesions_by_volume(cases: Sequence[EvaluatedCase], settings: EvaluationSettings) -> Int[np.ndarray, "6 bins"]:
    """Number of reference lesions by type and volume bin (paper, Table I)."""
    table = _zeros(6, len(VOLUME_BINS))
    for case in cases:
        for lesion in case.reference:
            if settings.counts(lesion.volume_ml):
                table[lesion.label - 1, bin_of(lesion.volume_ml)] += 1
    return table


def _count_lesions(counts: ModelCounts, number: int, lesions: MatchedLesions, settings: EvaluationSettings) -> None:
    """Enter the lesions of one case that count."""
    matches = {mode: judge(lesions.reference, lesions.predicted, lesions.pairs, counting=mode) for mode in Counting}
    for mode, match in matches.items():
        counts.confusion[mode][number] = match.confusion
    if settings.extras is Extras.IGNORE:
        counts.confusion[Counting.ONE2ONE][number] -= _extras(matches[Counting.ONE2ONE], lesions)
    once = matches[Counting.GT]
    counts.splits[number], counts.merges[number] = once.splits, once.merges
    # Mode GT, in which each reference lesion has one outcome: strata must sum to the number of lesions.
    for lesion, outcome in zip(lesions.reference, once.truth_outcomes, strict=True):
        counts.reference_by_volume[number, lesion.label - 1, bin_of(lesion.volume_ml), _FOUND[outcome]] += 1
    for lesion, outcome in zip(lesions.predicted, once.found_outcomes, strict=True):
        counts.false_by_volume[number, lesion.label - 1, bin_of(lesion.volume_ml)] += outcome is Outcome.FP


def _extras(match: Match, lesions: MatchedLesions) -> Int[np.ndarray, "7 7"]:
    """False positives that do overlap a reference lesion, which another predicted one took."""
    table = _zeros(7, 7)
    touching = {pair.found for pair in lesions.pairs}
    for position, (lesion, outcome) in enumerate(zip(lesions.predicted, match.found_outcomes, strict=True)):
        table[6, lesion.label - 1] += outcome is Outcome.FP and position in touching
    return table


def _verdict(case: EvaluatedCase, joint: JointModel, settings: EvaluationSettings) -> JointClass:
    high = case.predictions[joint.high]
    if joint.low is not None:
        return joint_class(case.predictions[joint.low].patient_class, high.patient_class, settings.level)
    recorded = high.verdict
    if recorded is None:
        return joint_class(high.patient_class, high.patient_class, settings.level)
    return joint_class(recorded.base, recorded.high, settings.level)


def _zeros(*shape: int) -> Int[np.ndarray, ...]:
    return np.zeros(shape, dtype=np.int64)


def _only(per_case: np.ndarray, keep: Bool[np.ndarray, " cases"]) -> np.ndarray:
    out = per_case.copy()
    out[~keep] = 0
    return out
