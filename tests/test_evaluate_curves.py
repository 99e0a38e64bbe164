"""All curves together: what they refuse, and that they are values of JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from curve_cases import COHORTS, case, cohort_of, draws, proposal, truth
from livercascade.evaluation.curves.all_curves import build_curves, curves_json
from livercascade.reclassification.reclassify import ReclassifySettings


@settings(max_examples=8)
@given(COHORTS)
def test_curves_of_any_cohort_are_values_of_json(numbers: list) -> None:
    cases = cohort_of(numbers)
    curves = build_curves(cases, draws(len(cases), 3))
    text = json.dumps(curves_json(curves), allow_nan=False)
    assert json.loads(text)["cases"] == len(cases)
    for arm in curves.sweep.arms.values():
        for point in arm:
            assert point.fn_estimate.value == point.fn
            assert point.tp + point.fl + point.fp >= 0


@settings(max_examples=4)
@given(COHORTS)
def test_intervals_hold_still_without_resamples_and_repeat_with_a_seed(numbers: list) -> None:
    cases = cohort_of(numbers)
    none = build_curves(cases, draws(len(cases), 0))
    assert all(e.interval is None for curve in none.frocs for e in curve.at)
    json.dumps(curves_json(none), allow_nan=False)
    one, two = (curves_json(build_curves(cases, draws(len(cases), 4))) for _ in range(2))
    assert one == two


def test_no_cases_and_mixed_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="0 cases"):
        build_curves([], draws(1))
    one = case([truth()], [proposal()], [(0, 0)])
    other = case([truth()], [proposal()], [(0, 0)], rules=ReclassifySettings(threshold_ml=1.0))
    with pytest.raises(ValueError, match="different settings"):
        build_curves([one, other], draws(2))
