"""UNet^whole over a scan: windows, resampling and slabs leave no trace of themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from livercascade.data.grid import Grid
from livercascade.data.labels import NUM_CLASSES, PHASES, Phase
from livercascade.data.scan import Scan
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.models.bundled import bundled
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.network import load_card
from livercascade.segment.whole import network_image, network_shape, segment, sliding_window


class Pointwise(nn.Module):
    """A network whose logits at a voxel depend on that voxel alone."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        weights = torch.sin(torch.arange(NUM_CLASSES * batch.shape[1], dtype=torch.float32)).reshape(NUM_CLASSES, -1)
        return torch.einsum("kc,nczyx->nkzyx", weights, batch)


def model_of(network: nn.Module) -> Model:
    return Model(load_card(bundled("whole")), network, Engine("cpu", bf16=False))


@settings(deadline=None, max_examples=8)
@given(st.tuples(st.integers(3, 40), st.integers(50, 130), st.integers(50, 130)), st.sampled_from([0.0, 0.25, 0.5]))
def test_windows_agree_with_one_look_for_a_pointwise_network(shape: tuple[int, int, int], overlap: float) -> None:
    image = torch.from_numpy(np.random.default_rng(sum(shape)).standard_normal((8, *shape), dtype=np.float32))
    network = Pointwise()
    found = sliding_window(image, model_of(network), overlap=overlap)
    torch.testing.assert_close(found, network(image[None])[0], rtol=1e-4, atol=1e-4)


def small_scan(shape: tuple[int, int, int], spacing: tuple[float, float, float], phases: tuple[Phase, ...]) -> Scan:
    rng = np.random.default_rng(3)
    hu = {p: rng.integers(-100, 200, shape).astype(np.int16) for p in phases}
    return Scan(Grid.axial(shape, spacing), hu, phases[0])


@pytest.mark.parametrize("pooled", [False, True])
def test_slabs_give_the_map_of_the_whole_interpolated_logits(pooled: bool) -> None:
    scan = small_scan((21, 70, 64), (2.5, 1.0, 1.1), (Phase.VP, Phase.AP))
    model = model_of(Pointwise())
    logits = sliding_window(network_image(scan, model), model)
    whole = functional.interpolate(logits[None], size=scan.grid.shape, mode="trilinear", align_corners=False)[0]
    expected = SensitivityMap.from_logits(whole.numpy(), pooled=pooled)
    found = segment(scan, model, pooled=pooled)
    np.testing.assert_allclose(found.margin, expected.margin, atol=1e-3)
    assert (found.best_lesion == expected.best_lesion).mean() > 0.999


def test_absent_phases_are_zero_and_flagged() -> None:
    scan = small_scan((10, 40, 40), (5.0, 2.0, 2.0), (Phase.NC, Phase.DP))
    image = network_image(scan, model_of(Pointwise()))
    assert network_shape(scan, model_of(Pointwise())) == scan.grid.shape
    for phase in PHASES:
        there = phase in scan.hu
        assert bool(image[phase.index].any()) is there
        assert float(image[4 + phase.index].mean()) == float(there)


def test_thin_slices_are_averaged() -> None:
    scan = small_scan((20, 8, 8), (2.5, 2.0, 2.0), (Phase.VP,))
    model = model_of(Pointwise())
    scheme = model.card.normalisation[Phase.VP.index]
    clipped = np.clip(scan.hu[Phase.VP].astype(np.float64), scheme.lower, scheme.upper)
    expected = (clipped.reshape(10, 2, 8, 8).mean(axis=1) - scheme.mean) / scheme.std
    np.testing.assert_allclose(network_image(scan, model)[Phase.VP.index].numpy(), expected, atol=1e-4)
