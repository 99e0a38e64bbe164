"""Resampling to the network's grid, against nnU-Net's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.segment.model_card import ResamplingScheme
from livercascade.segment.network_input import resample_phase, slices_separately, spline_matrix

BOUNDS = (-150.0, 240.0)


def noise(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """HU with edges, beyond the bounds on both sides."""
    rng = np.random.default_rng(seed)
    hu = rng.normal(60, 30, shape)
    hu[:, : shape[1] // 3] = -1000
    hu[shape[0] // 2 :, :, shape[2] // 2 :] += 300
    return np.rint(hu).astype(np.int16)


SIZES = [(spacing, target) for spacing in (5.0, 2.5, 1.0) for target in (5.0, 1.5)]


@pytest.mark.parametrize(("thick", "wanted"), SIZES)
@pytest.mark.parametrize("pixel", [0.74, 1.9])
def test_splines_are_nnunets(thick: float, wanted: float, pixel: float) -> None:
    module = pytest.importorskip("nnunetv2.preprocessing.resampling.default_resampling")
    hu = noise((14, 61, 50))
    spacing, target = (thick, pixel, pixel), (wanted, 1.5, 1.4)
    size = tuple(int(n) for n in module.compute_new_shape(hu.shape, spacing, target))
    expected = module.resample_data_or_seg_to_shape(
        np.clip(hu, *BOUNDS).astype(np.float64)[None], size, spacing, target, order=3, order_z=0, force_separate_z=None
    )[0]
    found = resample_phase(hu, size, ResamplingScheme.SPLINE, bounds=BOUNDS, spacing=spacing, target=target)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)


@settings(max_examples=25)
@given(st.integers(3, 70), st.integers(2, 90))
def test_a_spline_keeps_a_constant_and_a_line_inside(have: int, want: int) -> None:
    matrix = spline_matrix(have, want).toarray().astype(np.float64)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-4)
    at = (np.arange(want) + 0.5) * have / want - 0.5
    inside = (at >= 0) & (at <= have - 1)
    # Outside, the border value goes on; a spline feels that corner up to some samples away.
    far = inside & (at > 8) & (at < have - 9)
    line = matrix @ np.arange(have)
    np.testing.assert_allclose(line[far], at[far], atol=1e-3)


def test_nothing_leaves_the_range_of_the_scan() -> None:
    hu = noise((12, 40, 40))
    for target in ((5.0, 1.0, 1.0), (1.0, 1.0, 1.0)):
        for spacing in ((5.0, 0.8, 0.8), (1.5, 0.8, 0.8)):
            size = tuple(max(1, round(n * s / t)) for n, s, t in zip(hu.shape, spacing, target, strict=True))
            for how in ResamplingScheme:
                made = resample_phase(hu, size, how, bounds=BOUNDS, spacing=spacing, target=target)
                assert made.shape == size
                assert made.min() >= BOUNDS[0] - 1e-3
                assert made.max() <= BOUNDS[1] + 1e-3


@pytest.mark.parametrize(
    ("spacing", "target", "separately"),
    [
        ((5.0, 0.8, 0.8), (5.0, 2.0, 2.0), True),
        ((2.0, 1.0, 1.0), (5.0, 1.5, 1.5), True),
        ((2.0, 1.0, 1.0), (2.5, 1.0, 1.0), False),
        ((1.0, 4.0, 1.0), (5.0, 1.0, 1.0), False),
    ],
)
def test_slices_are_taken_one_by_one_where_they_are_thick(spacing: tuple, target: tuple, separately: bool) -> None:
    assert slices_separately(spacing, target) is separately
