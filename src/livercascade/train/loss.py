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
    """Cross-entropy minus soft Dice over the batch, of single classes and of groups of classes.

    Groups let a lesion of the wrong type still count as found: without them rare types learn nothing early on.
    The Dice of any group follows from one small matrix, the probability of each class summed over the voxels of
    each true label, so that the maps are passed through once.

    Attributes:
        groups: Sets of classes whose summed probability gets a Dice term of its own.
        smooth: Added to both sides of each Dice ratio.
    """

    groups: tuple[tuple[int, ...], ...] = (ANY_LESION, LIVER_WITH_CONTENT)
    smooth: float = 1.0

    def __call__(self, logits: Logits, target: Target) -> Float[torch.Tensor, ""]:
        """Loss, -2 when perfect; classes and groups without any true voxel have no Dice term."""
        classes = logits.shape[1]
        labels = target[:, 0].long().flatten()
        logs = functional.log_softmax(logits.permute(0, 2, 3, 4, 1).reshape(-1, classes), dim=1)
        members = torch.zeros_like(logs).scatter_(1, labels[:, None], 1)
        sums = members.T @ logs.exp()
        entropy = functional.nll_loss(logs, labels)
        truth = members.sum(0)
        singles = self._mean_dice(sums, truth, [(c,) for c in range(1, classes)])
        return entropy - singles - self._mean_dice(sums, truth, self.groups)

    def _mean_dice(
        self,
        sums: Float[torch.Tensor, "class_ class_"],
        truth: Float[torch.Tensor, " class_"],
        groups: Sequence[tuple[int, ...]],
    ) -> torch.Tensor:
        found = sums.sum(0)
        dice: list[torch.Tensor] = []
        for group in groups:
            inside = [c for c in group if c < len(sums)]
            volume = truth[inside].sum()
            if bool(volume > 0):
                overlap = sums[inside][:, inside].sum()
                dice.append((2 * overlap + self.smooth) / (found[inside].sum() + volume + self.smooth))
        return torch.stack(dice).mean() if dice else sums.new_zeros(())


@dataclass(frozen=True, slots=True)
class DeepSupervision:
    """Weighted mean of a loss over the resolutions of a network: half the weight per stage, none for the coarsest."""

    loss: GroupedLoss

    def __call__(self, outputs: Sequence[Logits], targets: Sequence[Target]) -> Float[torch.Tensor, ""]:
        """Loss of lists that run from the finest to the coarsest resolution."""
        count = max(len(outputs) - 1, 1)
        weights = [0.5**i for i in range(count)]
        terms = [w * self.loss(o, t) for w, o, t in zip(weights, outputs[:count], targets[:count], strict=True)]
        return torch.stack(terms).sum() / sum(weights)


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
