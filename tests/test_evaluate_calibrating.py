"""Fitting of probabilities: against known odds, on new patients, and where there is nothing to learn from."""

from __future__ import annotations

import numpy as np
import pytest

from livercascade.data.labels import PHASES
from livercascade.diagnose.calibration import Logistic
from livercascade.evaluation.fit_calibration import CalibrationSample, fit_logistic, fit_setting, fit_types, sample_of
from livercascade.evaluation.statistics.reliability import Reliability
from simulated_cohort import simulated


def test_known_odds_are_found_again() -> None:
    rng = np.random.default_rng(0)
    score, truth = rng.uniform(0.02, 0.98, 20_000), Logistic(slope=2.0, intercept=-0.7)
    p = np.array([truth(s) for s in score])
    made = fit_logistic(score, rng.random(len(p)) < p)
    assert made.slope == pytest.approx(2.0, abs=0.1)
    assert made.intercept == pytest.approx(-0.7, abs=0.06)


@pytest.mark.parametrize("true", [[True] * 5, [False] * 5, []])
def test_one_class_alone_gives_one_cautious_probability(true: list[bool]) -> None:
    made = fit_logistic(np.linspace(0.1, 0.9, len(true)), np.array(true, dtype=np.bool_))
    # Laplace's rule of succession.
    assert made(0.1) == made(0.9) == pytest.approx((sum(true) + 1) / (len(true) + 2))


def test_a_perfect_split_gives_no_certainty() -> None:
    made = fit_logistic(np.array([0.1] * 10 + [0.9] * 10), np.arange(20) >= 10)
    assert 0.05 < made(0.1) < 0.15
    assert 0.85 < made(0.9) < 0.95


def test_a_score_that_falls_with_the_truth_is_not_trusted() -> None:
    assert fit_logistic(np.linspace(0.05, 0.95, 40), np.arange(40) < 20).slope == 0


def test_types_are_less_sure_where_votes_are_often_wrong() -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 6, 400)
    votes = np.eye(6)[label] * 100

    def fitted(right: float) -> float:
        true = np.where(rng.random(400) < right, label, rng.integers(0, 6, 400))
        empty = np.zeros(0)
        return fit_types(CalibrationSample(empty, empty > 0, label, votes, true, empty, empty > 0)).temperature

    assert fitted(0.4) > fitted(0.95)


def test_probabilities_of_new_patients_mean_what_they_say() -> None:
    fit, new = ([c.evidence["diagnosis"] for c in simulated(n, seed)] for n, seed in ((300, 1), (300, 2)))
    made, sample = fit_setting(fit, PHASES, alpha=0.1), sample_of(new)
    told = np.array([made.lesion(c) for c in sample.confidence])
    raw, calibrated = (Reliability.of(s, sample.true) for s in (sample.confidence, told))
    assert raw is not None and calibrated is not None
    assert calibrated.ece < raw.ece
    assert calibrated.brier < raw.brier
    assert made.patients == 300 and 0 < made.malignant < 300
    assert made.abstention.n_malignant + made.abstention.n_other == 300
    missed = [made.abstention.possible(s)[0] for s in sample.score[sample.malignant].tolist()]
    # Of one set of patients, what ninety-five of a hundred keep below, and the noise of the new ones.
    assert 1 - np.mean(missed) <= made.abstention.worst[0] + 3 * np.sqrt(0.1 * 0.9 / len(missed))
