"""Model folders give back the network that was saved, or refuse with a code; network inputs flag absent phases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from livercascade.data.errors import ModelError
from livercascade.segment.model_card import ModelCard, NetworkClass
from livercascade.segment.network_folder import build_network, load_card, load_network, save_model
from livercascade.segment.network_input import normalise, phase_input
from livercascade.testing.tiny_networks import TINY_NORMALISATION, tiny_card


def saved(folder: Path, network: NetworkClass = NetworkClass.PLAIN) -> tuple[ModelCard, torch.nn.Module]:
    torch.manual_seed(0)
    card = tiny_card(network)
    made = build_network(card).eval()
    for parameter in made.parameters():
        parameter.data.copy_(parameter.data.half())
    return save_model(folder, card, made.state_dict()), made


@pytest.mark.parametrize("network", list(NetworkClass))
def test_a_loaded_network_gives_the_same_logits(tmp_path: Path, network: NetworkClass) -> None:
    card, made = saved(tmp_path / "m", network)
    again = load_network(tmp_path / "m")
    x = torch.randn(1, 8, 4, 8, 8)
    with torch.no_grad():
        assert torch.equal(again(x), made(x))
    assert not again.training
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    assert load_card(tmp_path / "m") == card
    assert card.sha256 in (tmp_path / "m" / "MODEL_CARD.md").read_text()


def test_saving_again_replaces_the_folder_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    saved(tmp_path / "m")
    card = tiny_card(version="2")
    save_model(tmp_path / "m", card, build_network(card).state_dict())
    assert load_card(tmp_path / "m").version == "2"
    load_network(tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_deep_supervision_shares_the_weights(tmp_path: Path) -> None:
    card, made = saved(tmp_path / "m")
    deep = build_network(card, deep_supervision=True)
    assert [n for n, _ in deep.named_parameters()] == [n for n, _ in made.named_parameters()]


def _rewrite(folder: Path, change: object) -> None:
    content = json.loads((folder / "model.json").read_text())
    assert callable(change)
    change(content)
    (folder / "model.json").write_text(json.dumps(content))


def _flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(data))


def _drop_a_tensor(folder: Path) -> None:
    import hashlib

    weights = load_file(folder / "weights.safetensors")
    weights.pop(next(iter(weights)))
    save_file(weights, folder / "weights.safetensors")
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    _rewrite(folder, lambda card: card.update(sha256=digest))


DAMAGE = {
    "no card": ("MODEL_MISSING", lambda f: (f / "model.json").unlink()),
    "no weights": ("MODEL_MISSING", lambda f: (f / "weights.safetensors").unlink()),
    "one bit": ("MODEL_HASH", _flip_a_byte),
    "a tensor short": ("MODEL_MISMATCH", _drop_a_tensor),
    "unknown field": ("MODEL_MISMATCH", lambda f: _rewrite(f, lambda c: c.update(surprise=1))),
    "code to import": (
        "MODEL_MISMATCH",
        lambda f: _rewrite(f, lambda c: c["architecture"].update(nonlin="subprocess.Popen")),
    ),
    "other width": (
        "MODEL_MISMATCH",
        lambda f: _rewrite(f, lambda c: c["architecture"].update(features_per_stage=[4, 9])),
    ),
    "bad window": ("MODEL_MISMATCH", lambda f: _rewrite(f, lambda c: c.update(patch_size=[4, 7, 8]))),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_model_is_refused_with_its_code(tmp_path: Path, kind: str) -> None:
    saved(tmp_path / "m")
    code, damage = DAMAGE[kind]
    damage(tmp_path / "m")
    with pytest.raises(ModelError) as caught:
        load_network(tmp_path / "m")
    assert caught.value.code == code


def test_weights_of_another_network_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        save_model(tmp_path / "m", tiny_card(), build_network(tiny_card(classes=("a", "b"))).state_dict())
    assert caught.value.code == "MODEL_MISMATCH"
    assert not list(tmp_path.iterdir())


@settings(max_examples=30)
@given(present=st.lists(st.booleans(), min_size=4, max_size=4), batch=st.integers(0, 2))
def test_absent_phases_are_zero_and_flagged(present: list[bool], batch: int) -> None:
    lead = (2,) * batch
    values = torch.randn(*lead, 4, 2, 3, 3)
    for channel, there in enumerate(present):
        if not there:
            values[..., channel, :, :, :] = torch.nan
    out = phase_input(values, present)
    assert out.shape == (*lead, 8, 2, 3, 3)
    for channel, there in enumerate(present):
        expected = values[..., channel, :, :, :] if there else torch.zeros(*lead, 2, 3, 3)
        assert torch.equal(out[..., channel, :, :, :], expected)
        assert (out[..., 4 + channel, :, :, :] == float(there)).all()


def test_flags_per_sample_equal_flags_one_by_one() -> None:
    values, flags = torch.randn(3, 4, 2, 2, 2), torch.tensor([[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0]]).bool()
    together = phase_input(values, flags)
    for i in range(3):
        assert torch.equal(together[i], phase_input(values[i], flags[i].tolist()))


def test_normalisation_is_clip_then_z_score_per_phase() -> None:
    hu = torch.from_numpy(np.random.default_rng(0).uniform(-2000, 2000, (4, 3, 5, 5)))
    found = normalise(hu, TINY_NORMALISATION)
    for channel, entry in enumerate(TINY_NORMALISATION):
        expected = (np.clip(hu[channel].numpy(), entry.lower, entry.upper) - entry.mean) / entry.std
        np.testing.assert_allclose(found[channel].numpy(), expected)


def test_wrong_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="normalisations"):
        normalise(torch.zeros(3, 2, 2, 2), TINY_NORMALISATION)
    with pytest.raises(ValueError, match="presence flags"):
        phase_input(torch.zeros(3, 2, 2, 2), [True, False])
