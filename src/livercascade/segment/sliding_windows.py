"""Overlapping windows over a volume, and the weighted mean of a network's logits in them (nnU-Net's scheme)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch.nn import functional

from livercascade.data.grid import Shape
from livercascade.data.labels import BACKGROUND

UNSEEN = 50.0
"""Logit of background where no window was computed."""
# Smallest number of float16 over the peak of nnU-Net's map, which is 10: so its weights are met to the bit.
_LEAST_WEIGHT = 2.0**-24 / 10
WindowSlices = tuple[slice, slice, slice]
NetworkFunction = Callable[[Float32[torch.Tensor, "n c z y x"]], Float32[torch.Tensor, "n k z y x"]]


def overlapping_windows(shape: Shape, window: Shape, overlap: float) -> list[WindowSlices]:
    """Windows that cover ``shape``, neighbours overlapping by at least ``overlap`` (0 to under 1), evenly spread."""
    starts = [_starts(n, size, overlap) for n, size in zip(shape, window, strict=True)]
    return [_box(at, window) for at in product(*starts)]


def sparse_windows(shape: Shape, window: Shape, overlap: float) -> list[WindowSlices]:
    """As few of `overlapping_windows` as cover ``shape``."""
    starts = [_sparse(_starts(n, size, overlap), size) for n, size in zip(shape, window, strict=True)]
    return [_box(at, window) for at in product(*starts)]


def _box(start: tuple[int, ...], window: Shape) -> WindowSlices:
    z, y, x = (slice(a, a + size) for a, size in zip(start, window, strict=True))
    return z, y, x


def _starts(length: int, window: int, overlap: float) -> list[int]:
    """Evenly spread first voxels of windows that cover ``length`` with at least ``overlap``."""
    if length <= window:
        return [0]
    count = int(np.ceil((length - window) / (window * (1.0 - overlap)))) + 1
    return [round(i * (length - window) / (count - 1)) for i in range(count)]


def _sparse(starts: list[int], window: int) -> list[int]:
    """Those of ``starts`` that still leave no gap, each as far on as it can be."""
    kept = starts[:1]
    while kept[-1] != starts[-1]:
        kept.append(max(s for s in starts if s <= kept[-1] + window))
    return kept


@final
class WindowSum:
    """Gaussian-weighted mean of a network's logits over the windows computed so far.

    Args:
        image: Input of the network.
        places: All windows, of one size and within the image.
        channels: Number of output channels of the network.
    """

    def __init__(self, image: Float32[torch.Tensor, "c z y x"], places: Sequence[WindowSlices], channels: int) -> None:
        self._image = image
        z, y, x = (side.stop - side.start for side in places[0])
        self._bump = gaussian((z, y, x))
        self._all = torch.zeros(image.shape[1:])
        for box in places:
            self._all[box] += self._bump
        self._total = torch.zeros((channels, *image.shape[1:]))
        self._weights = torch.zeros(image.shape[1:])

    def add(
        self, places: Sequence[WindowSlices], network: NetworkFunction, *, batch: int, done: Callable[[int], None]
    ) -> None:
        """Compute windows, ``batch`` at a time; ``done`` is called with their number after each."""
        for first in range(0, len(places), batch):
            part = places[first : first + batch]
            logits = network(torch.stack([self._image[(slice(None), *box)] for box in part]))
            for box, own in zip(part, logits, strict=True):
                self._total[(slice(None), *box)].addcmul_(own, self._bump)
                self._weights[box] += self._bump
            done(len(part))

    def leads(self, labels: Iterable[int], rivals: Iterable[int], *, bonus: float = 0.0) -> Bool[torch.Tensor, "z y x"]:
        """Where the best of ``labels``, ``bonus`` added to its logit, exceeds the best of ``rivals``."""
        ours, theirs = (self._total[list(group)].amax(dim=0) for group in (labels, rivals))
        return (ours + bonus * self._weights > theirs) & (self._weights > 0)

    def share(self, box: WindowSlices, region: Bool[torch.Tensor, "z y x"]) -> float:
        """Largest share, 0 to 1, that a window has in the mean over all windows at any voxel of ``region``."""
        inside = region[box]
        return float((self._bump[inside] / self._all[box][inside]).max()) if bool(inside.any()) else 0.0

    def mean(self) -> Float32[torch.Tensor, "k z y x"]:
        """The logits, background where no window was computed; the sum is used up."""
        unseen = self._weights == 0
        self._total[BACKGROUND][unseen] = UNSEEN
        self._weights[unseen] = 1.0
        return self._total.div_(self._weights)


def gaussian(window: Shape) -> Float32[torch.Tensor, "z y x"]:
    """Weight of the voxels of a window, sigma an eighth of its size, never 0.

    As nnU-Net has it: the peak is at voxel ``n // 2``, and the least weight is the least that float16 holds below 10.
    """
    axes = [torch.exp(-0.5 * ((torch.arange(n) - n // 2) / (n / 8)) ** 2) for n in window]
    bump = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]
    return bump.clamp(min=_LEAST_WEIGHT)


def pad_to(
    phases: Float32[torch.Tensor, "p z y x"], flags: Float32[torch.Tensor, "f z y x"], window: Shape
) -> Float32[torch.Tensor, "c dz dy dx"]:
    """Network input at least as large as a window; as in training, phases are 0 beyond the scan and flags go on."""
    pads = [max(0, want - have) for have, want in zip(phases.shape[1:], window, strict=True)]
    around = (0, pads[2], 0, pads[1], 0, pads[0])
    return torch.cat((functional.pad(phases, around), functional.pad(flags[None], around, mode="replicate")[0]))


def dilated(region: Bool[torch.Tensor, "z y x"], reach: Shape) -> Bool[torch.Tensor, "z y x"]:
    """The region and all voxels within ``reach`` (z, y, x) voxels of it along the axes."""
    z, y, x = (2 * n + 1 for n in reach)
    values = region.float()[None, None]
    for kernel in ((z, 1, 1), (1, y, 1), (1, 1, x)):
        values = functional.max_pool3d(values, kernel, stride=1, padding=[n // 2 for n in kernel])
    return values[0, 0] > 0
