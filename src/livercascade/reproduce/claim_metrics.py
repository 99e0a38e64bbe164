"""What the claims are held against: metrics of models on the same patients, in pairs, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from livercascade.detect.match import Agreement, Counting
from livercascade.evaluation.cohort.evidence_case import EvidenceCase
from livercascade.evaluation.curves.sensitivity_agreement import agreement_table
from livercascade.evaluation.curves.small_lesions import small_lesion_recall
from livercascade.evaluation.curves.vote_effects import VoteEffect, transition_table
from livercascade.evaluation.metrics.lesion_metrics import ROWS, LesionMetrics, Proportion
from livercascade.evaluation.metrics.model_counts import CLASSES, UNCERTAIN, ModelCounts
from livercascade.evaluation.statistics.intervals import (
    Interval,
    Resamples,
    as_interval,
    percentile_interval,
    wilson,
)
from livercascade.evaluation.statistics.ranking import share
from livercascade.reclassification.reclassify import ScoreMode
from livercascade.reproduce.claim_results import ClaimResult, PartResult, combined, statement_of
from livercascade.reproduce.claims import Claim, ClaimMetric, ClaimPart, Contrast
from livercascade.reproduce.experiment import FindingGroup, ModelKey, PaperModel, PaperSetting

_BOOTSTRAP = "bootstrap over patients"
_PROPORTIONS = {
    ClaimMetric.RECALL: Proportion.RECALL,
    ClaimMetric.RECALL_ROUGH: Proportion.RECALL_ROUGH,
    ClaimMetric.PRECISION: Proportion.PRECISION,
}
_OF_PATIENTS = frozenset(
    {ClaimMetric.SENSITIVITY, ClaimMetric.SPECIFICITY, ClaimMetric.COVERAGE, ClaimMetric.UNCERTAIN_WITH_LESION}
)


@dataclass(frozen=True, slots=True, eq=False)
class PatientResults:
    """Results of all models on the test patients.

    Attributes:
        predictions: Counts of every model, all on the same patients in the same order.
        curves: Evidence of these patients by setting, in that order.
        resampling: Resamples of the patients, the same for every metric: differences are of pairs.
    """

    predictions: Mapping[ModelKey, ModelCounts]
    curves: Mapping[PaperSetting, Sequence[EvidenceCase]]
    resampling: Resamples


def judge_claims(claims: Sequence[Claim], results: PatientResults) -> tuple[ClaimResult, ...]:
    """Every claim with what was measured and its statement."""
    judged: list[ClaimResult] = []
    for claim in claims:
        parts = tuple(measure(part, results) for part in claim.parts)
        statement = combined([part.statement for part in parts])
        judged.append(ClaimResult(claim=claim, parts=parts, statement=statement))
    return tuple(judged)


def measure(part: ClaimPart, results: PatientResults) -> PartResult:
    """The quantity of a part of a claim and what follows from it; undecided if one of its models was not run."""
    if part.metric is ClaimMetric.SMALL_RECALL:
        return _small_recall(part, results)
    two = _counts(part, part.two, results)
    if part.one is None:
        return PartResult(part=part) if two is None else _value(part, two, results)
    one = _counts(part, part.one, results)
    if one is None or two is None:
        return PartResult(part=part)
    return (_reduction if part.contrast is Contrast.REDUCTION else _difference)(part, one, two, results)


def _decided(
    part: ClaimPart,
    results: PatientResults,
    value: float | None,
    interval: Interval | None,
    counted: int,
    counts: str,
    method: str,
) -> PartResult:
    # Many lesions of a few patients are few: the bootstrap resamples patients.
    patients = results.resampling.shape[1]
    statement, why = statement_of(part.relation, part.threshold, interval, min(counted, patients))
    return PartResult(
        part=part,
        value=value,
        interval=interval,
        counted=counted,
        counts=counts,
        method=method,
        statement=statement,
        why=why,
    )


def _value(part: ClaimPart, two: Float[np.ndarray, "cases 2"], results: PatientResults) -> PartResult:
    hits, whole = _sums(two)
    counts, value = f"{hits}/{whole}", hits / whole if whole else None
    # One patient is one trial: a share of patients is binomial, and Wilson's interval holds; lesions share patients.
    if part.metric in _OF_PATIENTS:
        return _decided(part, results, value, wilson(hits, whole), whole, counts, "Wilson")
    interval = as_interval(percentile_interval(_ratios(two, results.resampling)))
    # Where all resamples agree the bootstrap knows no doubt; Wilson's interval does.
    interval = wilson(hits, whole) if interval is None or interval[0] == interval[1] else interval
    return _decided(part, results, value, interval if whole else None, whole, counts, _BOOTSTRAP)


def _reduction(
    part: ClaimPart, one: Float[np.ndarray, "cases 2"], two: Float[np.ndarray, "cases 2"], results: PatientResults
) -> PartResult:
    # Both models see the same patients: the number of cases cancels, and counts do.
    before, after = _sums(one)[0], _sums(two)[0]
    weights = results.resampling
    left = share(weights @ two[:, 0], weights @ one[:, 0])
    interval = as_interval(percentile_interval(1 - left))
    # All gone, or none, in every resample is not certainty: the share left then has Wilson's interval.
    if before and (interval is None or interval[0] == interval[1]) and after <= before:
        ends = wilson(after, before) or (0.0, 1.0)
        interval = 1 - ends[1], 1 - ends[0]
    value = 1 - after / before if before else None
    interval = interval if before else None
    return _decided(part, results, value, interval, before, f"{before} → {after}", f"paired {_BOOTSTRAP}")


def _difference(
    part: ClaimPart, one: Float[np.ndarray, "cases 2"], two: Float[np.ndarray, "cases 2"], results: PatientResults
) -> PartResult:
    # The same resamples for both: what patients have in common cancels, as in a paired test.
    once, weights = np.ones((1, len(one))), results.resampling
    value = float((_ratios(two, once) - _ratios(one, once))[0])
    sums = (_sums(one), _sums(two))
    whole = min(whole for _, whole in sums)
    interval = _widened(as_interval(percentile_interval(_ratios(two, weights) - _ratios(one, weights))), whole)
    # Zero misses after many are no thin evidence: the larger number says how much there was to see.
    if part.metric.is_count:
        counted, counts = max(n for n, _ in sums), " → ".join(f"{n}" for n, _ in sums)
    else:
        counted, counts = whole, " → ".join(f"{n}/{of}" for n, of in sums)
    # A share of nothing, in one of the models.
    if np.isnan(value):
        return _decided(part, results, None, None, counted, counts, f"paired {_BOOTSTRAP}")
    return _decided(part, results, value, interval, counted, counts, f"paired {_BOOTSTRAP}")


def _small_recall(part: ClaimPart, results: PatientResults) -> PartResult:
    """Recall of small lesions by two scores, the second at the false positives that the first leaves."""
    cases = results.curves.get(part.two.setting)
    modes = [key.variant for key in (part.one, part.two) if key is not None and isinstance(key.variant, ScoreMode)]
    if cases is None or len(modes) != 2:
        return PartResult(part=part)
    paper, other = (small_lesion_recall(cases, mode) for mode in modes)

    # The threshold of the second score is set anew in each resample, so that its doubt is in the interval.
    def both(weights: Float[np.ndarray, "rows cases"]) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
        _, allowed = paper.above(weights, 1.0)
        return paper.at(weights, allowed), other.at(weights, allowed)

    first, second = both(np.ones((1, len(cases))))
    drawn = both(results.resampling)
    lesions = int(paper.positives.sum())
    if not lesions:
        return _decided(part, results, None, None, 0, "0 lesions", f"paired {_BOOTSTRAP}")
    interval = _widened(as_interval(percentile_interval(drawn[1] - drawn[0])), lesions)
    counts = f"{round(first[0] * lesions)}/{lesions} → {round(second[0] * lesions)}/{lesions}"
    return _decided(part, results, float(second[0] - first[0]), interval, lesions, counts, f"paired {_BOOTSTRAP}")


def _widened(interval: Interval | None, whole: int) -> Interval | None:
    """Interval of a difference; where no resample differs, as wide as a share of 0 of so many allows.

    The models may still differ on as many others.
    """
    if interval is None or interval[0] != interval[1]:
        return interval
    reach = (wilson(0, whole) or (0.0, 1.0))[1]
    return interval[0] - reach, interval[1] + reach


def _sums(counts: Float[np.ndarray, "cases 2"]) -> tuple[int, int]:
    return int(counts[:, 0].sum()), int(counts[:, 1].sum())


def _ratios(
    counts: Float[np.ndarray, "cases 2"], weights: Float[np.ndarray, "rows cases"]
) -> Float[np.ndarray, " rows"]:
    return share(weights @ counts[:, 0], weights @ counts[:, 1])


def _counts(part: ClaimPart, key: ModelKey, results: PatientResults) -> Float[np.ndarray, "cases 2"] | None:
    """Numerator and denominator of the metric for every patient; for a count the denominator is the patient."""
    if part.metric is ClaimMetric.VOTE_RIGHT or isinstance(key.variant, FindingGroup):
        cases = results.curves.get(key.setting)
        return None if cases is None else _curve_counts(part.metric, key, cases)
    model = results.predictions.get(key)
    if model is None:
        return None
    if part.metric in _OF_PATIENTS:
        return _patient_counts(part.metric, model)
    # The claims are about the paper's tables, which count as mode ``paper`` does.
    lesions, row = LesionMetrics.of(model.confusion[Counting.PAPER]), ROWS.index(part.row)
    if part.metric.is_count:
        missed_or_false = lesions.fn if part.metric is ClaimMetric.FN else lesions.fp
        return _columns(missed_or_false[:, row], model.decided)
    hits, whole = lesions.parts(_PROPORTIONS[part.metric])
    return _columns(hits[:, row], whole[:, row])


def _patient_counts(metric: ClaimMetric, model: ModelCounts) -> Float[np.ndarray, "cases 2"]:
    decided, malignant = model.decided, model.truly_malignant
    # The last class is normal: a patient of any other has a lesion.
    with_lesion = model.patients[:, : len(CLASSES) - 1].sum(axis=(1, 2)) > 0
    undecided = model.patients[:, :, UNCERTAIN].sum(axis=1) > 0
    hits, whole = {
        ClaimMetric.SENSITIVITY: (model.called_malignant & malignant & decided, malignant & decided),
        ClaimMetric.SPECIFICITY: (~model.called_malignant & ~malignant & decided, ~malignant & decided),
        ClaimMetric.COVERAGE: (decided, np.ones_like(decided)),
        ClaimMetric.UNCERTAIN_WITH_LESION: (undecided & with_lesion, undecided),
    }[metric]
    return _columns(hits, whole)


def _curve_counts(metric: ClaimMetric, key: ModelKey, cases: Sequence[EvidenceCase]) -> Float[np.ndarray, "cases 2"]:
    if metric is ClaimMetric.VOTE_RIGHT:
        high = key.variant in (PaperModel.HIGH, PaperModel.HIGH_RECLS)
        table, _ = transition_table(cases, high=high)
        column = list(VoteEffect).index
        right, wrong = (table[:, column(effect)] for effect in (VoteEffect.WRONG_CORRECT, VoteEffect.CORRECT_WRONG))
        return _columns(right, right + wrong)
    groups, counts = list(Agreement), agreement_table(cases)
    same = counts[:, groups.index(Agreement.SAME)]
    diff = counts.sum(axis=1) - same
    if metric is ClaimMetric.DIFF_ONLY_HIGH:
        return _columns(counts[:, groups.index(Agreement.ONLY_HIGH), 0], diff[:, 0])
    # Of each group: number of findings, and how many of them touch a true lesion.
    chosen = same if key.variant is FindingGroup.SAME else diff
    return _columns(chosen[:, 1], chosen[:, 0])


def _columns(hits: np.ndarray, whole: np.ndarray) -> Float[np.ndarray, "cases 2"]:
    return np.stack([hits, whole], axis=1).astype(np.float64)
