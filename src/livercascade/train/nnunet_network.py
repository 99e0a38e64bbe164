"""nnU-Net's choices for a training: network topology, random start, and loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn

from livercascade.segment.card import Architecture, NetworkClass, Size
from livercascade.train.channels_last_norm import use_fast_norm
from livercascade.train.segmentation_loss import build_grouped
from livercascade.train.training_settings import LossKind, TrainSettings


def plan_architecture(settings: TrainSettings) -> Architecture:
    """Kernels and strides that nnU-Net's planner gives for spacing and patch size, cut to ``stages`` stages."""
    _, strides, kernels, _, _ = get_pool_and_conv_props(settings.spacing_mm, settings.patch_size, 4, 999)
    stages = min(len(strides), settings.stages)
    features = [min(settings.base_features * 2**i, settings.max_features) for i in range(stages)]
    blocks = (settings.blocks_per_stage,) * stages
    plain = settings.network is NetworkClass.PLAIN
    return Architecture(
        network=settings.network,
        n_stages=stages,
        features_per_stage=tuple(features),
        kernel_sizes=tuple(_size(k) for k in kernels[:stages]),
        strides=tuple(_size(s) for s in strides[:stages]),
        n_conv_per_stage=blocks if plain else None,
        n_blocks_per_stage=None if plain else blocks,
        n_conv_per_stage_decoder=(settings.decoder_blocks_per_stage,) * (stages - 1),
    )


def read_entry(entry: dict[str, Any]) -> Architecture:
    """Architecture of an entry of nnU-Net's plans file."""
    return Architecture.model_validate(
        {"network": entry["network_class_name"].rpartition(".")[2]} | entry["arch_kwargs"]
    )


def plan_entry(architecture: Architecture) -> dict[str, Any]:
    """The same architecture as an entry of nnU-Net's plans file."""
    arguments = architecture.model_dump(mode="json", exclude={"network"})
    unused = "n_blocks_per_stage" if architecture.network is NetworkClass.PLAIN else "n_conv_per_stage"
    del arguments[unused]
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{architecture.network.value}",
        "arch_kwargs": arguments,
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def build_for_training(architecture: Architecture, inputs: int, classes: int, *, deep_supervision: bool) -> nn.Module:
    """Network with nnU-Net's random start."""
    entry = plan_entry(architecture)
    network = get_network_from_plans(
        entry["network_class_name"],
        entry["arch_kwargs"],
        entry["_kw_requires_import"],
        inputs,
        classes,
        allow_init=True,
        deep_supervision=deep_supervision,
    )
    use_fast_norm(network)
    return network


def build_loss(settings: TrainSettings, outputs: int) -> Callable[[Any, Any], torch.Tensor]:
    """Loss of a network with ``outputs`` resolutions: nnU-Net's, or the grouped one."""
    if settings.loss is LossKind.GROUPED:
        return build_grouped(settings.deep_supervision, settings.type_weight)
    dice = {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}
    soft_dice: Any = MemoryEfficientSoftDiceLoss
    loss = DC_and_CE_loss(dice, {}, dice_class=soft_dice)
    if not settings.deep_supervision:
        return loss
    weights = np.array([0.5**i for i in range(outputs)])
    weights[-1] = 0 if outputs > 1 else 1
    return DeepSupervisionWrapper(loss, weights / weights.sum())


def _size(values: Sequence[int]) -> Size:
    z, y, x = (int(v) for v in values)
    return z, y, x
