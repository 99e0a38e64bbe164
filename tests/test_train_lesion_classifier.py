"""Training of types: what can be learnt is learnt, patients stay in one fold, outlines stay plausible, runs go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from livercascade.classify.enhancement import FORM, LEVELS, Enhancement
from livercascade.classify.lesion_classifier import EnhancementClassifier
from livercascade.cli.main import app
from livercascade.data.errors import InputError
from livercascade.data.labels import PHASES, Organ
from livercascade.testing.nifti_cases import write_training_case
from livercascade.testing.phantoms import ENHANCING_GRID, enhancing_phantom
from livercascade.train.boundary_perturbation import perturb_boundary
from livercascade.train.lesion_classifier_training import (
    MeasuredLesions,
    measure_cases,
    read_measured,
    train_types,
    type_scores,
)
from livercascade.train.training_cases import find_cases
from livercascade.train.training_settings import LesionClassifierSettings

QUICK = LesionClassifierSettings(steps=600, folds=2, hidden=16, dropout=0.0, outlines=0, batch_size=64, views=3)


def made_up(count: int, seed: int = 0) -> MeasuredLesions:
    """Six types whose AP and DP levels tell them apart."""
    rng = np.random.default_rng(seed)
    types = np.arange(count) % 6
    levels = rng.normal(0, 5, (count, len(PHASES), len(LEVELS))).astype(np.float32)
    levels[:, 1, 0] += 40.0 * (types % 3)
    levels[:, 3, 0] += 40.0 * (types // 3)
    form = rng.normal(size=(count, len(FORM))).astype(np.float32)
    rows = tuple(Enhancement(a, b) for a, b in zip(levels, form, strict=True))
    return MeasuredLesions(rows, types, tuple(f"patient-{n // 3}" for n in range(count)))


def test_what_can_be_told_apart_is_told_apart_and_no_more_than_the_phases_show(tmp_path: Path) -> None:
    card = train_types(made_up(1200), tmp_path / "model", QUICK)
    assert card.scores["all"]["right"] > 0.93
    # AP tells three groups of two types; NC nothing.
    assert 0.35 < card.scores["AP"]["right"] < 0.65
    assert card.scores["NC"]["right"] < 0.35
    model = EnhancementClassifier.load(tmp_path / "model")
    fresh = made_up(120, seed=1)
    guess = model.probabilities(fresh.features([np.ones(4, dtype=bool)] * 120)).argmax(axis=1)
    assert (guess == fresh.types).mean() > 0.93


def test_scores_are_those_of_the_literal_definition() -> None:
    rng = np.random.default_rng(0)
    types, logits = rng.integers(0, 6, 200), rng.normal(size=(200, 6)).astype(np.float32)
    told = type_scores(logits, types)
    guess = logits.argmax(axis=1)
    by_type = [np.mean(guess[types == t] == t) for t in range(6)]
    malignant = [np.mean((guess[types == t] < 3) == (t < 3)) for t in range(6)]
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    entropy = [np.mean(-np.log(chance[types == t, t])) for t in range(6)]
    assert told["right"] == pytest.approx(np.mean(by_type))
    assert told["malignant or not"] == pytest.approx(np.mean(malignant))
    assert told["cross-entropy"] == pytest.approx(np.mean(entropy), rel=1e-5)


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_an_outline_stays_in_the_liver_and_what_it_leaves_out_becomes_liver(seed: int) -> None:
    _, labels, lesion = enhancing_phantom((0, 0, 0, 0), radius_mm=12.0)
    other, its_labels = perturb_boundary(lesion, labels, ENHANCING_GRID.spacing, np.random.default_rng(seed))
    made = np.zeros(ENHANCING_GRID.shape, dtype=bool)
    made[other.bbox] = other.mask
    assert made.any()
    assert np.isin(labels[made], (1, Organ.LIVER)).all()
    assert (its_labels[made] == 1).all() and not (its_labels[~made] == 1).any()
    changed = its_labels != labels
    assert np.isin(its_labels[changed], (1, Organ.LIVER)).all()
    assert other.volume_ml == pytest.approx(made.sum() * ENHANCING_GRID.voxel_ml)
    assert 0.1 < made.sum() / lesion.mask.sum() < 4


def test_a_type_that_is_absent_is_named(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "one.npz",
        levels=np.zeros((1, 4, len(LEVELS)), np.float32),
        form=np.zeros((1, len(FORM)), np.float32),
        types=np.array([0]),
        patient="a",
    )
    with pytest.raises(InputError, match="ICC, Meta, Hem, Other, Cyst") as caught:
        read_measured([tmp_path / "one.npz"])
    assert caught.value.code == "NO_LESIONS"


def test_the_command_goes_on_with_what_it_has_measured(tmp_path: Path) -> None:
    for number in range(8):
        write_training_case(tmp_path / "cases" / f"case-{number}", (20, 48, 48), number, lesions=6)
    settings_file = tmp_path / "types.toml"
    settings_file.write_text("steps = 5\nfolds = 2\nhidden = 4\noutlines = 1\nviews = 2\nmin_volume_ml = 0.01\n")
    words = ["train", "types", "--data", str(tmp_path / "cases"), "--out", str(tmp_path / "run"), "--quiet"]
    first = CliRunner().invoke(app, [*words, "--settings", str(settings_file)])
    assert first.exit_code == 0, first.output
    measured = sorted((tmp_path / "run" / "measured").glob("*.npz"))
    assert len(measured) == 8
    card, network = (
        EnhancementClassifier.load(tmp_path / "run" / "model").card,
        (tmp_path / "run" / "model" / "weights.safetensors").read_bytes(),
    )
    assert card.cases == 8 and card.members == 2 and card.lesions > 0
    # One file is lost: it alone is made again, and the same network comes out.
    times = {path: path.stat().st_mtime_ns for path in measured}
    measured[0].unlink()
    again = CliRunner().invoke(app, [*words, "--settings", str(settings_file)])
    assert again.exit_code == 0, again.output
    assert all(path.stat().st_mtime_ns == times[path] for path in measured[1:])
    assert (tmp_path / "run" / "model" / "weights.safetensors").read_bytes() == network


def test_cases_of_two_folders_may_have_the_same_name(tmp_path: Path) -> None:
    for seed, folder in enumerate(("one", "two")):
        write_training_case(tmp_path / folder / "case", (20, 48, 48), seed, lesions=6)
    cases = [case for folder in ("one", "two") for case in find_cases(tmp_path / folder)]
    wanted = LesionClassifierSettings(outlines=0, min_volume_ml=0.01)
    files = list(measure_cases(cases, tmp_path / "measured", wanted))
    assert len(set(files)) == 2 and all(path.is_file() for path in files)
    assert sorted(measure_cases(cases, tmp_path / "measured", wanted)) == sorted(files)
