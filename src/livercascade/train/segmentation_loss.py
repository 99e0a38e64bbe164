"""Losses of both trainings: nnU-Net's, or cross-entropy with the soft Dice of classes and of groups of classes.

`build_loss` is the one place where a training gets its loss; `GroupedLoss` sees the reference label of every voxel.
It may be a class, or a set of classes of which the true one is not known (`livercascade.data.coverage`): the loss then
neither rewards nor punishes any of them over the others (the marginal and exclusion losses of Shi et al. 2021,
doi:10.1016/j.media.2021.101979, without what they assume of empty classes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Integer
from torch.nn import functional

from livercascade.data.coverage import LIVER_CLASSES, classes_of
from livercascade.data.labels import FIRST_LESION, LAST_LESION
from livercascade.train.training_settings import TrainSettings

SegmentationLoss = Callable[[Any, Any], torch.Tensor]
"""Loss of logits and reference labels, or with deep supervision of a list of each, finest resolution first."""
LabelTensor = Integer[torch.Tensor, "batch 1 z y x"]

ANY_LESION = tuple(range(FIRST_LESION, LAST_LESION + 1))
LIVER_WITH_CONTENT = tuple(sorted(LIVER_CLASSES))
_TINY = 1e-30
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
    each reference label. So loss and gradient take two passes over the logits, in pieces that fit the cache.

    A voxel whose label is a set of classes has the cross-entropy of their summed probability; in the Dice of a group
    it is reference if the whole set is in the group, background if none of it is, and left out otherwise.

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
        """Loss of a batch, -2 when perfect; classes and groups without any sure voxel have no Dice term."""
        rows, labels = logits.permute(0, 2, 3, 4, 1).reshape(-1, logits.shape[1]), target[:, 0].long().flatten()
        loss: Any = _GroupedLoss.apply(rows, _References.of(labels, logits.shape[1]), self._dice)
        return loss + self.type_weight * type_entropy(rows, labels) if self.type_weight else loss

    def _dice(
        self,
        sums: Float[torch.Tensor, "label class_"],
        voxels: Float[torch.Tensor, " label"],
        members: Bool[torch.Tensor, "label class_"],
    ) -> Float[torch.Tensor, ""]:
        """Mean Dice of the classes plus mean Dice of the groups."""
        singles = [(c,) for c in range(1, sums.shape[1])]
        return self._mean_dice(sums, voxels, members, singles) + self._mean_dice(sums, voxels, members, self.groups)

    def _mean_dice(
        self,
        sums: Float[torch.Tensor, "label class_"],
        voxels: Float[torch.Tensor, " label"],
        members: Bool[torch.Tensor, "label class_"],
        groups: Sequence[tuple[int, ...]],
    ) -> Float[torch.Tensor, ""]:
        dice: list[torch.Tensor] = []
        for group in groups:
            inside = [c for c in group if c < sums.shape[1]]
            common = members[:, inside].sum(1)
            reference, outside = common == members.sum(1), common == 0
            volume = voxels[reference].sum()
            if bool(volume > 0):
                found = sums[:, inside].sum(1)
                overlap, size = found[reference].sum(), found[reference | outside].sum()
                dice.append((2 * overlap + self.smooth) / (size + volume + self.smooth))
        return torch.stack(dice).mean() if dice else sums.new_zeros(())


@dataclass(frozen=True, slots=True)
class _References:
    """Reference labels of a batch.

    Attributes:
        rows: Row in ``members`` of each voxel's label: the class itself, sets of classes after the last class.
        members: True for each class that a label allows.
        counted: Voxels of which something is said.
    """

    rows: Integer[torch.Tensor, " voxel"]
    members: Bool[torch.Tensor, "label class_"]
    counted: int

    @classmethod
    def of(cls, labels: Integer[torch.Tensor, " voxel"], classes: int) -> _References:
        members = torch.eye(classes, dtype=torch.bool, device=labels.device)
        if not bool((labels >= classes).any()):
            return cls(labels, members, len(labels))
        voxels = torch.bincount(labels)
        sets = [value for value in torch.nonzero(voxels)[:, 0].tolist() if value >= classes]
        table = torch.arange(len(voxels), device=labels.device)
        table[sets] = torch.arange(classes, classes + len(sets), device=labels.device)
        more = torch.zeros((len(sets), classes), dtype=torch.bool, device=labels.device)
        for row, value in zip(more, sets, strict=True):
            row[[c for c in classes_of(value) if c < classes]] = True
        ignored = int(voxels[[value for value, row in zip(sets, more, strict=True) if bool(row.all())]].sum())
        return cls(table[labels], torch.cat((members, more)), max(len(labels) - ignored, 1))


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
    def forward(
        ctx: Any, rows: torch.Tensor, references: _References, dice: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        count, classes = rows.shape
        members = references.members
        probability = torch.empty_like(rows)
        sums = torch.zeros(len(members), classes, device=rows.device)
        entropy = torch.zeros((), device=rows.device)
        for piece in _pieces(count):
            logs = torch.log_softmax(rows[piece].float().T.contiguous(), dim=0)
            labels = references.rows[piece]
            entropy -= _log_likelihood(logs, labels, members).sum()
            shares = logs.exp_()
            sums += _one_hot(labels, len(members), shares) @ shares.T
            probability[piece] = shares.T
        voxels = torch.bincount(references.rows, minlength=len(members)).to(sums.dtype)
        score, slope = _with_slope(dice, sums, voxels, members)
        for piece in _pieces(count):
            shares, labels = probability[piece].float().T.contiguous(), references.rows[piece]
            gradient = slope.T @ _one_hot(labels, len(members), shares)
            wanted = _responsibility(shares, labels, members)
            gradient = (gradient - (gradient * shares).sum(0)).mul_(-shares)
            probability[piece] = gradient.add_(shares - wanted, alpha=1 / references.counted).T
        ctx.save_for_backward(probability)
        return entropy / references.counted - score

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0].to(gradient.dtype), None, None


def _pieces(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _PIECE, count)) for start in range(0, count, _PIECE))


def _one_hot(labels: torch.Tensor, count: int, like: torch.Tensor) -> torch.Tensor:
    return like.new_zeros((count, len(labels))).scatter_(0, labels[None], 1)


def _log_likelihood(logs: torch.Tensor, labels: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
    """Logarithm of the summed probability of the classes that each voxel's label allows."""
    classes = len(logs)
    known = labels.clamp_max(classes - 1)
    found = logs.gather(0, known[None])[0]
    sets = torch.nonzero(labels >= classes)[:, 0]
    if len(sets):
        allowed = members[labels[sets]].T
        found[sets] = torch.logsumexp(logs[:, sets].masked_fill(~allowed, -math.inf), dim=0)
    return found


def _responsibility(shares: torch.Tensor, labels: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
    """Share of each class in what a voxel's label allows: 1 for a known class, the network's own within a set."""
    classes = len(shares)
    wanted = _one_hot(labels, len(members), shares)[:classes]
    sets = torch.nonzero(labels >= classes)[:, 0]
    if len(sets):
        inside = shares[:, sets] * members[labels[sets]].T
        # Where all of a set has no probability left, the pull is even: any of its classes would do.
        even = members[labels[sets]].T.to(shares.dtype)
        total = inside.sum(0)
        wanted[:, sets] = torch.where(total > _TINY, inside / total.clamp_min(_TINY), even / even.sum(0))
    return wanted


def _with_slope(
    dice: Callable[..., torch.Tensor], sums: torch.Tensor, voxels: torch.Tensor, members: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Dice and its derivative by every entry of ``sums``."""
    with torch.enable_grad():
        leaf = sums.clone().requires_grad_()
        score = dice(leaf, voxels, members)
    # A batch of nothing but background, or of open labels, has no Dice.
    slope = torch.autograd.grad(score, leaf)[0] if score.requires_grad else torch.zeros_like(sums)
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
