"""The wide window: each phase a second time, from air to bone, for networks that have it, and not for others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.errors import ModelError
from livercascade.data.grid import Grid
from livercascade.data.labels import Phase
from livercascade.data.scan import Scan
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelCard, card_markdown
from livercascade.segment.network_folder import build_network, save_model, start_weights
from livercascade.segment.network_input import phase_input
from livercascade.segment.unet_whole import network_image, sliding_window
from livercascade.testing.tiny_networks import TINY_NORMALISATION, tiny_card
from livercascade.train.training_settings import WIDE_WINDOW

WIDE = {"wide_window": WIDE_WINDOW}


@settings(max_examples=30)
@given(present=st.lists(st.booleans(), min_size=4, max_size=4), batch=st.integers(0, 2))
def test_both_windows_of_an_absent_phase_are_zero(present: list[bool], batch: int) -> None:
    values = torch.randn(*(2,) * batch, 8, 2, 3, 3)
    out = phase_input(values, present)
    assert out.shape[-4] == 12
    for channel in range(8):
        expected = values[..., channel, :, :, :] * float(present[channel % 4])
        assert torch.equal(out[..., channel, :, :, :], expected)
    for phase, there in enumerate(present):
        assert (out[..., 8 + phase, :, :, :] == float(there)).all()


def test_flags_per_sample_equal_flags_one_by_one() -> None:
    values, flags = torch.randn(3, 8, 2, 2, 2), torch.tensor([[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0]]).bool()
    together = phase_input(values, flags)
    for i in range(3):
        assert torch.equal(together[i], phase_input(values[i], flags[i].tolist()))


def test_the_network_sees_air_lung_fat_water_and_bone_apart() -> None:
    grid = Grid.axial((4, 8, 8), (5.0, 2.0, 2.0))
    hu = np.zeros(grid.shape, dtype=np.int16)
    hu[0], hu[1], hu[2], hu[3] = -1024, -800, -100, 700
    card = tiny_card(**WIDE)
    image = network_image(Scan(grid, {Phase.VP: hu}, Phase.VP), Model(card, (), Engine.choose("cpu")))
    assert image.shape == (12, 4, 8, 8)
    narrow, wide = image[2, :, 4, 4].tolist(), image[6, :, 4, 4].tolist()
    low = (TINY_NORMALISATION[2].lower - 50.0) / 30.0
    assert narrow[:2] == pytest.approx([low] * 2, abs=1e-4)
    assert wide == pytest.approx([-3, -2.2, 0.6, 3], abs=1e-4)
    assert not image[[0, 1, 3, 4, 5, 7]].any()
    assert image[8:, 0, 0, 0].tolist() == [0, 0, 1, 0]


def test_an_older_card_has_one_window(tmp_path: Path) -> None:
    text = tiny_card().model_dump(mode="json", exclude={"wide_window"})
    card = ModelCard.model_validate(text)
    assert card.input_channels == 8 and card.windows == TINY_NORMALISATION
    assert tiny_card(**WIDE).input_channels == 12
    assert "-1000 to 500 HU" in card_markdown(tiny_card(**WIDE)) and "HU" not in card_markdown(card)


@settings(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_what_a_wide_window_adds_counts_nothing_at_first(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    torch.manual_seed(seed)
    folder, narrow, wide = tmp_path_factory.mktemp("m") / "m", tiny_card(), tiny_card(**WIDE)
    before = build_network(narrow).eval()
    save_model(folder, narrow, before.state_dict(), dtype=torch.float32)
    after = build_network(wide).eval()
    start_weights(after, wide, folder)
    values = torch.randn(1, 8, 4, 8, 8)
    present = [True, False, True, True]
    with torch.no_grad():
        torch.testing.assert_close(
            after(phase_input(values, present)), before(phase_input(values[:, :4], present)), atol=1e-5, rtol=1e-4
        )


def test_a_network_without_a_wide_window_does_not_start_from_one_with(tmp_path: Path) -> None:
    save_model(tmp_path / "m", tiny_card(**WIDE), build_network(tiny_card(**WIDE)).state_dict())
    with pytest.raises(ModelError, match="MODEL_MISMATCH"):
        start_weights(build_network(tiny_card()), tiny_card(), tmp_path / "m")


def test_a_small_image_is_padded_with_its_flags() -> None:
    card = tiny_card(classes=tuple("abcdefghijklmn"), **WIDE)
    seen: list[torch.Tensor] = []

    class Recorder(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.clone())
            return torch.zeros(len(x), 14, *x.shape[2:])

    model = replace(Model(card, (), Engine.choose("cpu")), networks=(Recorder(),))
    grid = Grid.axial((2, 6, 6), (5.0, 2.0, 2.0))
    scan = Scan(grid, {Phase.AP: np.full(grid.shape, 60, dtype=np.int16)}, Phase.AP)
    sliding_window(network_image(scan, model), model)
    assert seen[0].shape[1:] == (12, 4, 8, 8)
    assert (seen[0][:, 9] == 1).all() and not seen[0][:, [8, 10, 11]].any()
