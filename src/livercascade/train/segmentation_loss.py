"""Losses of both trainings: nnU-Net's, or cross-entropy with the soft Dice of classes and of groups of classes.

`build_loss` is the one place where a training gets its loss; `GroupedLoss` sees the reference labels of every voxel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch.nn import functional

from livercascade.data.labels import FIRST_LESION, LAST_LESION, Organ
from livercascade.train.training_settings import TrainSettings

SegmentationLoss = Callable[[Any, Any], torch.Tensor]
"""Loss of logits and reference labels, or with deep supervision of a list of each, finest resolution first."""
LabelTensor = Integer[torch.Tensor, "batch 1 z y x"]

ANY_LESION = tuple(range(FIRST_LESION, LAST_LESION + 1))
LIVER_WITH_CONTENT = (*ANY_LESION, int(Organ.LIVER), int(Organ.HEPATIC_VESSELS))
_PIECE = 16384
"""Voxels per piece: 14 classes of them in float32 are 0.9 MB, which stays in the second-level cache."""


def build_loss(settings: TrainSettings, outputs: int) -> SegmentationLoss:
    """Loss of a network with ``outputs`` resolutions: nnU-Net's, or the grouped one."""
    if settings.loss == "nnunet":
        # Importing nnU-Net takes seconds and needs its environment: only a training that wants its loss pays for it.
        from livercascade.train.nnunet_network import nnunet_loss

        return nnunet_loss(outputs, deep_supervision=settings.deep_supervision)
    loss = GroupedLoss(type_weight=settings.type_weight)
    return deeply_supervised(loss) if settings.deep_supervision else loss


@dataclass(frozen=True, slots=True)
class GroupedLoss:
    """Cross-entropy minus soft Dice over the batch, of single classes and of groups of classes.

    Groups let a lesion of the wrong type still count as found: without them rare types learn nothing early on.
    The Dice of any group follows from one small matrix, the probability of each class summed over the voxels of
    each true label. So loss and gradient take two passes over the logits, in pieces that fit the cache.

    Attributes:
        groups: Sets of classes whose summed probability gets a Dice term of its own.
        smooth: Added to both sides of each Dice ratio.
        type_weight: Weight of `type_entropy`, which teaches the type of a lesion apart from finding it.
    """

    groups: tuple[tuple[int, ...], ...] = (ANY_LESION, LIVER_WITH_CONTENT)
    smooth: float = 1.0
    type_weight: float = 0.0

    def __call__(
        self, logits: Float[torch.Tensor, "batch class_ z y x"], target: LabelTensor
    ) -> Float[torch.Tensor, ""]:
        """Loss of a batch, -2 when perfect; classes and groups without any true voxel have no Dice term."""
        rows, labels = logits.permute(0, 2, 3, 4, 1).reshape(-1, logits.shape[1]), target[:, 0].long().flatten()
        loss: Any = _GroupedLoss.apply(rows, labels, self._dice)
        return loss + self.type_weight * type_entropy(rows, labels) if self.type_weight else loss

    def _dice(
        self, sums: Float[torch.Tensor, "label class_"], truth: Float[torch.Tensor, " label"]
    ) -> Float[torch.Tensor, ""]:
        """Mean Dice of the classes plus mean Dice of the groups."""
        singles = [(c,) for c in range(1, len(truth))]
        return self._mean_dice(sums, truth, singles) + self._mean_dice(sums, truth, self.groups)

    def _mean_dice(
        self,
        sums: Float[torch.Tensor, "label class_"],
        truth: Float[torch.Tensor, " label"],
        groups: Sequence[tuple[int, ...]],
    ) -> Float[torch.Tensor, ""]:
        found = sums.sum(0)
        dice: list[torch.Tensor] = []
        for group in groups:
            inside = [c for c in group if c < len(truth)]
            volume = truth[inside].sum()
            if bool(volume > 0):
                overlap = sums[inside][:, inside].sum()
                dice.append((2 * overlap + self.smooth) / (found[inside].sum() + volume + self.smooth))
        return torch.stack(dice).mean() if dice else sums.new_zeros(())


