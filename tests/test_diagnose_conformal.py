"""Abstention: the guarantee as an exact law of exchangeability, and by simulation with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from livercascade.diagnose.conformal import Abstention, Decision, conformal_threshold, error_bound, rank

ALPHAS = st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.5])
SCORES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.9, 1.0]) | st.floats(0, 1), min_size=1, max_size=40)


@given(scores=SCORES, alpha=ALPHAS)
def test_whoever_comes_last_is_excluded_at_most_as_often_as_allowed(scores: list[float], alpha: float) -> None:
    # Of exchangeable patients each is as likely to be the new one: the guarantee is this mean, for any values and ties.
    values = np.array(scores)
    excluded = 0
    for new in range(len(values)):
        threshold = conformal_threshold(np.delete(values, new), alpha)
        excluded += threshold is not None and bool(values[new] > threshold)
    assert excluded <= alpha * len(values) + 1e-9


@given(n=st.integers(0, 200), alpha=ALPHAS)
def test_threshold_is_the_value_of_its_rank_or_none(n: int, alpha: float) -> None:
    threshold = conformal_threshold(np.arange(1, n + 1, dtype=np.float64), alpha)
    k = rank(n, alpha)
    assert threshold is None if k > n else threshold == k
    # k is the least rank that keeps the promise.
    assert k / (n + 1) >= 1 - alpha - 1e-9
    assert k == 1 or (k - 1) / (n + 1) < 1 - alpha


@given(p=st.floats(0, 1), malignant=st.none() | st.floats(0, 1), other=st.none() | st.floats(0, 1))
def test_a_decision_needs_exactly_one_possible_class(p: float, malignant: float | None, other: float | None) -> None:
    made = Abstention(alpha=0.1, malignant=malignant, other=other, n_malignant=9, n_other=9)
    possible = made.possible(p)
    wanted = {(True, False): Decision.MALIGNANT, (False, True): Decision.NOT_MALIGNANT}
    assert made.decide(p) is wanted.get(possible, Decision.UNCERTAIN)


@pytest.mark.parametrize("n", [30, 100])
def test_errors_of_a_badly_calibrated_score_stay_below_alpha_in_both_classes(n: int) -> None:
    rng, alpha, runs, new = np.random.default_rng(7), 0.1, 600, 200
    errors = np.zeros((runs, 2))
    for run in range(runs):
        truth = np.concatenate([np.arange(2 * n) % 2 == 0, rng.random(new) < 0.8])
        # Overconfident and biased: the guarantee asks nothing of the score.
        score = 1 / (1 + np.exp(-6 * (truth - 0.2) - rng.normal(0, 4, len(truth))))
        made = Abstention.fit(score[: 2 * n], truth[: 2 * n], alpha)
        decided = np.array([made.decide(float(p)).value for p in score[2 * n :]])
        later = truth[2 * n :]
        errors[run] = (
            (decided[later] == Decision.NOT_MALIGNANT.value).mean(),
            (decided[~later] == Decision.MALIGNANT.value).mean(),
        )
    spread = errors.std(axis=0) / np.sqrt(runs)
    assert (errors.mean(axis=0) <= alpha + 3 * spread).all()
    # Not only below: without ties an excluded class is excluded 1 - k / (n + 1) of the time, and most of these decide.
    assert (errors.mean(axis=0) > 0.02).all()


def test_the_bound_holds_for_ninety_five_of_a_hundred_sets() -> None:
    rng, n, alpha = np.random.default_rng(3), 60, 0.1
    draws = np.sort(rng.random((4000, n)), axis=1)
    # Scores are uniform: the error of a set is what lies above its threshold.
    errors = 1 - draws[:, rank(n, alpha) - 1]
    within = int((errors <= error_bound(n, alpha)).sum())
    assert binom.cdf(within, 4000, 0.95) > 1e-4
    assert binom.sf(within, 4000, 0.95) > 1e-4


def test_too_few_patients_exclude_nobody() -> None:
    made = Abstention.fit(np.array([0.9, 0.1]), np.array([True, False]), 0.05)
    assert (made.malignant, made.other) == (None, None)
    assert made.decide(0.999) is Decision.UNCERTAIN


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_alpha_is_a_share(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        conformal_threshold(np.zeros(3), alpha)
