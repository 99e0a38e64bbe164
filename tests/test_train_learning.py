"""Loss, normalisation, schedule and phase dropout against independent definitions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from livercascade.data.errors import ModelError, UsageError
from livercascade.segment.model_card import ModelKind
from livercascade.segment.network_folder import build_network
from livercascade.testing.tiny_networks import tiny_card
from livercascade.train.channels_last_norm import ChannelsLastInstanceNorm, use_fast_norm
from livercascade.train.network_trainer import (
    TrainingBatch,
    choose_device,
    learning_rate,
    random_state,
    seed_everything,
    set_random_state,
)
from livercascade.train.phase_dropout import drop_phases
from livercascade.train.run_folder import RunFolder
from livercascade.train.segmentation_loss import (
    ANY_LESION,
    LIVER_WITH_CONTENT,
    GroupedLoss,
    deeply_supervised,
    downsampled,
    type_entropy,
)
from livercascade.train.training_loop import TrainingSession, ValidationResult, fit
from livercascade.train.training_presets import PhasePurpose, TrainingPreset, read_settings
from livercascade.train.training_request import TrainRequest, is_finished, note_finished, read_request, write_request
from livercascade.train.training_settings import PatchSettings, PhaseDropout, WholeSettings
from tiny_training import SilentReporter, tiny_batch, tiny_settings, tiny_trainer


def literal_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    probability, labels = logits.softmax(1), target[:, 0]
    loss = functional.cross_entropy(logits, labels)
    for groups in ([(c,) for c in range(1, logits.shape[1])], [ANY_LESION, LIVER_WITH_CONTENT]):
        dice = []
        for group in groups:
            inside = torch.tensor([c for c in group if c < logits.shape[1]])
            truth = torch.isin(labels, inside)
            if truth.any():
                found = probability[:, inside].sum(1)
                dice.append((2 * (found * truth).sum() + 1) / (found.sum() + truth.sum() + 1))
        if dice:
            loss = loss - torch.stack(dice).mean()
    return loss


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), classes=st.sampled_from([8, 14]), highest=st.integers(0, 13))
def test_grouped_loss_and_its_gradient_equal_the_literal_definition(seed: int, classes: int, highest: int) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(2, classes, 3, 4, 5, dtype=torch.float32).requires_grad_()
    target = torch.randint(0, min(highest, classes - 1) + 1, (2, 1, 3, 4, 5))
    expected = literal_loss(logits, target)
    (slope,) = torch.autograd.grad(expected, logits)
    found = GroupedLoss()(logits, target)
    (gradient,) = torch.autograd.grad(3 * found, logits)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, 3 * slope, atol=1e-6, rtol=1e-4)


def test_a_batch_of_several_pieces_gives_the_same_loss() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 14, 6, 60, 60), torch.randint(0, 14, (2, 1, 6, 60, 60))
    torch.testing.assert_close(GroupedLoss()(logits, target), literal_loss(logits, target))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), highest=st.integers(0, 13))
def test_type_entropy_is_the_mean_over_types_of_their_mean_surprise(seed: int, highest: int) -> None:
    torch.manual_seed(seed)
    rows, labels = torch.randn(60, 14, requires_grad=True), torch.randint(0, highest + 1, (60,))
    means = []
    for kind in range(1, 7):
        mine = rows[labels == kind]
        if len(mine):
            among = mine[:, 1:7].softmax(1)[:, kind - 1]
            means.append(-among.log().mean())
    found = type_entropy(rows, labels)
    torch.testing.assert_close(found, torch.stack(means).mean() if means else torch.zeros(()))
    if means:
        (slope,) = torch.autograd.grad(found, rows)
        assert float(slope[:, [0, *range(7, 14)]].abs().sum()) == 0


def test_type_weight_adds_the_type_entropy() -> None:
    torch.manual_seed(1)
    logits, target = torch.randn(2, 14, 4, 8, 8), torch.randint(0, 14, (2, 1, 4, 8, 8))
    rows, labels = logits.permute(0, 2, 3, 4, 1).reshape(-1, 14), target.flatten()
    expected = GroupedLoss()(logits, target) + 0.3 * type_entropy(rows, labels)
    torch.testing.assert_close(GroupedLoss(type_weight=0.3)(logits, target), expected)


def test_a_perfect_prediction_has_the_least_loss() -> None:
    target = torch.randint(0, 14, (1, 1, 4, 8, 8))
    perfect = 50 * functional.one_hot(target[:, 0], 14).permute(0, 4, 1, 2, 3).float()
    assert float(GroupedLoss()(perfect, target)) == pytest.approx(-2, abs=1e-4)


def test_deep_supervision_halves_the_weight_and_skips_the_coarsest() -> None:
    target = torch.randint(0, 8, (1, 1, 4, 8, 8))
    targets = downsampled(target, ((1, 1, 1), (1, 2, 2), (2, 2, 2)), 3)
    outputs = [torch.randn(1, 8, *t.shape[2:]) for t in targets]
    loss = GroupedLoss()
    expected = (loss(outputs[0], targets[0]) + loss(outputs[1], targets[1]) / 2) / 1.5
    torch.testing.assert_close(deeply_supervised(loss)(outputs, targets), expected)


def test_downsampled_truth_keeps_blocks_and_labels() -> None:
    small = torch.randint(0, 14, (1, 1, 2, 3, 3))
    target = small.repeat_interleave(2, 2).repeat_interleave(4, 3).repeat_interleave(4, 4)
    levels = downsampled(target, ((1, 1, 1), (1, 2, 2), (2, 2, 2)), 3)
    assert torch.equal(levels[2], small)
    assert [t.shape[2:] for t in levels] == [(4, 12, 12), (4, 6, 6), (2, 3, 3)]


@settings(max_examples=20)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 4), st.integers(2, 8), st.integers(2, 8)),
    seed=st.integers(0, 10**6),
)
def test_fast_norm_equals_torchs_instance_norm(shape: tuple[int, ...], seed: int) -> None:
    torch.manual_seed(seed)
    norm = nn.InstanceNorm3d(shape[1], affine=True, eps=1e-3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x, above = torch.randn(shape).requires_grad_(), torch.randn(shape)
    expected, found = norm(x), ChannelsLastInstanceNorm(norm)(x)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    wanted = torch.autograd.grad(expected, (x, norm.weight, norm.bias), above)
    got = torch.autograd.grad(found, (x, norm.weight, norm.bias), above)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_fast_norm_changes_neither_names_nor_outputs_of_a_network() -> None:
    network = build_network(tiny_card()).eval()
    names, x = [n for n, _ in network.named_parameters()], torch.randn(1, 8, 4, 8, 8)
    with torch.no_grad():
        before = network(x)
        use_fast_norm(network)
        torch.testing.assert_close(network(x), before, atol=1e-4, rtol=1e-4)
    assert [n for n, _ in network.named_parameters()] == names
    assert not any(isinstance(m, nn.InstanceNorm3d) for m in network.modules())


def test_a_restored_learner_goes_on_exactly(tmp_path: Path) -> None:
    run = tiny_settings()
    rng, trainer = seed_everything(0), tiny_trainer(run)
    for _ in range(4):
        trainer.take_step(tiny_batch(rng))
    trainer.save(tmp_path / "c.pt", random_state(rng))
    straight = [trainer.take_step(tiny_batch(rng)) for _ in range(4)]
    again, other = tiny_trainer(run), np.random.default_rng(99)
    set_random_state(again.restore(tmp_path / "c.pt"), other)
    assert [again.take_step(tiny_batch(other)) for _ in range(4)] == straight
    assert again.step == 8
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


def test_learning_lowers_the_loss_and_the_mean_follows() -> None:
    trainer, rng = tiny_trainer(tiny_settings(learning_rate=0.02, steps=60)), np.random.default_rng(0)
    losses = [trainer.take_step(tiny_batch(rng)) for _ in range(60)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5
    batch = tiny_batch(rng)
    assert float((trainer.predict(batch.data) == batch.target[:, 0]).float().mean()) > 0.7


def test_a_loss_that_is_no_number_ends_the_training_and_spares_the_checkpoint(tmp_path: Path) -> None:
    run, rng = tiny_settings(), np.random.default_rng(0)
    bad = TrainingBatch(torch.full((1, 8, 4, 8, 8), torch.nan), torch.zeros(1, 1, 4, 8, 8, dtype=torch.int16))
    session = TrainingSession(
        run, RunFolder(tmp_path), rng, lambda _: ValidationResult({"score": 0.0}), SilentReporter(), lambda: False
    )
    with pytest.raises(ModelError, match="DIVERGED"):
        fit(tiny_trainer(run), iter([bad]), session)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_the_learning_rate_rises_then_falls_to_zero(schedule: str) -> None:
    run = tiny_settings(steps=100, warmup_steps=10, schedule=schedule, learning_rate=1.0)
    rates = [learning_rate(run, step) for step in range(101)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) <= 1 and rates[-1] == pytest.approx(0)


@settings(max_examples=60)
@given(present=st.lists(st.booleans(), min_size=4, max_size=4).filter(any), seed=st.integers(0, 10**6))
def test_phase_dropout_leaves_a_non_empty_subset(present: list[bool], seed: int) -> None:
    there = np.array(present)
    kept = drop_phases(there, PhaseDropout(), np.random.default_rng(seed))
    assert kept.any() and not (kept & ~there).any()


def test_phase_dropout_keeps_its_shares_and_reaches_every_subset() -> None:
    rng, everything = np.random.default_rng(0), np.ones(4, dtype=bool)
    seen = [tuple(drop_phases(everything, PhaseDropout(), rng).tolist()) for _ in range(4000)]
    assert len(set(seen)) == 15
    assert seen.count((True,) * 4) / 4000 == pytest.approx(0.4 + 0.3 / 15, abs=0.03)
    assert seen.count((True, False, False, False)) / 4000 == pytest.approx(0.2 + 0.3 / 15, abs=0.03)


@pytest.mark.parametrize(
    "text",
    ["steps = 0", "unknown = 1", "steps = ", "fold = 7", "lesion_share = 0.9\norgan_share = 0.9"],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(UsageError, match="BAD_SETTINGS"):
        read_settings(WholeSettings, tmp_path / "s.toml", {})


@pytest.mark.parametrize("values", [{"patch_size": (16, 64, 64)}, {"schemes": {}, "shuffling": 3}])
def test_wrong_patch_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="BAD_SETTINGS"):
        read_settings(PatchSettings, None, values)


def test_the_command_line_outweighs_the_file(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("steps = 7\nseed = 3\n[phase_dropout]\nnc_only = 0.5\n")
    found = read_settings(WholeSettings, tmp_path / "s.toml", {"steps": 9, "threads": None})
    assert (found.steps, found.seed, found.phase_dropout.nc_only, found.threads) == (9, 3, 0.5, 1)


def test_a_file_outweighs_the_preset_and_tables_are_merged(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("steps = 7\n[phase_dropout]\nnc_only = 0.3\n")
    preset = read_settings(WholeSettings, None, {}, preset=TrainingPreset.DESK)
    found = read_settings(WholeSettings, tmp_path / "s.toml", {"seed": 4}, preset=TrainingPreset.DESK)
    dropout = preset.phase_dropout.model_copy(update={"nc_only": 0.3})
    assert found == preset.model_copy(update={"steps": 7, "seed": 4, "phase_dropout": dropout})


@pytest.mark.parametrize("preset", list(TrainingPreset))
@pytest.mark.parametrize("kind", [WholeSettings, PatchSettings])
def test_every_preset_is_valid_for_every_setting(
    preset: TrainingPreset, kind: type[WholeSettings | PatchSettings]
) -> None:
    for purpose in PhasePurpose:
        found = read_settings(kind, None, {}, preset=preset, purpose=purpose)
        assert len(found.phases) == (1 if purpose is PhasePurpose.SCREENING else 4)
        assert (found.phase_dropout.all_phases == 1.0) == (purpose is not PhasePurpose.ANY)
    assert found.patience is None or preset is TrainingPreset.DESK


def test_the_full_preset_is_nnunets_training() -> None:
    full = read_settings(WholeSettings, None, {}, preset=TrainingPreset.FULL)
    assert (full.steps, full.batch_size, full.learning_rate, full.weight_decay) == (1000 * 250, 2, 1e-2, 3e-5)
    assert (full.optimiser, full.loss, full.planner, full.augmentation.recipe) == (
        "sgd",
        "nnunet",
        "nnunet",
        "nnunet",
    )


def test_only_a_device_that_is_there_is_taken() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="NO_DEVICE"):
        choose_device("cuda:63")


def test_a_run_folder_takes_the_same_network_only(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    first = TrainRequest(kind=ModelKind.WHOLE, data=tmp_path, settings=tiny_settings())
    write_request(folder, first)
    assert read_request(folder) == first
    write_request(folder, first.model_copy(update={"settings": tiny_settings(steps=50)}))
    assert read_request(folder).settings.steps == 50
    with pytest.raises(UsageError, match="RUN_TAKEN"):
        write_request(folder, first.model_copy(update={"settings": tiny_settings(base_features=5)}))
    with pytest.raises(UsageError, match="RUN_TAKEN"):
        write_request(folder, TrainRequest(kind=ModelKind.PATCH, data=tmp_path, settings=PatchSettings()))


def test_requests_of_earlier_versions_are_still_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    request = TrainRequest(kind=ModelKind.WHOLE, data=tmp_path, settings=tiny_settings())
    write_request(folder, request)
    folder.request.write_text(
        folder.request.read_text().replace('"settings": {', '"settings": {"validation_batches": 8,')
    )
    assert read_request(folder) == request


def test_requests_of_both_kinds_survive_the_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    request = TrainRequest(kind=ModelKind.PATCH, data=tmp_path, settings=PatchSettings(steps=3), hard=tmp_path)
    write_request(folder, request)
    assert read_request(folder) == request


def test_a_run_that_an_earlier_version_finished_stays_finished(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    request = TrainRequest(kind=ModelKind.WHOLE, data=tmp_path, settings=tiny_settings(), command="train whole")
    note_finished(folder, request)
    assert is_finished(folder, request.model_copy(update={"command": "another line"}))
    assert not is_finished(folder, request.model_copy(update={"settings": tiny_settings(steps=21)}))
    noted = json.loads(folder.finished.read_text())
    del noted["settings"]["score_smoothing"]
    folder.finished.write_text(json.dumps(noted))
    assert is_finished(folder, request)
    noted["settings"]["long_gone"] = 1
    folder.finished.write_text(json.dumps(noted))
    assert not is_finished(folder, request)
