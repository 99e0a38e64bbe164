"""A small set for every change: pytest-benchmark keeps each run under runs/benchmarks, nothing fails for being slow.

`make benchmark-small` compares with the run before. All inputs are made and small, so that a minute is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from livercascade.data.grid import Grid
from livercascade.data.labels import Organ
from livercascade.detect.match import match
from livercascade.detect.seg2det import seg2det
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.io.nifti import read_ct, write_nifti
from livercascade.models.bundled import bundled
from livercascade.reclassification.patches import PatchVolume, Scheme, liver_region, patch_labels
from livercascade.reclassification.shuffle import shuffle
from livercascade.segment.engine import Engine, Precision, Runtime
from livercascade.segment.model import Model
from livercascade.segment.model_card import ModelKind
from livercascade.segment.unet_whole import to_scan_grid

GRID = Grid.axial((24, 256, 256), (5.0, 1.0, 1.0))
Benchmark = Callable[..., object]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """Liver with 36 lesions of six types in a lattice."""
    out = np.full(GRID.shape, int(Organ.LIVER), dtype=np.uint8)
    for number in range(36):
        y, x = 20 + 40 * (number // 6), 20 + 40 * (number % 6)
        out[8 : 8 + 2 + number % 4, y : y + 9, x : x + 12] = 1 + number % 6
    return out


@pytest.fixture(scope="module")
def logits() -> torch.Tensor:
    """Fourteen classes on a coarse grid."""
    return torch.randn(14, 24, 64, 64, generator=torch.Generator().manual_seed(0))


def test_export(benchmark: Benchmark, logits: torch.Tensor) -> None:
    benchmark(to_scan_grid, logits, GRID.shape, pooled=False)


def test_mask(benchmark: Benchmark, logits: torch.Tensor) -> None:
    benchmark(SensitivityMap.from_logits(logits.numpy().repeat(4, axis=1).repeat(4, axis=2)).mask, 4.0)


@pytest.mark.parametrize("per_label", [False, True])
def test_seg2det(benchmark: Benchmark, labels: np.ndarray, per_label: bool) -> None:
    benchmark(seg2det, labels, GRID, per_label=per_label)


def test_match(benchmark: Benchmark, labels: np.ndarray) -> None:
    truth, found = (seg2det(np.roll(labels, shift, axis=2), GRID) for shift in (0, 4))
    benchmark(match, truth, found)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_shuffle(benchmark: Benchmark, labels: np.ndarray, scheme: Scheme) -> None:
    image = np.zeros((4, *labels.shape), dtype=np.float32)
    volume = PatchVolume.of(image, patch_labels(labels, liver_region(labels)), GRID.spacing, [-1.0] * 4)
    lesion, rng = seg2det(labels, GRID)[0], np.random.default_rng(0)
    benchmark(shuffle, lesion, volume, scheme, rng)


@pytest.mark.parametrize("kind", list(ModelKind))
@pytest.mark.parametrize(
    ("runtime", "precision"),
    [(Runtime.TORCH, Precision.FP32), (Runtime.AUTO, Precision.FP32), (Runtime.AUTO, Precision.AUTO)],
)
def test_forward(benchmark: Benchmark, kind: ModelKind, runtime: Runtime, precision: Precision) -> None:
    model = Model.load(bundled(kind.value), kind, Engine.choose("cpu", runtime, precision))
    sample = torch.randn(1, model.card.input_channels, *model.card.patch_size)
    # The first pass compiles, or reads what was compiled.
    model.run(sample)
    benchmark(model.run, sample)


def test_read_and_write(benchmark: Benchmark, tmp_path: Path) -> None:
    hu = np.random.default_rng(0).normal(40, 20, GRID.shape).astype(np.int16)
    # Air, fat and soft tissue, without which nothing is taken for a CT.
    hu[:, :60], hu[:, 60:80] = -1000, hu[:, 60:80] - 140

    def both() -> None:
        write_nifti(tmp_path / "vp.nii.gz", hu, GRID)
        read_ct(tmp_path / "vp.nii.gz")

    benchmark(both)
