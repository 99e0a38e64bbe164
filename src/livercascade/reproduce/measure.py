"""What the claims are held against: figures of models on the same patients, in pairs, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from livercascade.detect.match import Agreement, Counting
from livercascade.evaluation.cohort.evidence_case import CurveCase
from livercascade.evaluation.curves.sensitivity_agreement import agreement_table
from livercascade.evaluation.curves.small_lesions import small_lesion_recall
from livercascade.evaluation.curves.vote_effects import Change, transition_table
from livercascade.evaluation.evaluation_settings import EvaluationSettings
from livercascade.evaluation.matching.model_counts import CLASSES, UNCERTAIN, Answers
from livercascade.evaluation.metrics.lesion_metrics import ROWS, LesionFigures, Proportion
from livercascade.evaluation.statistics.intervals import Interval, Resampling, as_interval, percentile_interval, wilson
from livercascade.evaluation.statistics.ranking import share
from livercascade.reclassify.reclassify import ScoreMode
from livercascade.reproduce.claims import Compared, Figure, Part

Weights = Float[np.ndarray, "rows cases"]
_PROPORTIONS = {
    Figure.RECALL: Proportion.RECALL,
    Figure.RECALL_ROUGH: Proportion.RECALL_ROUGH,
    Figure.PRECISION: Proportion.PRECISION,
}
_OF_PATIENTS = frozenset({Figure.SENSITIVITY, Figure.SPECIFICITY, Figure.COVERAGE, Figure.UNCERTAIN_WITH_LESION})


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Everything that was found out about the test patients.

    Attributes:
        answers: By key of the model, all on the same patients in the same order.
        curves: What the evidence says, by setting, in that order.
        settings: How lesions are counted.
        draws: Resamples of the patients, the same for every figure: differences are of pairs.
    """

    answers: Mapping[str, Answers]
    curves: Mapping[str, Sequence[CurveCase]]
    settings: EvaluationSettings
    draws: Resampling


@dataclass(frozen=True, slots=True)
class Measured:
    """One quantity.

    Attributes:
        value: What is held against the threshold; None where there is nothing to divide by.
        interval: 95 %; None where undefined.
        counted: Things it is a share of: lesions, findings or patients, the fewer of two; for a difference of counts
            the larger of both.
        counts: For people, for example ``39 → 14``.
        method: How the interval was found.
    """

    value: float | None
    interval: Interval | None
    counted: int
    counts: str
    method: str


@dataclass(frozen=True, slots=True, eq=False)
class _Share:
    """Numerator and denominator per patient; for a count the denominator is the patient."""

    part: Float[np.ndarray, " cases"]
    whole: Float[np.ndarray, " cases"]

    def of(self, weights: Weights) -> Float[np.ndarray, " rows"]:
        return share(weights @ self.part, weights @ self.whole)


def measure(part: Part, ground: Ground) -> Measured | None:
    """The quantity of a part of a claim; None if one of its models was not run."""
    if part.figure is Figure.SMALL_RECALL:
        return _small(part, ground)
    two = _share(part.figure, part.two, part.row, ground)
    if part.compared is Compared.VALUE:
        return None if two is None else _value(part, two, ground)
    one = _share(part.figure, part.one, part.row, ground)
    if one is None or two is None:
        return None
    return _reduction(one, two, ground) if part.compared is Compared.REDUCTION else _difference(part, one, two, ground)


def _value(part: Part, two: _Share, ground: Ground) -> Measured:
    hits, whole = int(two.part.sum()), int(two.whole.sum())
    value = hits / whole if whole else None
    if part.figure in _OF_PATIENTS:
        return Measured(value, wilson(hits, whole), whole, f"{hits}/{whole}", "Wilson")
    interval = as_interval(percentile_interval(two.of(ground.draws.weights)))
    # Where all resamples agree the bootstrap knows no doubt; Wilson's interval does.
    interval = wilson(hits, whole) if interval is None or interval[0] == interval[1] else interval
    return Measured(value, interval if whole else None, whole, f"{hits}/{whole}", _BOOTSTRAP)


_BOOTSTRAP = "bootstrap over patients"


def _reduction(one: _Share, two: _Share, ground: Ground) -> Measured:
    before, after = int(one.part.sum()), int(two.part.sum())
    weights = ground.draws.weights
    left = share(weights @ two.part, weights @ one.part)
    interval = as_interval(percentile_interval(1 - left))
    if before and (interval is None or interval[0] == interval[1]) and after <= before:
        ends = wilson(after, before) or (0.0, 1.0)
        interval = 1 - ends[1], 1 - ends[0]
    value = 1 - after / before if before else None
    return Measured(value, interval if before else None, before, f"{before} → {after}", f"paired {_BOOTSTRAP}")


