"""UNet^whole over a scan: windows, resampling and slabs leave no trace of themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from livercascade.data.grid import Grid, Shape
from livercascade.data.labels import NUM_CLASSES, PHASES, Phase
from livercascade.data.scan import Scan
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.models.bundled import bundled
from livercascade.segment.engine import Engine
from livercascade.segment.model import Model
from livercascade.segment.model_card import ResamplingScheme
from livercascade.segment.network_folder import load_card
from livercascade.segment.network_input import resample_phase
from livercascade.segment.segmenter import WindowSearch
from livercascade.segment.sliding_windows import gaussian, overlapping_windows, sparse_windows
from livercascade.segment.unet_whole import network_image, network_shape, segment, sliding_window


class Pointwise(nn.Module):
    """A network whose logits at a voxel depend on that voxel alone."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        weights = torch.sin(torch.arange(NUM_CLASSES * batch.shape[1], dtype=torch.float32)).reshape(NUM_CLASSES, -1)
        return torch.einsum("kc,nczyx->nkzyx", weights, batch)


def model_of(network: nn.Module) -> Model:
    return Model(load_card(bundled("whole")), (network,), Engine("cpu", bf16=False))


@settings(max_examples=8)
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


@pytest.mark.parametrize("how", ResamplingScheme)
def test_phases_are_resampled_as_the_card_says(how: ResamplingScheme) -> None:
    scan = small_scan((10, 40, 40), (5.0, 0.8, 0.8), (Phase.VP,))
    model = model_of(Pointwise())
    card = model.card.model_copy(update={"resampling": how})
    scheme = card.normalisation[Phase.VP.index]
    image = network_image(scan, replace(model, card=card))
    hu = image[Phase.VP.index] * scheme.std + scheme.mean
    expected = resample_phase(
        scan.hu[Phase.VP],
        network_shape(scan, model),
        how,
        bounds=(scheme.lower, scheme.upper),
        spacing=scan.grid.spacing,
        target=card.spacing_mm,
    )
    torch.testing.assert_close(hu, expected, atol=1e-2, rtol=1e-5)


def test_thin_slices_are_averaged() -> None:
    scan = small_scan((20, 8, 8), (2.5, 2.0, 2.0), (Phase.VP,))
    model = model_of(Pointwise())
    scheme = model.card.normalisation[Phase.VP.index]
    clipped = np.clip(scan.hu[Phase.VP].astype(np.float64), scheme.lower, scheme.upper)
    expected = (clipped.reshape(10, 2, 8, 8).mean(axis=1) - scheme.mean) / scheme.std
    np.testing.assert_allclose(network_image(scan, model)[Phase.VP.index].numpy(), expected, atol=1e-4)


@given(st.integers(1, 300), st.integers(4, 100), st.floats(0.0, 0.9))
def test_windows_cover_all_and_those_apart_are_some_of_them_and_cover_all(n: int, size: int, overlap: float) -> None:
    window, shape = (size, 1, 1), (max(n, size), 1, 1)
    every, few = overlapping_windows(shape, window, overlap), sparse_windows(shape, window, overlap)
    for places in (every, few):
        seen = np.zeros(shape, dtype=int)
        for box in places:
            assert seen[box].shape == window
            seen[box] += 1
        assert seen.min() >= 1
    assert all(box in every for box in few)
    assert len(few) <= 2 * np.ceil(shape[0] / size)


class Striped(nn.Module):
    """Liver where VP is bright, a lesion where it is brightest; windows differ a little, and are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = 0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.windows += len(batch)
        out = torch.full((len(batch), NUM_CLASSES, *batch.shape[2:]), -20.0)
        bright = batch[:, 2]
        out[:, 0], out[:, 7], out[:, 3] = 0.0, bright.clamp(-1, 1) * 10 - 5, bright.clamp(-1, 2) * 20 - 25
        return out + 0.01 * torch.sin(10 * bright.mean(dim=(1, 2, 3)))[:, None, None, None, None]


def with_liver(*, air: bool = False) -> torch.Tensor:
    """A long trunk with a liver of 500 ml and a lesion in it near one end."""
    image = torch.zeros((8, 120, 100, 100))
    image[4:] = 1.0
    image[:4, :, :, :] = -10.0 if air else 0.0
    image[2, 5:25, 20:60, 20:60] = 1.0
    image[2, 10:14, 30:40, 30:40] = 2.0
    return image


def test_a_search_of_the_liver_looks_at_fewer_windows_and_finds_the_same_liver() -> None:
    found = {}
    for search in WindowSearch:
        network = Striped()
        told: list[tuple[str, int, int]] = []
        logits = sliding_window(
            with_liver(), model_of(network), search=search, progress=lambda *at, told=told: told.append(at)
        )
        found[search] = (network.windows, logits)
        assert told[-1][1] == told[-1][2] == len(overlapping_windows((120, 100, 100), (20, 96, 96), 0.5))
    few, every = found[WindowSearch.LIVER], found[WindowSearch.WHOLE]
    assert few[0] < 0.75 * every[0]
    near = (slice(None), slice(4, 26), slice(18, 62), slice(18, 62))
    torch.testing.assert_close(few[1][near], every[1][near], atol=0.01, rtol=0)
    for f in (1.0, 4.0):
        masks = [SensitivityMap.from_logits(logits.numpy()).mask(f) for _, logits in (few, every)]
        assert (masks[0] == masks[1]).all()


def test_air_is_background_at_every_sensitivity_without_a_look() -> None:
    network = Striped()
    logits = sliding_window(with_liver(air=True), model_of(network), search=WindowSearch.LIVER)
    assert network.windows < 20
    assert not SensitivityMap.from_logits(logits.numpy()).mask(1e6)[60:].any()


def test_where_hardly_any_liver_is_found_every_window_is_computed() -> None:
    image, network = with_liver(), Striped()
    image[2, 15:] = 0.0
    image[2, :, 40:] = 0.0
    sliding_window(image, model_of(network), search=WindowSearch.LIVER)
    assert network.windows == len(overlapping_windows((120, 100, 100), (20, 96, 96), 0.5))


def test_the_weight_of_a_window_is_never_nothing_and_largest_in_the_middle() -> None:
    bump = gaussian((16, 96, 96))
    assert float(bump.min()) > 0.0 and float(bump.max()) == float(bump[8, 48, 48]) == 1.0


@pytest.mark.parametrize("window", [(16, 96, 96), (5, 8, 9), (20, 160, 160)])
def test_the_weight_of_a_window_is_nnunets(window: Shape) -> None:
    module = pytest.importorskip("nnunetv2.inference.sliding_window_prediction")
    expected = module.compute_gaussian(window, value_scaling_factor=10, device=torch.device("cpu")) / 10
    # nnU-Net keeps its own in float16: 11 bits, and steps of 2^-24 near 0.
    torch.testing.assert_close(gaussian(window), expected.float(), rtol=2e-3, atol=2.0**-24)
