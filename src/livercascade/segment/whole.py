"""UNet^whole over a whole scan, straight to the sensitivity map (paper, eq. 1; then eq. 2, 3 for every f).

Logits are summed on the network's own grid and brought to the CT grid slab by slab: no class ever exists as a
full-size volume, so peak memory does not grow with the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from jaxtyping import Float32
from torch.nn import functional

from livercascade.data.grid import Shape
from livercascade.data.labels import NUM_CLASSES, PHASES
from livercascade.data.scan import Scan
from livercascade.detect.sensitivity import SensitivityBuilder, SensitivityMap
from livercascade.segment.model import Model
from livercascade.segment.phase_input import phase_input

SLAB = 8
"""Slices of the CT grid that are worked on at a time."""
Progress = Callable[[int, int], None]


def segment(
    scan: Scan, model: Model, *, progress: Progress | None = None, overlap: float = 0.5, pooled: bool = False
) -> SensitivityMap:
    """Sensitivity map of a scan on its own grid.

    Args:
        scan: One to four phases; absent ones are flagged to the network.
        model: A UNet^whole.
        progress: Called with (windows done, windows in all).
        overlap: Overlap of neighbouring windows, 0 to under 1.
        pooled: As in `SensitivityMap.from_logits`.
    """
    image = network_image(scan, model)
    logits = sliding_window(image, model, progress=progress, overlap=overlap)
    return _to_scan_grid(logits, scan.grid.shape, pooled=pooled)


def network_shape(scan: Scan, model: Model) -> Shape:
    """Shape of the scan at the model's spacing, nnU-Net's rounding."""
    sizes = [
        max(1, round(n * have / want))
        for n, have, want in zip(scan.grid.shape, scan.grid.spacing, model.card.spacing_mm, strict=True)
    ]
    return sizes[0], sizes[1], sizes[2]


def network_image(scan: Scan, model: Model) -> Float32[torch.Tensor, "c z y x"]:
    """Normalised phases and presence flags at the model's spacing; thinner slices and pixels are averaged."""
    shape = network_shape(scan, model)
    image = torch.zeros((len(PHASES), *shape))
    for phase in scan.phases:
        scheme = model.card.normalisation[phase.index]
        # The padding outside a phase's coverage is left at the window's lower end, like air.
        hu = torch.from_numpy(scan.hu[phase])
        planes = torch.empty((scan.grid.shape[0], *shape[1:]))
        for z in range(0, len(planes), SLAB):
            part = hu[z : z + SLAB, None].float().clamp(scheme.lower, scheme.upper)
            planes[z : z + SLAB] = functional.interpolate(
                part, size=shape[1:], mode="bilinear", align_corners=False, antialias=True
            )[:, 0]
        image[phase.index] = (_resize_z(planes, shape[0]) - scheme.mean) / scheme.std
    return phase_input(image, [phase in scan.hu for phase in PHASES])


def sliding_window(
    image: Float32[torch.Tensor, "c z y x"], model: Model, *, progress: Progress | None = None, overlap: float = 0.5
) -> Float32[torch.Tensor, "k z y x"]:
    """Logits over the whole image: Gaussian-weighted mean of overlapping windows (nnU-Net's scheme)."""
    size = model.card.patch_size
    depth, height, width = image.shape[1:]
    pads = [max(0, want - have) for have, want in zip((depth, height, width), size, strict=True)]
    # As in training: phases are 0 beyond the scan, the flags go on.
    around = (0, pads[2], 0, pads[1], 0, pads[0])
    phases, flags = image[: len(PHASES)], image[len(PHASES) :]
    padded = torch.cat((functional.pad(phases, around), functional.pad(flags[None], around, mode="replicate")[0]))
    total = torch.zeros((NUM_CLASSES, *padded.shape[1:]))
    weights = torch.zeros(padded.shape[1:])
    bump = _bump(size)
    starts = [_starts(n, s, overlap) for n, s in zip(padded.shape[1:], size, strict=True)]
    windows = list(product(*starts))
    for done, (z, y, x) in enumerate(windows, start=1):
        box = (slice(z, z + size[0]), slice(y, y + size[1]), slice(x, x + size[2]))
        logits = model.engine.run(model.network, padded[(slice(None), *box)][None])[0]
        total[(slice(None), *box)] += logits * bump
        weights[box] += bump
        if progress is not None:
            progress(done, len(windows))
    total /= weights
    return total[:, :depth, :height, :width]


def _starts(length: int, window: int, overlap: float) -> list[int]:
    """Evenly spread first voxels of windows that cover ``length`` with at least ``overlap``."""
    if length <= window:
        return [0]
    count = int(np.ceil((length - window) / (window * (1.0 - overlap)))) + 1
    return [round(i * (length - window) / (count - 1)) for i in range(count)]


def _bump(size: tuple[int, int, int]) -> Float32[torch.Tensor, "z y x"]:
    """Gaussian weight of a window, sigma an eighth of its size, never 0."""
    axes = [torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) for n in size]
    bump = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]
    return bump.clamp(min=1e-4)


def _resize_z(planes: Float32[torch.Tensor, "z y x"], depth: int) -> Float32[torch.Tensor, "n y x"]:
    """Slices on a coarser or finer z grid: averaged over the new thickness, or interpolated."""
    if planes.shape[0] == depth:
        return planes
    if planes.shape[0] > depth:
        return functional.interpolate(planes.permute(1, 2, 0), size=depth, mode="area").permute(2, 0, 1)
    return functional.interpolate(planes.permute(1, 2, 0), size=depth, mode="linear", align_corners=False).permute(
        2, 0, 1
    )


def _to_scan_grid(logits: Float32[torch.Tensor, "k z y x"], shape: Shape, *, pooled: bool) -> SensitivityMap:
    """Slab by slab to the CT grid, reducing the classes at once."""
    builder = SensitivityBuilder(shape, pooled=pooled)
    source = logits.shape[1]
    at = np.clip((np.arange(shape[0]) + 0.5) * source / shape[0] - 0.5, 0, source - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, source - 1)
    weight = torch.from_numpy((at - low).astype(np.float32))
    for z0 in range(0, shape[0], SLAB):
        rows = slice(z0, min(z0 + SLAB, shape[0]))
        w = weight[rows][:, None, None]
        builder.write_slab(
            z0,
            (
                functional.interpolate(
                    (channel[low[rows]] * (1 - w) + channel[high[rows]] * w)[:, None],
                    size=shape[1:],
                    mode="bilinear",
                    align_corners=False,
                )[:, 0].numpy()
                for channel in logits
            ),
        )
    return builder.finish()
