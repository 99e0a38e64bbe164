"""Validation: what a network is scored on, against networks whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.labels import PHASES
from livercascade.segment.model_card import PhaseNormalisation
from livercascade.testing.nifti_cases import random_labels, write_training_case
from livercascade.train.network_trainer import NetworkTrainer
from livercascade.train.patch.patch_cases import PatchCase, prepare_cases
from livercascade.train.patch.patch_validation import ValidationPatch, validate_patches, validation_patches
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import find_cases
from livercascade.train.training_log import append_log, latest_values, open_tensorboard
from livercascade.train.training_loop import SCORE
from livercascade.train.training_plots import SliceComparison, draw_curves, draw_slices
from livercascade.train.training_settings import PatchSettings
from livercascade.train.whole.whole_validation import ValidationLiver, validate_livers, windows
from tiny_training import SilentReporter, tiny_settings, tiny_trainer

SIZE = (4, 16, 16)
SCHEME = tuple(PhaseNormalisation(lower=-50.0, upper=250.0, mean=80.0, std=40.0) for _ in PHASES)


class Knowing(NetworkTrainer):
    """A trainer whose network reads its answer from the first channel of its input."""

    def __init__(self, offset: float = 0.0) -> None:
        made = tiny_trainer(tiny_settings())
        self.__dict__.update(made.__dict__)
        self._offset = offset

    def logits(self, data: torch.Tensor) -> torch.Tensor:
        labels = data[:, 0].round().long()
        logits = 3.0 * torch.nn.functional.one_hot(labels, 14).permute(0, 4, 1, 2, 3).float()
        logits[:, 1:7] -= self._offset
        return logits


def patient(seed: int, shape: tuple[int, int, int] = (10, 40, 40)) -> ValidationLiver:
    labels = random_labels(shape, 3, np.random.default_rng(seed))
    image = torch.zeros(8, *shape)
    image[0] = torch.from_numpy(labels.astype(np.float32))
    return ValidationLiver(f"p{seed}", image, labels, 0, np.zeros(labels.shape, dtype=bool), typed=True)


@settings(max_examples=50)
@given(shape=st.tuples(*[st.integers(4, 40)] * 3), size=st.tuples(*[st.integers(1, 4)] * 3))
def test_windows_cover_the_image_and_stay_inside(shape: tuple[int, int, int], size: tuple[int, int, int]) -> None:
    seen = np.zeros(shape, dtype=int)
    for box in windows(shape, size):
        assert seen[box].shape == size
        seen[box] += 1
    assert seen.min() >= 1


def test_a_network_that_knows_the_answer_scores_one() -> None:
    found = validate_livers([patient(0), patient(1)], SIZE, (5.0, 3.0, 3.0), Knowing())
    assert found.scores[SCORE] == 1.0 and found.scores["false_per_patient"] == 0.0
    assert len(found.slices) == 2


class Faint(Knowing):
    """Says liver where the truth is a lesion, by less than log 4."""

    def logits(self, data: torch.Tensor) -> torch.Tensor:
        logits = super().logits(data)
        lesion = (data[:, :1] >= 1) & (data[:, :1] <= 6)
        best = logits.amax(1, keepdim=True)
        logits[:, 7:8] = torch.where(lesion, best + math.log(4.0) * 0.9, logits[:, 7:8])
        return logits


def test_faint_lesions_are_found_at_f_4_only() -> None:
    scores = validate_livers([patient(0)], SIZE, (5.0, 3.0, 3.0), Faint()).scores
    assert (scores["recall"], scores["recall_f4"]) == (0.0, 1.0)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[PatchCase, ...]:
    home = tmp_path_factory.mktemp("data")
    for seed, lesions in enumerate((3, 3, 0)):
        write_training_case(home / "data" / f"c{seed}", (14, 96, 96), seed, lesions=lesions)
    return prepare_cases(RunFolder(home), find_cases(home / "data"), None, PatchSettings(), SilentReporter())


class Answering(Knowing):
    """Gives the true labels of the patches in turn, changed by a rule."""

    def __init__(self, patches: Sequence[ValidationPatch], rule: Any) -> None:
        super().__init__()
        self._answers = iter([rule(q) for q in patches])

    def predict(self, data: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.from_numpy(next(self._answers).astype(np.int64)) for _ in data])


def test_patches_are_scored_by_lesions_kept_typed_and_left_clean(cases: tuple[PatchCase, ...]) -> None:
    patches = validation_patches(cases, PatchSettings(validation_patches=8), SCHEME, np.random.default_rng(0))
    assert any(q.lesion is None for q in patches) and any(q.lesion for q in patches)
    truth = validate_patches(patches, 3, Answering(patches, lambda q: q.patch.labels))
    assert truth.scores[SCORE] == 1.0 and truth.scores["dice_lesion"] == 1.0 and len(truth.slices) == 3
    blind = validate_patches(patches, 3, Answering(patches, lambda q: np.full_like(q.patch.labels, 7))).scores
    assert (blind["recall"], blind["false_share"], blind[SCORE]) == (0.0, 0.0, pytest.approx(1 / 3))
    eager = validate_patches(patches, 3, Answering(patches, lambda q: np.full_like(q.patch.labels, 6))).scores
    assert (eager["recall"], eager["false_share"]) == (1.0, 1.0)


def test_the_same_seed_asks_the_same_questions(cases: tuple[PatchCase, ...]) -> None:
    settings = PatchSettings(validation_patches=6, phases=PHASES[:1])
    one, two = (validation_patches(cases, settings, SCHEME, np.random.default_rng(3)) for _ in range(2))
    assert all(torch.equal(a.data, b.data) for a, b in zip(one, two, strict=True))
    assert all((q.data[5:8] == 0).all() and (q.data[4] == 1).all() for q in one)


def test_pictures_are_drawn_from_views_and_log(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (5, 10, 5):
        append_log(
            folder, step, {"loss": 1.0 / step, "val_score": step / 20, "val_smoothed": step / 20, "val_recall": None}
        )
    assert latest_values(folder, 5) == {"step": 5.0, "loss": 0.2, "val_score": 0.25, "val_smoothed": 0.25}
    draw_curves(folder)
    rng = np.random.default_rng(0)
    labels = random_labels((10, 40, 40), 3, rng)[5]
    view = SliceComparison("p, slice 5", rng.normal(size=(40, 40)), labels, labels, labels)
    draw_slices(
        folder, 10, [view, SliceComparison("empty", np.zeros((9, 9)), np.zeros((9, 9), int), np.zeros((9, 9), int))]
    )
    draw_slices(folder, 20, [])
    assert sorted(p.name for p in folder.figures.iterdir()) == ["curves.png", "patients_000010.png"]


def test_curves_can_be_read_by_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = RunFolder(tmp_path)
    for start, values in ((0, {"loss": 0.5, "val_recall": 0.25, "val_smoothed": None}), (4, {"loss": 0.75})):
        board = open_tensorboard(folder, start)
        assert board is not None
        append_log(folder, 5, values, board)
        board.close()
    read = accumulator.EventAccumulator(str(folder.tensorboard)).Reload()
    assert sorted(read.Tags()["scalars"]) == ["training/loss", "validation/recall"]
    assert [(event.step, event.value) for event in read.Scalars("training/loss")] == [(5, 0.75)]
