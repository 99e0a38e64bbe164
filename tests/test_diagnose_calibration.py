"""Probabilities: what scaling does to scores, which networks and phases it holds for, and the file beside a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livercascade.data.errors import ModelError
from livercascade.data.labels import LESION_TYPES, PHASES, LesionType, Phase
from livercascade.diagnose.calibration import (
    CALIBRATION,
    Calibration,
    Logistic,
    SettingCalibration,
    TypeScaling,
    logit,
    read_calibration,
)
from livercascade.diagnose.confidence import blend, lesion_confidence, malignancy_score, malignant_share
from livercascade.diagnose.conformal import Abstention

TYPES = st.sampled_from(LESION_TYPES)
MODELS = ("a" * 64, "b" * 64)


def made() -> Calibration:
    one = SettingCalibration(
        phases=PHASES,
        lesion=Logistic(slope=1.5, intercept=-0.3),
        types=TypeScaling(temperature=2.0, weight=0.4),
        malignancy=Logistic(slope=0.8, intercept=0.1),
        abstention=Abstention(alpha=0.05, malignant=0.9, other=None, n_malignant=40, n_other=6),
        patients=92,
        malignant=80,
        candidates=200,
        true_candidates=120,
    )
    return Calibration(
        models=MODELS,
        settings_sha256="c" * 64,
        fitted_on="made up",
        cases_sha256="d" * 64,
        software="0",
        settings=(one, one.model_copy(update={"phases": (Phase.NC,)})),
    )


@given(p=st.floats(0.001, 0.999))
def test_slope_one_leaves_a_score_as_it_is(p: float) -> None:
    assert Logistic(slope=1, intercept=0)(p) == pytest.approx(p)


@given(scores=st.lists(st.floats(0, 1), min_size=2, max_size=2), slope=st.floats(0, 5), intercept=st.floats(-3, 3))
def test_probabilities_rise_with_the_score(scores: list[float], slope: float, intercept: float) -> None:
    low, high = sorted(scores)
    scaling = Logistic(slope=slope, intercept=intercept)
    assert 0 < scaling(low) <= scaling(high) < 1


@given(
    label=TYPES,
    votes=st.lists(st.integers(0, 500).map(float), min_size=6, max_size=6) | st.just([]),
    temperature=st.floats(0.2, 10),
    weight=st.floats(0, 1),
)
def test_types_are_a_distribution(label: LesionType, votes: list[float], temperature: float, weight: float) -> None:
    by_type = dict(zip(LESION_TYPES, votes, strict=False))
    told = TypeScaling(temperature=temperature, weight=weight)(label, by_type)
    assert set(told) == set(LESION_TYPES)
    assert sum(told.values()) == pytest.approx(1)
    assert min(told.values()) >= 0


def test_without_votes_the_type_of_unet_whole_leads_and_heat_makes_types_alike() -> None:
    cool, hot = (TypeScaling(temperature=t, weight=0.0)(LesionType.META, {}) for t in (1.0, 8.0))
    assert max(cool, key=lambda t: cool[t]) is LesionType.META
    assert cool[LesionType.META] > hot[LesionType.META] > 1 / 6


def test_probabilities_are_for_these_networks_settings_and_phases_alone() -> None:
    calibration = made()
    assert calibration.for_phases((Phase.NC,), MODELS, "c" * 64) is not None
    assert calibration.for_phases(PHASES[::-1], MODELS, "c" * 64) is not None
    assert calibration.for_phases((Phase.VP,), MODELS, "c" * 64) is None
    assert calibration.for_phases(PHASES, MODELS[::-1], "c" * 64) is None
    assert calibration.for_phases(PHASES, MODELS, "e" * 64) is None


def test_file_beside_the_model(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) is None
    (tmp_path / CALIBRATION).write_text(made().to_json())
    assert read_calibration(tmp_path) == made()
    (tmp_path / CALIBRATION).write_text('{"models": []}')
    with pytest.raises(ModelError, match="BAD_CALIBRATION"):
        read_calibration(tmp_path)


@given(margin=st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_confidence_of_unet_whole_is_a_mean_of_odds(margin: list[float]) -> None:
    p = lesion_confidence(np.array(margin, dtype=np.float32))
    each = 1 / (1 + np.exp(np.clip(np.array(margin, dtype=np.float32).astype(np.float64), -50, 50)))
    assert p == pytest.approx(each.mean())
    assert blend(p, 1.0) == pytest.approx(np.sqrt(p))


def test_suspicion_is_that_of_the_most_suspect_candidate() -> None:
    cyst = (0.99, malignant_share(LesionType.CYST, {}))
    hcc = (0.6, malignant_share(LesionType.HCC, {LesionType.HCC: 3.0, LesionType.META: 1.0, LesionType.CYST: 4.0}))
    assert malignancy_score([cyst, hcc]) == pytest.approx(0.6 * 0.5)
    assert malignancy_score([cyst]) == 0
    assert float(logit(np.array([0.0]))[0]) == pytest.approx(-np.log(999))
