"""UNet^whole over a whole scan, straight to the sensitivity map (paper, eq. 1; then eq. 2, 3 for every f).

Logits are summed on the network's own grid and brought to the CT grid slab by slab: no class ever exists as a
full-size volume, so peak memory does not grow with the number of classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy import ndimage
from torch.nn import functional

from livercascade.data.class_priors import logit_adjustment
from livercascade.data.grid import Shape
from livercascade.data.labels import BACKGROUND, FIRST_LESION, LAST_LESION, NUM_CLASSES, PHASES, Organ, Phase
from livercascade.data.scan import Scan
from livercascade.detect.sensitivity import SensitivityMap
from livercascade.segment.model import Model
from livercascade.segment.network_input import SLAB, phase_input, resample_phase
from livercascade.segment.segmenter import HIGHEST_FACTOR, OVERLAP, WindowSearch
from livercascade.segment.sliding_windows import (
    WindowSlices,
    WindowSum,
    dilated,
    overlapping_windows,
    pad_to,
    sparse_windows,
)
from livercascade.system.progress import Progress

BODY_HU = -300.0
"""Windows in which nothing is above this are air."""
MARGIN_MM, LEAST_SHARE = 4.0, 0.02
"""Windows are computed that have this share in the mean somewhere in the liver found so far, or this near to it."""
PIECE_ML, LEAST_LIVER_ML = 5.0, 300.0
"""Least liver in a piece that is looked at closely; with less liver than this in all, every window is computed."""
_CONTENT = (*range(FIRST_LESION, LAST_LESION + 1), int(Organ.LIVER), int(Organ.HEPATIC_VESSELS))
_STEP = "segmenting"
_REST = tuple(label for label in range(NUM_CLASSES) if label not in _CONTENT)


def segment(
    scan: Scan,
    model: Model,
    *,
    progress: Progress | None = None,
    overlap: float = OVERLAP,
    pooled: bool = False,
    search: WindowSearch = WindowSearch.WHOLE,
    factor: float = HIGHEST_FACTOR,
    class_priors: Sequence[float] | None = None,
) -> SensitivityMap:
    """Sensitivity map of a scan on its own grid.

    Args:
        scan: Scan of one to four phases; absent ones are flagged to the network.
        model: Network UNet^whole.
        progress: Called with (step in words, windows done, windows in all).
        overlap: Overlap of neighbouring windows, 0 to under 1.
        pooled: Rule of the sensitivity map, see `SensitivityMap.from_logits`.
        search: Choice of the windows that are computed.
        factor: Highest sensitivity f at which the liver with its lesions must be as in a search of the whole.
        class_priors: Expected shares of the lesion types; None leaves types as the network has them.
    """
    # The image is not named: it goes before the logits are brought to the grid of the scan.
    logits = sliding_window(
        network_image(scan, model), model, progress=progress, overlap=overlap, search=search, factor=factor
    )
    weights = logit_adjustment(model.card.class_priors, class_priors)
    return to_scan_grid(logits, scan.grid.shape, pooled=pooled, weights=weights)


@dataclass(frozen=True, slots=True)
class UNetWhole:
    """UNet^whole as a `Segmenter`.

    Attributes:
        model: The network.
        overlap, pooled, search, factor, class_priors: Options of `segment`.
    """

    model: Model
    overlap: float = OVERLAP
    pooled: bool = False
    search: WindowSearch = WindowSearch.WHOLE
    factor: float = HIGHEST_FACTOR
    class_priors: Sequence[float] | None = None

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.card.name

    @property
    def version(self) -> str:
        """Version of the model."""
        return self.model.card.version

    @property
    def sha256(self) -> str:
        """Hash of the weights; the options are settings of the cascade, which have a hash of their own."""
        return self.model.card.sha256

    @property
    def needs(self) -> tuple[Phase, ...]:
        """Phases without which the network cannot work."""
        return self.model.card.needs

    def segment(self, scan: Scan, *, progress: Progress | None = None) -> SensitivityMap:
        """Sensitivity map of a scan on its own grid; the memory of the network's passes is given back.

        Raises:
            InputError: ``PHASE_NEEDED`` if a phase of `needs` is absent.
        """
        self.model.require(scan.phases)
        found = segment(
            scan,
            self.model,
            progress=progress,
            overlap=self.overlap,
            pooled=self.pooled,
            search=self.search,
            factor=self.factor,
            class_priors=self.class_priors,
        )
        self.model.release_memory()
        return found


def network_shape(scan: Scan, model: Model) -> Shape:
    """Shape of the scan at the model's spacing, nnU-Net's rounding."""
    sizes = [
        max(1, round(n * have / want))
        for n, have, want in zip(scan.grid.shape, scan.grid.spacing, model.card.spacing_mm, strict=True)
    ]
    return sizes[0], sizes[1], sizes[2]


def network_image(scan: Scan, model: Model) -> Float32[torch.Tensor, "c z y x"]:
    """Normalised phases, in one window or two, and presence flags at the model's spacing."""
    shape, card = network_shape(scan, model), model.card
    image = torch.zeros((len(card.windows), *shape))
    for channel, scheme in enumerate(card.windows):
        phase = PHASES[channel % len(PHASES)]
        if phase not in scan.hu:
            continue
        # The padding outside a phase's coverage is left at the window's lower end, like air.
        hu = resample_phase(
            scan.hu[phase],
            shape,
            card.resampling,
            bounds=(scheme.lower, scheme.upper),
            spacing=scan.grid.spacing,
            target=card.spacing_mm,
        )
        image[channel] = (hu - scheme.mean) / scheme.std
    return phase_input(image, [phase in scan.hu for phase in PHASES])


