"""The best weights are kept, scored by lesions, exported by default; patience ends a training that gains nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from livercascade.segment.model_card import ModelKind
from livercascade.segment.network_folder import load_card, load_network
from livercascade.testing.tiny_networks import tiny_card
from livercascade.train.model_export import export_folds, export_run
from livercascade.train.network_trainer import BestCheckpoint, CheckpointChoice, NetworkTrainer, read_checkpoint
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_log import read_lines
from livercascade.train.training_loop import SCORE, TrainingSession, ValidationResult, fit
from livercascade.train.training_request import TrainRequest, write_request
from livercascade.train.training_settings import WholeSettings
from livercascade.train.whole.whole_validation import LesionCounts, liver_metrics
from tiny_training import SilentReporter, tiny_batch, tiny_settings, tiny_trainer

SPACING = (5.0, 5.0, 5.0)


@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_without_smoothing_the_best_is_the_first_maximum(scores: list[float]) -> None:
    standing = BestCheckpoint()
    for step, score in enumerate(scores):
        standing = standing.after(step, score, smoothing=0.0)
    assert standing.best_step == int(np.argmax(scores)) and standing.best == max(scores)
    assert standing.stale == len(scores) - 1 - int(np.argmax(scores))


@given(scores=st.lists(st.floats(0, 1), min_size=2, max_size=12), smoothing=st.floats(0, 0.9))
def test_smoothing_is_a_running_mean(scores: list[float], smoothing: float) -> None:
    standing, mean = BestCheckpoint(), scores[0]
    for step, score in enumerate(scores):
        mean = smoothing * mean + (1 - smoothing) * score if step else score
        standing = standing.after(step, score, smoothing=smoothing)
    assert standing.smoothed == pytest.approx(mean)


def run(folder: Path, scores: list[float], steps: int, **changes: object) -> tuple[NetworkTrainer, WholeSettings, bool]:
    settings = tiny_settings(steps=steps, validate_every=2, checkpoint_minutes=1e6, score_smoothing=0.0, **changes)
    return (*go_on(RunFolder(folder), settings, scores, lambda: False),)


def go_on(
    folder: RunFolder, settings: WholeSettings, scores: list[float], stop: Callable[[], bool]
) -> tuple[NetworkTrainer, WholeSettings, bool]:
    trainer, rng = tiny_trainer(settings), np.random.default_rng(0)
    if folder.checkpoint.is_file():
        trainer.restore(folder.checkpoint)
    left = iter(scores)
    session = TrainingSession(
        settings, folder, rng, lambda _: ValidationResult({SCORE: next(left)}), SilentReporter(), stop
    )
    return trainer, settings, fit(trainer, iter(lambda: tiny_batch(rng), None), session)


def test_the_best_weights_stay_when_later_ones_are_worse(tmp_path: Path) -> None:
    _, _, complete = run(tmp_path, [0.2, 0.6, 0.4, 0.1], 8)
    best, newest = read_checkpoint(tmp_path / "best.pt"), read_checkpoint(tmp_path / "checkpoint.pt")
    assert complete and (best["step"], newest["step"]) == (4, 8)
    assert best["scores"] == {SCORE: 0.6}
    name = next(iter(best["average"]))
    assert not torch.equal(best["average"][name], newest["average"][name])
    assert [line["val_score"] for line in read_lines(RunFolder(tmp_path)) if "val_score" in line] == [
        0.2,
        0.6,
        0.4,
        0.1,
    ]


def test_patience_ends_the_training_and_it_stays_ended(tmp_path: Path) -> None:
    trainer, settings, complete = run(tmp_path, [0.5, 0.4, 0.3, 0.9], 100, patience=2)
    assert complete and trainer.step == 6
    again, _, complete = go_on(RunFolder(tmp_path), settings, [], lambda: False)
    assert complete and again.step == 6


def test_a_continued_run_remembers_its_best(tmp_path: Path) -> None:
    folder, settings = RunFolder(tmp_path), tiny_settings(steps=8, validate_every=2, score_smoothing=0.0)
    steps: list[int] = []
    trainer, _, complete = go_on(folder, settings, [0.7, 0.1], lambda: len(steps) > 4 or steps.append(0) is not None)
    assert not complete and trainer.step == 5
    go_on(folder, settings, [0.5, 0.6], lambda: False)
    assert read_checkpoint(folder.best)["step"] == 2
    assert read_checkpoint(folder.checkpoint)["standing"]["best_step"] == 2


def exported_run(folder: RunFolder, fold: int | str) -> None:
    request = TrainRequest(
        kind=ModelKind.WHOLE,
        data=folder.root,
        settings=tiny_settings(steps=8, validate_every=2, score_smoothing=0.0, fold=fold),
    )
    write_request(folder, request)
    folder.card.write_text(tiny_card(classes=tuple("abcdefgh")).model_dump_json())
    folder.split.write_text('{"train": ["a", "b"], "validation": ["c"]}')
    go_on(folder, request.settings, [0.2, 0.6, 0.4, 0.1], lambda: False)


def test_export_takes_the_best_and_the_card_says_so(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    exported_run(folder, 3)
    made = load_card(export_run(folder)).training
    assert (made.steps, made.scores, made.fold) == (4, {SCORE: 0.6}, 3)
    assert made.chosen.startswith("best of 4") and made.log_summary["val_score"] == 0.6
    weights, best = load_network(folder.model), read_checkpoint(folder.best)["average"]
    assert all(torch.equal(p, best[name].half().float()) for name, p in weights.named_parameters())
    newest = load_card(export_run(folder, CheckpointChoice.NEWEST)).training
    assert (newest.steps, newest.chosen, newest.scores) == (8, "newest", {})
    assert "score 0.6" in (export_run(folder) / "MODEL_CARD.md").read_text()


def test_a_training_on_all_cases_exports_the_newest(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    exported_run(folder, "all")
    assert load_card(export_run(folder)).training.steps == 8


def test_folds_are_exported_as_an_ensemble(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for fold in (0, 3):
        exported_run(folder.fold(fold), fold)
    place = export_folds(folder, range(5))
    assert sorted(p.name for p in place.iterdir()) == ["MODEL_CARD.md", "fold_0", "fold_3"]
    load_network(place / "fold_3")


def ball(shape: tuple[int, int, int], label: int, *boxes: tuple[slice, slice, slice]) -> np.ndarray:
    labels = np.full(shape, 7, dtype=np.uint8)
    for box in boxes:
        labels[box] = label
    return labels


A, B, C = (np.s_[2:5, 2:6, 2:6], np.s_[2:5, 10:14, 2:6], np.s_[2:5, 2:6, 10:14])


def test_the_metrics_count_lesions_types_and_false_findings() -> None:
    shape = (8, 16, 16)
    truth, low = ball(shape, 1, A, B), ball(shape, 1, A, C)
    low[A] = 3
    found = liver_metrics([(truth, low, ball(shape, 1, A, B, C))], SPACING)
    assert (found["recall"], found["recall_f4"]) == (0.5, 1.0)
    assert (found["false_per_patient"], found["false_per_patient_f4"]) == (1.0, 1.0)
    assert found["type_accuracy"] == 0.0 and found["dice_lesion"] == 0.5 and found["dice_liver"] == 1.0
    assert found[SCORE] == pytest.approx((2 / 4 + 0 + 0.5) / 3)


def test_a_perfect_network_scores_one_and_small_things_do_not_count() -> None:
    truth = ball((8, 16, 16), 4, A, B)
    truth[7, 15, 15] = 2
    assert liver_metrics([(truth, truth, truth)], SPACING)[SCORE] == 1.0
    counts = LesionCounts()
    counts.add(truth, truth, SPACING)
    assert (counts.detected, counts.false) == (2, 0)
    assert liver_metrics([(truth, ball((8, 16, 16), 4, A, B), truth)], SPACING)["recall"] == 1.0