def _difference(part: Part, one: _Share, two: _Share, ground: Ground) -> Measured:
    once, weights = np.ones((1, len(one.part))), ground.draws.weights
    value = float((two.of(once) - one.of(once))[0])
    interval = as_interval(percentile_interval(two.of(weights) - one.of(weights)))
    whole = int(min(one.whole.sum(), two.whole.sum()))
    counted = int(max(one.part.sum(), two.part.sum())) if part.figure.is_count else whole
    if interval is not None and interval[0] == interval[1]:
        # No resample differs: the models may still differ on as many others as a share of 0 of these allows.
        reach = (wilson(0, whole) or (0.0, 1.0))[1]
        interval = interval[0] - reach, interval[1] + reach
    counts = " → ".join(
        f"{int(s.part.sum())}" if part.figure.is_count else f"{int(s.part.sum())}/{int(s.whole.sum())}"
        for s in (one, two)
    )
    undefined = np.isnan(value)
    return Measured(
        None if undefined else value, None if undefined else interval, counted, counts, f"paired {_BOOTSTRAP}"
    )


def _small(part: Part, ground: Ground) -> Measured | None:
    setting, _, name = part.two.partition("/")
    cases = ground.curves.get(setting)
    if cases is None:
        return None
    paper, other = (
        small_lesion_recall(cases, mode, ground.settings)
        for mode in (ScoreMode(part.one.partition("/")[2]), ScoreMode(name))
    )

    def both(weights: Weights) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
        _, allowed = paper.above(weights, 1.0)
        return paper.at(weights, allowed), other.at(weights, allowed)

    first, second = both(np.ones((1, len(cases))))
    drawn = both(ground.draws.weights)
    lesions = int(paper.lesions.sum())
    if not lesions:
        return Measured(None, None, 0, "0 lesions", f"paired {_BOOTSTRAP}")
    interval = as_interval(percentile_interval(drawn[1] - drawn[0]))
    if interval is not None and interval[0] == interval[1]:
        reach = (wilson(0, lesions) or (0.0, 1.0))[1]
        interval = interval[0] - reach, interval[1] + reach
    counts = f"{round(first[0] * lesions)}/{lesions} → {round(second[0] * lesions)}/{lesions}"
    return Measured(float(second[0] - first[0]), interval, lesions, counts, f"paired {_BOOTSTRAP}")


def _share(figure: Figure, model: str, row: str, ground: Ground) -> _Share | None:
    if figure in (Figure.PPV, Figure.DIFF_ONLY_HIGH, Figure.VOTE_RIGHT):
        return _from_curves(figure, model, ground)
    answers = ground.answers.get(model)
    if answers is None:
        return None
    if figure in _OF_PATIENTS:
        return _of_patients(figure, answers)
    lesions = LesionFigures.of(answers.confusion[Counting.PAPER])
    k = ROWS.index(row)
    if figure.is_count:
        counts = lesions.fn if figure is Figure.FN else lesions.fp
        return _Share(counts[:, k].astype(np.float64), answers.decided.astype(np.float64))
    hits, whole = lesions.parts(_PROPORTIONS[figure])
    return _Share(hits[:, k].astype(np.float64), whole[:, k].astype(np.float64))


def _of_patients(figure: Figure, answers: Answers) -> _Share:
    decided, malignant = answers.decided, answers.truly_malignant
    with_lesion = answers.patients[:, : len(CLASSES) - 1].sum(axis=(1, 2)) > 0
    undecided = answers.patients[:, :, UNCERTAIN].sum(axis=1) > 0
    part, whole = {
        Figure.SENSITIVITY: (answers.called_malignant & malignant & decided, malignant & decided),
        Figure.SPECIFICITY: (~answers.called_malignant & ~malignant & decided, ~malignant & decided),
        Figure.COVERAGE: (decided, np.ones_like(decided)),
        Figure.UNCERTAIN_WITH_LESION: (undecided & with_lesion, undecided),
    }[figure]
    return _Share(part.astype(np.float64), whole.astype(np.float64))


def _from_curves(figure: Figure, model: str, ground: Ground) -> _Share | None:
    setting, _, name = model.partition("/")
    cases = ground.curves.get(setting)
    if cases is None:
        return None
    if figure is Figure.VOTE_RIGHT:
        table, _ = transition_table(cases, ground.settings, high=name.startswith("High"))
        right, wrong = (table[:, list(Change).index(c)] for c in (Change.WRONG_CORRECT, Change.CORRECT_WRONG))
        return _Share(right, right + wrong)
    kinds, counts = list(Agreement), agreement_table(cases, ground.settings)
    same = counts[:, kinds.index(Agreement.SAME)]
    diff = counts.sum(axis=1) - same
    if figure is Figure.DIFF_ONLY_HIGH:
        return _Share(counts[:, kinds.index(Agreement.ONLY_HIGH), 0], diff[:, 0])
    chosen = same if name == "same" else diff
    return _Share(chosen[:, 1], chosen[:, 0])
