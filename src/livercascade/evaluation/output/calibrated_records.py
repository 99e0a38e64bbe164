"""Calibrated probabilities and abstention of one model against the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from livercascade.diagnose.conformal import Decision
from livercascade.evaluation.cohort.evaluated_case import CalibratedVerdict, EvaluatedCase
from livercascade.evaluation.matching.model_counts import Answers
from livercascade.evaluation.output.patient_records import calibration_record
from livercascade.evaluation.output.tables_json import AbstentionFigures, CalibratedRecord
from livercascade.evaluation.statistics.intervals import wilson


def calibrated_record(answers: Answers, cases: Sequence[EvaluatedCase]) -> CalibratedRecord | None:
    """Probabilities and decisions of a model; None unless every patient has them.

    Args:
        answers: Of the model.
        cases: The same patients in the same order.
    """
    if answers.joint:
        return None
    told = [case.readings[answers.name.key].calibrated for case in cases]
    known = [each for each in told if each is not None]
    if len(known) != len(told):
        return None
    truth = answers.truly_malignant
    return CalibratedRecord(
        score=calibration_record(answers.malignancy, truth),
        probability=calibration_record(np.array([each.malignancy for each in known]), truth),
        abstention=_abstention(known, truth),
    )


def _abstention(told: Sequence[CalibratedVerdict], truth: np.ndarray) -> AbstentionFigures:
    decisions = np.array([each.decision.value for each in told])
    malignant, other = int(truth.sum()), int((~truth).sum())
    missed = int((decisions[truth] == Decision.NOT_MALIGNANT.value).sum())
    alarms = int((decisions[~truth] == Decision.MALIGNANT.value).sum())
    decided = int((decisions != Decision.UNCERTAIN.value).sum())
    return AbstentionFigures(
        alpha=told[0].alpha,
        decided=decided,
        patients=len(told),
        decided_interval=wilson(decided, len(told)),
        n_malignant=malignant,
        missed=missed,
        missed_interval=wilson(missed, malignant),
        n_other=other,
        alarms=alarms,
        alarms_interval=wilson(alarms, other),
    )
