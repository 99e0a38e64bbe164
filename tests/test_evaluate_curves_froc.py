"""FROC and average precision against the literal definitions, scikit-learn and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from curve_cases import COHORTS, case, cohort_of, draws, proposal, truth
from livercascade.data.labels import LesionType
from livercascade.evaluation.cohort.evidence_case import EvidenceCase, ProposalScore
from livercascade.evaluation.curves.froc import RATES, HitRule, average_precision_by_type, free_response, froc
from livercascade.evaluation.curves.score_roc import rates
from livercascade.evaluation.statistics.ranking import RankedFindings

PROBABILITY = ProposalScore.PROBABILITY


def at_threshold(cases: list[EvidenceCase], threshold: float) -> tuple[int, int, int]:
    """True lesions found, true lesions, false proposals of a confidence of at least the threshold, word by word."""
    found = lesions = false = 0
    for one in cases:
        side = one.proposals[4.0]
        sure = [j for j, p in enumerate(side.predicted) if p.confidence >= threshold]
        lesions += len(side.reference)
        found += sum(
            any((p.truth, p.found) == (i, j) for p in side.pairs for j in sure) for i in range(len(side.reference))
        )
        false += sum(not any(p.found == j for p in side.pairs) for j in sure)
    return found, lesions, false


@settings(max_examples=25)
@given(COHORTS)
def test_recall_at_a_rate_is_the_best_over_all_thresholds(numbers: list) -> None:
    cases = cohort_of(numbers)
    curve = froc(cases, PROBABILITY, draws(len(cases), 5))
    thresholds = {p.confidence for one in cases for p in one.proposals[4.0].predicted} | {2.0}
    for rate, told in zip(RATES, curve.at, strict=True):
        allowed = []
        for t in thresholds:
            found, lesions, false = at_threshold(cases, t)
            if lesions and false / len(cases) <= rate:
                allowed.append(found / lesions)
        assert told.value == (pytest.approx(max(allowed)) if allowed else None)
    if curve.cpm.value is not None:
        assert curve.cpm.value == pytest.approx(np.mean([told.value for told in curve.at]))


@settings(max_examples=10)
@given(COHORTS)
def test_curve_is_monotone_and_recall_and_precision_stay_within_bounds(numbers: list) -> None:
    cases = cohort_of(numbers)
    for score in ProposalScore:
        for hit in HitRule:
            curve = froc(cases, score, draws(len(cases), 5), hit=hit)
            assert list(curve.fp_per_case) == sorted(curve.fp_per_case)
            assert list(curve.recall) == sorted(curve.recall)
            values = [e.value for e in (*curve.at, *curve.band, curve.average_precision) if e.value is not None]
            assert all(0 <= v <= 1 for v in values)
            assert [e.value for e in curve.band] == sorted(
                (e.value for e in curve.band), key=lambda v: -1.0 if v is None else v
            )


@settings(max_examples=25)
@given(COHORTS)
def test_average_precision_is_that_of_scikit_learn(numbers: list) -> None:
    cases = cohort_of(numbers)
    response = free_response(cases, PROBABILITY.of)
    scores, true = [], []
    for number, threshold in enumerate(response.score):
        first = response.last[number - 1] + 1 if number else 0
        for k in range(first, response.last[number] + 1):
            scores.append(threshold)
            true.append(bool(response.true[k]))
    lesions, found = int(response.positives.sum()), sum(true)
    ours = float(response.average_precision(np.ones((1, len(cases))))[0, 0])
    if not lesions:
        assert np.isnan(ours)
    elif not found:
        assert ours == 0
    else:
        # PI-CAI gives missed lesions a confidence below all others and no precision there.
        assert ours == pytest.approx(average_precision_score(true, scores) * found / lesions)


@settings(max_examples=25)
@given(COHORTS, st.data())
def test_weights_are_patients_repeated(numbers: list, data: st.DataObject) -> None:
    cases = cohort_of(numbers)
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(cases), max_size=len(cases)))
    if not sum(times):
        return
    weighted = free_response(cases, PROBABILITY.of)
    repeated = [one for one, n in zip(cases, times, strict=True) for _ in range(n)]
    literal = free_response(repeated, PROBABILITY.of)
    w, ones = np.array([times], dtype=float), np.ones((1, len(repeated)))
    np.testing.assert_allclose(weighted.at_rates(w, RATES), literal.at_rates(ones, RATES))
    np.testing.assert_allclose(weighted.average_precision(w), literal.average_precision(ones))


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.4, 0.8]), st.booleans(), st.integers(0, 2)), min_size=2),
    st.lists(st.integers(1, 3), min_size=3, max_size=3),
)
def test_rates_give_the_area_of_scikit_learn(things: list[tuple[float, bool, int]], times: list[int]) -> None:
    score, true, owner = (np.array(column) for column in zip(*things, strict=True))
    if true.all() or not true.any():
        return
    ranked = RankedFindings.of(score.astype(float), true, owner, np.bincount(owner, true, 3))
    tpr, fpr = rates(ranked, np.array([times], dtype=float))
    expected = roc_auc_score(true, score, sample_weight=np.array(times)[owner])
    assert np.trapezoid(tpr[0], fpr[0]) == pytest.approx(expected)


def test_perfect_detector_and_none() -> None:
    true = [truth(), truth(LesionType.CYST)]
    sure = [proposal(probability=0.9), proposal(LesionType.CYST, probability=0.8), proposal(probability=0.1)]
    best = froc([case(true, sure, [(0, 0), (1, 1)])], PROBABILITY, draws(1))
    assert (best.cpm.value, best.average_precision.value) == (1.0, 1.0)
    none = froc([case(true, [], [])], PROBABILITY, draws(1))
    assert (none.cpm.value, none.average_precision.value) == (0.0, 0.0)
    nothing = froc([case([], sure, [])], PROBABILITY, draws(1))
    assert (nothing.cpm.value, nothing.average_precision.value) == (None, None)


def test_one_to_one_takes_each_side_once_and_leaves_the_rest_out() -> None:
    true = [truth(volume_ml=10.0)]
    parts = [proposal(volume_ml=5.0, probability=0.9), proposal(volume_ml=5.0, probability=0.4)]
    both = case(true, parts, [(0, 0), (0, 1)])
    response = free_response([both], PROBABILITY.of, hit=HitRule.IOU)
    assert response.true.tolist() == [True]
    merged = case([truth(), truth()], [proposal(volume_ml=4.0)], [(0, 0), (1, 0)])
    response = free_response([merged], PROBABILITY.of, hit=HitRule.IOU)
    assert (response.true.sum(), response.positives.sum()) == (1, 2)
    assert free_response([merged], PROBABILITY.of).true.sum() == 2


def test_slight_touch_is_a_hit_by_one_voxel_but_not_by_iou() -> None:
    far = case([truth(volume_ml=100.0)], [proposal(volume_ml=1.0)], [(0, 0)])
    assert free_response([far], PROBABILITY.of).true.tolist() == [True]
    assert free_response([far], PROBABILITY.of, hit=HitRule.IOU).true.tolist() == [False]


def test_type_counts_in_average_precision_by_type() -> None:
    wrong = case([truth(LesionType.ICC)], [proposal(LesionType.HCC)], [(0, 0)])
    right = case([truth(LesionType.META)], [proposal(LesionType.META)], [(0, 0)])
    told = average_precision_by_type([wrong, right], PROBABILITY, draws(2))
    assert (told[LesionType.ICC].value, told[LesionType.META].value, told[LesionType.HCC].value) == (0.0, 1.0, None)


def test_confidences() -> None:
    one = proposal(probability=0.64, share=0.25, onset=4.0)
    assert ProposalScore.ONSET.of(one) == pytest.approx(0.2)
    assert ProposalScore.SHARE.of(one) == pytest.approx(0.25)
    assert ProposalScore.BLEND.of(one) == pytest.approx(0.4)
    assert ProposalScore.SHARE.of(proposal(share=None)) == 1.0