def sliding_window(
    image: Float32[torch.Tensor, "c z y x"],
    model: Model,
    *,
    progress: Progress | None = None,
    overlap: float = OVERLAP,
    search: WindowSearch = WindowSearch.WHOLE,
    factor: float = HIGHEST_FACTOR,
) -> Float32[torch.Tensor, "k z y x"]:
    """Logits over the whole image: Gaussian-weighted mean of overlapping windows (nnU-Net's scheme).

    A search of the liver begins with windows side by side and goes on with those that have a say in the liver found
    so far, until there are no more: in the end every window of any weight in the liver is computed.
    """
    size = model.card.patch_size
    depth, height, width = image.shape[1:]
    fits = all(have >= want for have, want in zip(image.shape[1:], size, strict=True))
    padded = image if fits else pad_to(image[: -len(PHASES)], image[-len(PHASES) :], size)
    shape = (padded.shape[1], padded.shape[2], padded.shape[3])
    todo = overlapping_windows(shape, size, overlap)
    count, done = len(todo), 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(_STEP, done, count)

    sums = WindowSum(padded, todo, NUM_CLASSES)
    batch = model.engine.batch(math.prod(size))
    first = todo if search is WindowSearch.WHOLE else _with_body(sparse_windows(shape, size, overlap), padded, model)
    while first:
        sums.add(first, model.run, batch=batch, done=tell)
        todo = [box for box in todo if box not in first]
        if not todo:
            break
        near = dilated(_liver(sums, model, factor), _margin(model))
        first = [box for box in todo if sums.share(box, near) >= LEAST_SHARE]
    tell(count - done)
    return sums.mean()[:, :depth, :height, :width]


def _with_body(places: list[WindowSlices], image: Float32[torch.Tensor, "c z y x"], model: Model) -> list[WindowSlices]:
    """Windows that hold more than air."""
    body = torch.zeros(image.shape[1:], dtype=torch.bool)
    windows = model.card.windows
    for phase in PHASES:
        # The last window is the widest. An absent phase is 0 everywhere: the mean of tissue.
        channel = len(windows) - len(PHASES) + phase.index
        scheme = windows[channel]
        if bool(image[len(windows) + phase.index].any()):
            # A model whose window ends above that takes fat for air; neither is anything that it finds.
            body |= image[channel] > (max(BODY_HU, scheme.lower + 1.0) - scheme.mean) / scheme.std
    return [box for box in places if bool(body[box].any())]


def _margin(model: Model) -> Shape:
    z, y, x = (math.ceil(MARGIN_MM / spacing) for spacing in model.card.spacing_mm)
    return z, y, x


def _liver(sums: WindowSum, model: Model, factor: float) -> Bool[torch.Tensor, "z y x"]:
    """Liver with its content at sensitivity ``factor``, small detached pieces left out; all if that is too little."""
    voxel_ml = math.prod(model.card.spacing_mm) / 1000.0
    bonus = max(math.log(factor), 0.0)
    content = sums.leads(_CONTENT, _REST) | sums.leads(_CONTENT[:LAST_LESION], _REST, bonus=bonus)
    tissue = sums.leads((int(Organ.LIVER),), (BACKGROUND, *range(FIRST_LESION, LAST_LESION + 1), *_REST))
    pieces, count = ndimage.label(content.numpy(), structure=np.ones((3, 3, 3)))
    liver_ml = np.bincount(pieces[tissue.numpy()], minlength=count + 1) * voxel_ml
    liver_ml[0] = 0.0
    if liver_ml.sum() < LEAST_LIVER_ML:
        # A study without liver must not be refused because of a quick look.
        return torch.ones_like(content)
    return torch.from_numpy((liver_ml >= PIECE_ML)[pieces])


def to_scan_grid(
    logits: Float32[torch.Tensor, "k z y x"],
    shape: Shape,
    *,
    pooled: bool,
    weights: Float32[np.ndarray, " 6"] | None = None,
) -> SensitivityMap:
    """Slab by slab to the CT grid, reducing the classes at once."""
    source = logits.shape[1]
    # Voxel centres at (i + 0.5) of each grid, as torch's align_corners=False within the slices.
    at = np.clip((np.arange(shape[0]) + 0.5) * source / shape[0] - 0.5, 0, source - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, source - 1)
    weight = torch.from_numpy((at - low).astype(np.float32))

    def channels(rows: slice) -> Iterator[Float32[np.ndarray, "dz y x"]]:
        w = weight[rows][:, None, None]
        for channel in logits:
            between = channel[low[rows]] * (1 - w) + channel[high[rows]] * w
            yield functional.interpolate(between[:, None], size=shape[1:], mode="bilinear", align_corners=False)[
                :, 0
            ].numpy()

    slabs = ((z0, channels(slice(z0, min(z0 + SLAB, shape[0])))) for z0 in range(0, shape[0], SLAB))
    return SensitivityMap.from_slabs(shape, slabs, pooled=pooled, weights=weights)
