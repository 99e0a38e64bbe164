"""Intervals, areas, tests and patient figures against other libraries and literal definitions."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, f1_score, roc_auc_score

from livercascade.detect.match import Counting
from livercascade.evaluation.cohort.evaluated_models import EvaluatedModel
from livercascade.evaluation.matching.volume_bins import BIN_NAMES
from livercascade.evaluation.metrics.model_comparison import compare_models
from livercascade.evaluation.metrics.model_counts import UNCERTAIN, ModelCounts
from livercascade.evaluation.metrics.patient_metrics import PatientMetrics
from livercascade.evaluation.statistics.delong import delong
from livercascade.evaluation.statistics.intervals import (
    draw_resamples,
    percentile_interval,
    proportion_interval,
    resampled_sums,
    wilson,
)
from livercascade.evaluation.statistics.reliability import Reliability

LAWS = settings(max_examples=40)


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(68, 70, 90.2, 99.2), (67, 70, 88.1, 98.5), (8, 13, 35.5, 82.3), (6, 12, 25.4, 74.6)],
)
def test_wilson_as_known(part: int, whole: int, low: float, high: float) -> None:
    ends = wilson(part, whole)
    assert ends is not None
    assert [round(100 * end, 1) for end in ends] == [low, high]


def test_wilson_stays_inside_and_needs_something() -> None:
    assert wilson(0, 0) is None
    for n in (1, 5, 500):
        assert wilson(0, n)[0] == 0 and wilson(n, n)[1] == 1


def test_sums_of_resamples_are_those_of_drawing_cases() -> None:
    counts = np.random.default_rng(1).integers(0, 9, (7, 2, 3))
    draws = draw_resamples(7, 25, np.random.default_rng(2))
    assert (draws.sum(axis=1) == 7).all()
    for weights, total in zip(draws, resampled_sums(draws, counts), strict=True):
        chosen = [k for k, n in enumerate(weights) for _ in range(int(n))]
        assert (counts[chosen].sum(axis=0) == total).all()


def test_bootstrap_of_independent_cases_agrees_with_wilson() -> None:
    hits = (np.arange(200) < 150).astype(np.int64)
    draws = draw_resamples(200, 4000, np.random.default_rng(3))
    low, high = percentile_interval(resampled_sums(draws, hits[:, None])[:, 0] / 200)
    assert [low, high] == pytest.approx(wilson(150, 200), abs=0.012)


def test_bootstrap_over_patients_is_wider_where_lesions_of_a_patient_agree() -> None:
    """Twenty patients with ten equal lesions each: 200 lesions say no more than 20 patients."""
    found = np.repeat((np.arange(20) < 15).astype(np.int64) * 10, 1)
    draws = draw_resamples(20, 4000, np.random.default_rng(3))
    low, high = percentile_interval(resampled_sums(draws, found[:, None])[:, 0] / 200)
    narrow = wilson(150, 200)
    assert high - low > 2 * (narrow[1] - narrow[0])


def test_intervals_without_width_or_meaning() -> None:
    assert np.isnan(percentile_interval(np.zeros((0, 3)))).all()
    assert np.isnan(percentile_interval(np.full((9, 1), np.nan))).all()
    assert proportion_interval(np.array([1.0, 1.0]), 3, 3) == wilson(3, 3)
    assert proportion_interval(np.array([0.5, 0.9]), 3, 4) == (0.5, 0.9)
    assert proportion_interval(np.array([np.nan, np.nan]), 0, 0) is None


def literal_covariance(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """DeLong by his own definition: every pair of a positive and a negative patient."""
    areas = []
    for row in scores:
        pairs = (row[positive][:, None] > row[~positive]) + 0.5 * (row[positive][:, None] == row[~positive])
        areas.append((pairs.mean(axis=1), pairs.mean(axis=0)))
    covariance = np.zeros((len(scores), len(scores)))
    for a, b in product(range(len(scores)), repeat=2):
        for side in (0, 1):
            x, y = areas[a][side], areas[b][side]
            covariance[a, b] += ((x - x.mean()) * (y - y.mean())).sum() / (len(x) - 1) / len(x)
    return covariance


@LAWS
@given(st.integers(0, 10**6))
def test_delong_is_sklearns_area_and_his_own_covariance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(30) < 0.5
    positive[:4] = True, True, False, False
    scores = np.round(rng.random((2, 30)) + 0.3 * positive, 1)
    made = delong(scores, positive)
    assert made is not None
    assert made.areas == pytest.approx([roc_auc_score(positive, s) for s in scores])
    assert made.covariance == pytest.approx(literal_covariance(scores, positive))
    ends = made.interval()
    assert ends is None or ends[0] <= made.areas[0] <= ends[1]


def test_delong_without_one_side_or_variance() -> None:
    assert delong(np.ones((1, 4)), np.ones(4, dtype=bool)) is None
    perfect = delong(np.array([[0.0, 0.0, 1.0, 1.0]]), np.array([False, False, True, True]))
    assert perfect is not None and perfect.areas[0] == 1 and perfect.interval() is None
    single = delong(np.array([[0.0, 1.0]]), np.array([False, True]))
    assert single is not None and single.interval() is None
    same = delong(np.array([[0.1, 0.6, 0.4, 0.9]] * 2), np.array([False, False, True, True]))
    assert same is not None and same.p_equal() is None


@LAWS
@given(st.integers(0, 10**6))
def test_patient_figures_are_sklearns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, found = rng.integers(0, 7, (2, 40))
    table = np.zeros((7, 8), dtype=np.int64)
    np.add.at(table, (true, found), 1)
    f = PatientMetrics(table)
    # sklearn leaves out classes that are not in the truth in the same way.
    present = np.unique(true)
    known = np.isin(found, present)
    if known.all():
        assert float(f.balanced_accuracy) == pytest.approx(balanced_accuracy_score(true, found))
    assert float(f.macro_f1) == pytest.approx(f1_score(true, found, average="macro"))
    assert float(f.accuracy) == pytest.approx((true == found).mean())
    malignant, called = true < 3, found < 3
    assert float(f.sensitivity) == pytest.approx((malignant & called).sum() / malignant.sum())
    assert float(f.specificity) == pytest.approx((~malignant & ~called).sum() / (~malignant).sum())
    assert f.distribution.sum() == 40


def test_undecided_patients_leave_the_figures_and_come_back_in_the_restatements() -> None:
    table = np.zeros((7, 8), dtype=np.int64)
    table[0, 0], table[0, 3], table[2, UNCERTAIN] = 6, 2, 2
    table[6, 6], table[5, 0], table[6, UNCERTAIN] = 3, 1, 4
    f = PatientMetrics(table)
    assert (float(f.sensitivity), float(f.specificity)) == (6 / 8, 3 / 4)
    assert (int(f.uncertain_malignant), int(f.uncertain_other), int(f.decided)) == (2, 4, 12)
    assert f.distribution.tolist() == [[6, 2, 0, 2], [1, 0, 0, 0], [0, 0, 3, 4]]


def test_predictive_values_by_counting_patients() -> None:
    table = np.zeros((7, 8), dtype=np.int64)
    table[0, 0], table[0, 6], table[6, 0], table[6, 6] = 90, 10, 5, 95
    ppv, npv = PatientMetrics(table).predictive_values(0.1)
    # Of 1000 patients 100 are malignant: 90 called; of 900 others 45 called.
    assert (float(ppv), float(npv)) == (pytest.approx(90 / 135), pytest.approx(855 / 865))


def test_calibration_by_its_definition() -> None:
    score = np.array([0.0] * 6 + [0.2, 0.4, 0.9, 1.0])
    malignant = np.array([False] * 5 + [True] + [False, True, True, True])
    made = Reliability.of(score, malignant)
    assert made is not None
    assert made.brier == pytest.approx(brier_score_loss(malignant, score))
    assert (made.bins[0].patients, made.bins[0].malignant, made.bins[0].mean_score) == (6, 1, 0.0)
    assert made.bins[0].interval == wilson(1, 6)
    assert sum(b.patients for b in made.bins) == 10
    assert made.ece == pytest.approx(
        sum(b.patients * abs(b.mean_score - b.malignant / b.patients) for b in made.bins) / 10
    )
    assert Reliability.of(np.zeros(0), np.zeros(0, dtype=bool)) is None


def model(key: str, confusion: np.ndarray, true: np.ndarray, found: np.ndarray, *, joint: bool = False) -> ModelCounts:
    cases = len(true)
    patients = np.zeros((cases, 7, 8), dtype=np.int64)
    patients[np.arange(cases), true, found] = 1
    nothing = np.zeros(cases, dtype=np.int64)
    by_volume = np.zeros((cases, 6, len(BIN_NAMES), 3), dtype=np.int64)
    return ModelCounts(
        EvaluatedModel.parse(key),
        found != UNCERTAIN,
        dict.fromkeys(Counting, confusion),
        nothing,
        nothing,
        by_volume,
        by_volume[..., 0],
        patients,
        (found < 3).astype(float),
        joint,
    )


def test_mcnemar_is_the_binomial_test_and_holm_never_smaller() -> None:
    rng = np.random.default_rng(5)
    true = rng.integers(0, 7, 60)
    one, two = (np.where(rng.random(60) < 0.7, true, rng.integers(0, 7, 60)) for _ in range(2))
    tables = rng.integers(0, 3, (2, 60, 7, 7))
    models = [model("a", tables[0], true, one), model("b", tables[1], true, two)]
    made = {c.figure: c for c in compare_models(models, draw_resamples(60, 200, rng))}
    sick = true < 3
    hit_one, hit_two = (one < 3)[sick], (two < 3)[sick]
    only = int((hit_one & ~hit_two).sum()), int((~hit_one & hit_two).sum())
    assert made["sensitivity"].p == pytest.approx(binomtest(only[0], sum(only), 0.5).pvalue)
    assert made["sensitivity"].difference == pytest.approx(hit_two.mean() - hit_one.mean())
    assert all(c.p_holm >= c.p for c in made.values() if c.p is not None)
    recall = made["recall"]
    assert recall.interval[0] <= recall.difference <= recall.interval[1]


def test_equal_models_do_not_differ_and_joint_ones_are_not_compared() -> None:
    rng = np.random.default_rng(6)
    true, found = rng.integers(0, 7, (2, 30))
    table = rng.integers(0, 3, (30, 7, 7))
    models = [
        model("a", table, true, found),
        model("b", table, true, found),
        model("j", table, true, found, joint=True),
    ]
    made = compare_models(models, draw_resamples(30, 50, rng))
    assert {(c.one, c.two) for c in made} == {("a", "b")}
    assert all(c.difference == 0 for c in made)
    assert all(c.p in (None, 1) for c in made)
