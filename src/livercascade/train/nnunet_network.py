"""nnU-Net's choices for a training: network topology, random start, loss, and augmentation.

Importing this module takes seconds; it is done in the training process alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from nnunetv2.configuration import ANISO_THRESHOLD
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn

from livercascade.segment.model_card import Architecture, ModelCard, NetworkClass, Size
from livercascade.train.channels_last_norm import use_fast_norm
from livercascade.train.training_settings import TrainSettings


def plan_architecture(settings: TrainSettings) -> Architecture:
    """Kernels and strides that nnU-Net's planner gives for spacing and patch size, cut to ``stages`` stages."""
    # 4 is nnU-Net's least size of the coarsest stage, 999 its limit of stages; ours is cut below.
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
    """Architecture that an entry of nnU-Net's plans file describes."""
    return Architecture.model_validate(
        {"network": entry["network_class_name"].rpartition(".")[2]} | entry["arch_kwargs"]
    )


def plan_entry(architecture: Architecture) -> dict[str, Any]:
    """Entry of nnU-Net's plans file that describes an architecture."""
    arguments = architecture.model_dump(mode="json", exclude={"network"})
    # Plain and residual networks name their blocks differently; nnU-Net refuses the other's argument.
    unused = "n_blocks_per_stage" if architecture.network is NetworkClass.PLAIN else "n_conv_per_stage"
    del arguments[unused]
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{architecture.network.value}",
        "arch_kwargs": arguments,
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def build_for_training(card: ModelCard, *, deep_supervision: bool) -> nn.Module:
    """Network of a card with nnU-Net's random start."""
    entry = plan_entry(card.architecture)
    network = get_network_from_plans(
        entry["network_class_name"],
        entry["arch_kwargs"],
        entry["_kw_requires_import"],
        card.input_channels,
        len(card.classes),
        allow_init=True,
        deep_supervision=deep_supervision,
    )
    use_fast_norm(network)
    return network


def nnunet_loss(outputs: int, *, deep_supervision: bool) -> Callable[[Any, Any], torch.Tensor]:
    """Loss of nnU-Net for a network with ``outputs`` resolutions: Dice of the batch plus cross-entropy."""
    dice = {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}
    soft_dice: Any = MemoryEfficientSoftDiceLoss
    loss = DC_and_CE_loss(dice, {}, dice_class=soft_dice)
    if not deep_supervision:
        return loss
    # As nnUNetTrainer: half the weight per stage, none for the coarsest.
    weights = np.array([0.5**i for i in range(outputs)])
    weights[-1] = 0 if outputs > 1 else 1
    return DeepSupervisionWrapper(loss, weights / weights.sum())


def nnunet_augmentation(patch_size: Size) -> tuple[Callable[..., dict[str, torch.Tensor]], Size]:
    """nnU-Net's own changes of a sample, mirroring included, and the size (z, y, x) that it has to start from."""
    # As nnUNetTrainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size, which needs a whole trainer.
    flat = max(patch_size) / patch_size[0] > ANISO_THRESHOLD
    angle = np.pi if flat else np.pi / 6
    turn: Any = (-angle, angle)
    # The range of zoom is the one nnUNetTrainer plans its margin for.
    size = [int(n) for n in get_patch_size(patch_size, turn, turn, turn, (0.85, 1.25))]
    if flat:
        size[0] = patch_size[0]
    transform: Any = nnUNetTrainer.get_training_transforms(np.array(patch_size), turn, None, (0, 1, 2), flat)
    return transform, (size[0], size[1], size[2])


def _size(values: Sequence[int]) -> Size:
    z, y, x = (int(v) for v in values)
    return z, y, x