def type_entropy(
    rows: Float[torch.Tensor, "voxel class_"], labels: Integer[torch.Tensor, " voxel"]
) -> Float[torch.Tensor, ""]:
    """Cross-entropy among the lesion types alone, on true lesion voxels; every type there counts the same; 0 without.

    Lesions are a few voxels in a hundred and most of them are of the common types: in the cross-entropy of all
    voxels the rare types weigh next to nothing.
    """
    where = torch.nonzero((labels >= FIRST_LESION) & (labels <= LAST_LESION))[:, 0]
    if not len(where):
        return rows.new_zeros((), dtype=torch.float32)
    types = labels[where] - FIRST_LESION
    entropy = functional.cross_entropy(rows[where, FIRST_LESION : LAST_LESION + 1].float(), types, reduction="none")
    voxels = torch.bincount(types, minlength=len(ANY_LESION)).to(entropy.dtype)
    return (entropy / voxels[types]).sum() / (voxels > 0).sum()


class _GroupedLoss(torch.autograd.Function):
    """Loss of logits ``[voxel, class]``; its gradient is made along with it."""

    # Autograd would keep probabilities, their logarithms and their products; here one array [voxel, class] is all.
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, labels: torch.Tensor, dice: Callable[..., torch.Tensor]) -> torch.Tensor:
        count, classes = rows.shape
        probability = torch.empty_like(rows)
        sums = torch.zeros(classes, classes, device=rows.device)
        entropy = torch.zeros((), device=rows.device)
        for piece in _pieces(count):
            logs = torch.log_softmax(rows[piece].float().T.contiguous(), dim=0)
            entropy -= logs.gather(0, labels[None, piece]).sum()
            shares = logs.exp_()
            sums += _members(labels[piece], shares) @ shares.T
            probability[piece] = shares.T
        score, slope = _with_slope(dice, sums, torch.bincount(labels, minlength=classes).to(sums.dtype))
        for piece in _pieces(count):
            shares = probability[piece].float().T.contiguous()
            members = _members(labels[piece], shares)
            gradient = slope.T @ members
            gradient = (gradient - (gradient * shares).sum(0)).mul_(-shares).add_(shares - members, alpha=1 / count)
            probability[piece] = gradient.T
        ctx.save_for_backward(probability)
        return entropy / count - score

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0].to(gradient.dtype), None, None


def _pieces(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _PIECE, count)) for start in range(0, count, _PIECE))


def _members(labels: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(like).scatter_(0, labels[None], 1)


def _with_slope(
    dice: Callable[..., torch.Tensor], sums: torch.Tensor, truth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Dice and its derivative by every entry of ``sums``."""
    if not bool(truth[1:].sum() > 0):
        return sums.new_zeros(()), torch.zeros_like(sums)
    with torch.enable_grad():
        leaf = sums.clone().requires_grad_()
        score = dice(leaf, truth)
        (slope,) = torch.autograd.grad(score, leaf)
    return score.detach(), slope


def deeply_supervised(loss: SegmentationLoss) -> SegmentationLoss:
    """Weighted mean of a loss over the resolutions of a network: half the weight per stage, none for the coarsest.

    The result takes lists that run from the finest to the coarsest resolution; the weights are nnU-Net's.
    """

    def over_resolutions(outputs: Sequence[torch.Tensor], targets: Sequence[torch.Tensor]) -> torch.Tensor:
        count = max(len(outputs) - 1, 1)
        weights = [0.5**i for i in range(count)]
        terms = [w * loss(o, t) for w, o, t in zip(weights, outputs[:count], targets[:count], strict=True)]
        return torch.stack(terms).sum() / sum(weights)

    return over_resolutions


def downsampled(target: LabelTensor, strides: Sequence[tuple[int, int, int]], outputs: int) -> list[torch.Tensor]:
    """Reference labels at each of the first ``outputs`` resolutions, by nearest neighbour, finest first."""
    levels, scale = [target], [1, 1, 1]
    for stride in strides[1:outputs]:
        scale = [s * t for s, t in zip(scale, stride, strict=True)]
        size = [n // s for n, s in zip(target.shape[2:], scale, strict=True)]
        levels.append(functional.interpolate(target.float(), size=size, mode="nearest-exact").to(target.dtype))
    return levels
