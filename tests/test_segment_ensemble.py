"""Ensembles of folds: the mean of the logits, a hash that follows every member, and refusal of a mixture."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from livercascade.data.errors import InputError, ModelError
from livercascade.data.labels import PHASES, Phase
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelCard, ModelKind, TrainingProvenance
from livercascade.segment.network_folder import (
    build_network,
    load_card,
    load_model_card,
    load_model_networks,
    load_network,
    member_folders,
    save_model,
    write_ensemble_page,
)
from livercascade.segment.network_input import phase_input
from livercascade.testing.tiny_networks import tiny_card


def save_fold(folder: Path, fold: int, **changes: object) -> ModelCard:
    torch.manual_seed(fold)
    made = TrainingProvenance(
        fold=fold, steps=10 * fold, scores={"score": 0.1 * fold, f"only_{fold}": 1.0}, chosen="best"
    )
    card = tiny_card(training=made, **changes)
    return save_model(folder / f"fold_{fold}", card, build_network(card).state_dict())


@pytest.mark.parametrize("folds", [(0, 1, 2, 3, 4), (1, 3)])
def test_an_ensemble_gives_the_mean_of_its_members_logits(tmp_path: Path, folds: tuple[int, ...]) -> None:
    for fold in folds:
        save_fold(tmp_path, fold)
    x = torch.randn(2, 8, 4, 8, 8)
    with torch.no_grad():
        each = [load_network(tmp_path / f"fold_{fold}")(x) for fold in folds]
        model = Model.load(tmp_path, ModelKind.WHOLE, Engine("cpu", bf16=False))
        torch.testing.assert_close(model.run(x), torch.stack(each).mean(0))
        phases = (Phase.NC, Phase.VP)
        seen = phase_input(x[:, :4], [phase in phases for phase in PHASES])
        found = torch.from_numpy(model.on_phases(phases)(x[:, :4].numpy()))
        torch.testing.assert_close(
            found, torch.stack([load_network(p)(seen) for p in member_folders(tmp_path)]).mean(0)
        )
    assert [p.name for p in member_folders(tmp_path)] == [f"fold_{fold}" for fold in folds]


def test_members_run_one_after_the_other_and_only_one_output_is_kept() -> None:
    made: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    class Member(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            alive.append(sum(one() is not None for one in made))
            result = x.new_ones(1, 3, 1, 1, 1)
            made.append(weakref.ref(result))
            return result

    model = Model(tiny_card(), tuple(Member().eval() for _ in range(5)), Engine("cpu", bf16=False))
    with torch.no_grad():
        model.run(torch.zeros(1, 1, 1, 1, 1))
    assert len(alive) == 5 and max(alive) <= 2


def test_a_single_model_folder_is_itself(tmp_path: Path) -> None:
    card = save_model(tmp_path / "m", tiny_card(), build_network(tiny_card()).state_dict())
    assert load_model_card(tmp_path / "m") == card
    assert len(load_model_networks(tmp_path / "m")) == 1
    with pytest.raises(ModelError, match="MODEL_MISSING"):
        load_model_card(tmp_path)


def test_the_hash_changes_with_any_member_and_with_their_number(tmp_path: Path) -> None:
    for fold in range(3):
        save_fold(tmp_path, fold)
    seen = {load_model_card(tmp_path).sha256}
    card = tiny_card()
    torch.manual_seed(99)
    save_model(tmp_path / "fold_1", card, build_network(card).state_dict())
    seen.add(load_model_card(tmp_path).sha256)
    save_fold(tmp_path, 3)
    seen.add(load_model_card(tmp_path).sha256)
    assert len(seen) == 3 and all(len(digest) == 64 for digest in seen)


def test_the_page_lists_the_folds_and_the_mean_of_the_scores_they_share(tmp_path: Path) -> None:
    cards = [save_fold(tmp_path, fold) for fold in (0, 2)]
    write_ensemble_page(tmp_path)
    page = (tmp_path / "MODEL_CARD.md").read_text()
    assert all(card.sha256[:12] in page for card in cards) and "ensemble of 2" in page
    assert load_model_card(tmp_path).training.scores == {"score": pytest.approx(0.1)}
    assert load_model_card(tmp_path).training.steps == 20
    assert load_card(tmp_path / "fold_2").training.fold == 2


def test_networks_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    save_fold(tmp_path, 0)
    save_fold(tmp_path, 1, spacing_mm=(5.0, 1.0, 1.0))
    with pytest.raises(ModelError, match=r"ENSEMBLE_MIXED.*spacing_mm"):
        load_model_card(tmp_path)


def test_a_model_that_needs_a_phase_says_so(tmp_path: Path) -> None:
    save_fold(tmp_path, 0, needs=(Phase.NC,))
    model = Model.load(tmp_path / "fold_0", ModelKind.WHOLE, Engine("cpu", bf16=False))
    model.require((Phase.NC, Phase.VP))
    with pytest.raises(InputError, match=r"PHASE_NEEDED.*NC"):
        model.require((Phase.VP,))
    assert np.isfinite(model.fill(Phase.VP))
