"""Loss on label groups: cross-entropy, soft Dice of every class, of any lesion and of the liver with its content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch.nn import functional

from livercascade.data.labels import FIRST_LESION, LAST_LESION, Organ

Logits = Float[torch.Tensor, "batch class_ z y x"]
Target = Integer[torch.Tensor, "batch 1 z y x"]

ANY_LESION = tuple(range(FIRST_LESION, LAST_LESION + 1))
LIVER_WITH_CONTENT = (*ANY_LESION, int(Organ.LIVER), int(Organ.HEPATIC_VESSELS))


@dataclass(frozen=True, slots=True)
class GroupedLoss:
    """Cross-entropy plus soft Dice over the batch.

    Groups let a lesion of the wrong type still count as found: without them rare types learn nothing early on.

    Attributes:
        groups: Sets of classes whose summed probability gets a Dice term of its own.
        smooth: Added to both sides of each Dice ratio.
    """

    groups: tuple[tuple[int, ...], ...] = (ANY_LESION, LIVER_WITH_CONTENT)
    smooth: float = 1.0

    def __call__(self, logits: Logits, target: Target) -> Float[torch.Tensor, ""]:
        """Loss, from about -2 (perfect)."""
        logits = logits.float()
        labels = target[:, 0].long()
        logs = functional.log_softmax(logits, dim=1)
        entropy = functional.nll_loss(logs, labels)
        overlap, found, truth = _sums(logs.exp(), labels)
        classes = self._dice(overlap, found, truth)[1:]
        grouped = self._group_dice(logs, labels)
        return entropy - classes[truth[1:] > 0].sum() / max(int((truth[1:] > 0).sum()), 1) - grouped

    def _group_dice(self, logs: Logits, labels: torch.Tensor) -> torch.Tensor:
        dice: list[torch.Tensor] = []
        for group in self.groups:
            inside = [c for c in group if c < logs.shape[1]]
            found = logs[:, inside].exp().sum(1)
            truth = (labels >= min(inside)) & (labels <= max(inside))
            if bool(truth.any()):
                dice.append(self._dice((found * truth).sum(), found.sum(), truth.sum()))
        return torch.stack(dice).mean() if dice else logs.new_zeros(())

    def _dice(self, overlap: torch.Tensor, found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return (2 * overlap + self.smooth) / (found + truth + self.smooth)


@dataclass(frozen=True, slots=True)
class DeepSupervision:
    """Weighted mean of a loss over all resolutions of a network: half the weight per stage, none for the coarsest."""

    loss: GroupedLoss

    def __call__(self, outputs: Sequence[Logits], targets: Sequence[Target]) -> Float[torch.Tensor, ""]:
        """Loss of lists that run from the finest to the coarsest resolution."""
        count = max(len(outputs) - 1, 1)
        weights = [0.5**i for i in range(count)]
        terms = [w * self.loss(o, t) for w, o, t in zip(weights, outputs[:count], targets[:count], strict=True)]
        return torch.stack(terms).sum() / sum(weights)


def _sums(probability: Logits, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Per class, over the batch: probability inside the truth, all probability, and voxels of the truth."""
    classes = probability.shape[1]
    own = probability.gather(1, labels[:, None])[:, 0]
    flat = labels.reshape(-1)
    overlap = probability.new_zeros(classes).index_add(0, flat, own.reshape(-1))
    truth = torch.bincount(flat, minlength=classes).to(probability.dtype)
    return overlap, probability.sum(dim=(0, 2, 3, 4)), truth


def build_grouped(deep_supervision: bool) -> GroupedLoss | DeepSupervision:
    """Grouped loss for a network with or without deep supervision."""
    return DeepSupervision(GroupedLoss()) if deep_supervision else GroupedLoss()


def downsampled(target: Target, strides: Sequence[tuple[int, int, int]], outputs: int) -> list[Target]:
    """Truth at each of the first ``outputs`` resolutions, by nearest neighbour, finest first."""
    levels, scale = [target], [1, 1, 1]
    for stride in strides[1:outputs]:
        scale = [s * t for s, t in zip(scale, stride, strict=True)]
        size = [n // s for n, s in zip(target.shape[2:], scale, strict=True)]
        levels.append(functional.interpolate(target.float(), size=size, mode="nearest-exact").to(target.dtype))
    return levels
