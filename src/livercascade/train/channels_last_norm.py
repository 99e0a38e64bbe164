"""Instance normalisation that keeps channels-last memory: torch's own copies the layout away and back on every call.

On a CPU in bfloat16 this halves the time of a training step; names and meaning of the parameters stay the same.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import nn

_FOLD = 8
"""Neighbouring voxels taken as one row: rows of 8 or 16 channels are too short for the vector units."""


class ChannelsLastInstanceNorm(nn.Module):
    """Drop-in for an affine ``InstanceNorm3d`` without running statistics; shares its parameters."""

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Float[torch.Tensor, "batch channel z y x"]) -> Float[torch.Tensor, "batch channel z y x"]:
        """Every channel of every sample with its own mean and variance."""
        result: Any = _InstanceNorm.apply(x, self.weight, self.bias, self.eps)
        return result


def use_fast_norm(network: nn.Module) -> None:
    """Replaces every affine ``InstanceNorm3d`` of a network in place, under all of its names."""
    made: dict[int, ChannelsLastInstanceNorm] = {}
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.InstanceNorm3d) and child.affine and not child.track_running_stats:
                setattr(module, name, made.setdefault(id(child), ChannelsLastInstanceNorm(child)))
        _replace_items(module, made)


def _replace_items(module: nn.Module, made: dict[int, ChannelsLastInstanceNorm]) -> None:
    """Children that `named_children` hides because they appear under an earlier name."""
    for name, child in list(module._modules.items()):  # pyright: ignore[reportPrivateUsage]
        if id(child) in made:
            module._modules[name] = made[id(child)]  # pyright: ignore[reportPrivateUsage]


class _InstanceNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        rows = _rows(x)
        count = x[0, 0].numel()
        mean = _total(rows, x.shape[1]) / count
        variance = (_total(rows * rows, x.shape[1]) / count - mean * mean).clamp_min(0)
        inverse = torch.rsqrt(variance + eps)
        scale = weight.float() * inverse
        shift = bias.float() - mean * scale
        ctx.save_for_backward(x, weight, mean, inverse)
        # A fresh tensor instead of a view: the activation that follows works in place.
        result = torch.empty_like(x, memory_format=torch.channels_last_3d)
        torch.addcmul(_wide(shift, rows), rows, _wide(scale, rows), out=_rows(result))
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        x, weight, mean, inverse = ctx.saved_tensors
        gradient = gradients[0].to(x.dtype)
        rows, above, count = _rows(x), _rows(gradient), x[0, 0].numel()
        total = _total(above, x.shape[1])
        along = (_total(above * rows, x.shape[1]) - mean * total) * inverse
        scale = weight.float() * inverse
        slope = -scale * along * inverse / count
        offset = -scale * total / count - slope * mean
        below = torch.empty_like(x, memory_format=torch.channels_last_3d)
        torch.addcmul(_wide(offset, rows), rows, _wide(slope, rows), out=_rows(below))
        _rows(below).addcmul_(above, _wide(scale, rows))
        return below, along.sum(0).to(weight.dtype), total.sum(0).to(weight.dtype), None


def _rows(x: torch.Tensor) -> torch.Tensor:
    """View [batch, voxels / fold, fold * channels] of a channels-last tensor."""
    flat = x.permute(0, 2, 3, 4, 1).contiguous().flatten(1, 3)
    fold = _FOLD if flat.shape[1] % _FOLD == 0 else 1
    return flat.view(flat.shape[0], flat.shape[1] // fold, fold * flat.shape[2])


def _total(rows: torch.Tensor, channels: int) -> torch.Tensor:
    return rows.sum(1, dtype=torch.float32).view(rows.shape[0], -1, channels).sum(1)


def _wide(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    repeated = values.repeat(1, rows.shape[2] // values.shape[1])
    return repeated[:, None].to(rows.dtype)
