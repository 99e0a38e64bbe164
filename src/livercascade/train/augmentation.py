"""Random changes of training samples, from nnU-Net's batchgeneratorsv2, cheap enough for two cores."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.pseudo2d import Convert2DTo3DTransform, Convert3DTo2DTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform

from livercascade.segment.model_card import Size
from livercascade.train.training_settings import Augmentation


def build_augmentation(settings: Augmentation, patch_size: Size) -> tuple[Callable[..., dict[str, torch.Tensor]], Size]:
    """Function that changes a sample and cuts it to size, and the size (z, y, x) that it has to start from.

    The function takes ``image [c, z, y, x]`` and ``segmentation [1, z, y, x]`` and returns both by these names.
    """
    if settings.recipe == "nnunet":
        # Importing nnU-Net takes seconds and needs its environment, which only a training process has.
        from livercascade.train.nnunet_network import nnunet_augmentation

        return nnunet_augmentation(patch_size)
    return light_augmentation(settings, patch_size), size_before_rotation(settings, patch_size)


def light_augmentation(settings: Augmentation, patch_size: Size) -> Callable[..., dict[str, torch.Tensor]]:
    """Rotation and zoom in the axial plane (5 mm slices allow no more), then changes of intensity."""
    spatial = RandomTransform(_in_plane(settings, patch_size), apply_probability=settings.spatial)
    return partial(_change, spatial=spatial, intensity=ComposeTransforms([*_intensity(settings)]), size=patch_size)


def size_before_rotation(settings: Augmentation, patch_size: Size) -> Size:
    """Size (z, y, x) a sample needs before rotation and zoom, so that no corner is empty at moderate angles."""
    grow = (1 + 0.5 * math.sin(math.radians(settings.rotation_degrees))) * max(1 / settings.scale[0], 1.0)
    if settings.spatial == 0:
        grow = 1.0
    return patch_size[0], math.ceil(patch_size[1] * grow), math.ceil(patch_size[2] * grow)


def _change(
    *,
    image: torch.Tensor,
    segmentation: torch.Tensor,
    spatial: RandomTransform,
    intensity: ComposeTransforms,
    size: Size,
) -> dict[str, torch.Tensor]:
    turned = spatial(image=image, segmentation=segmentation)
    # Where nothing was turned or zoomed, the sample still has its margin.
    return intensity(**{name: _middle(value, size) for name, value in turned.items()})


def _middle(value: torch.Tensor, size: Size) -> torch.Tensor:
    starts = [(have - want) // 2 for have, want in zip(value.shape[1:], size, strict=True)]
    z, y, x = (slice(start, start + want) for start, want in zip(starts, size, strict=True))
    return value[:, z, y, x]


def _in_plane(settings: Augmentation, patch_size: Size) -> ComposeTransforms:
    angle = math.radians(settings.rotation_degrees)
    turn = SpatialTransform(
        patch_size[1:],
        patch_center_dist_from_border=0,
        random_crop=False,
        p_elastic_deform=0,
        p_rotation=0.7,
        rotation=(-angle, angle),
        p_scaling=0.7,
        scaling=settings.scale,
        p_synchronize_scaling_across_axes=1,
        # Labels are whole numbers: no value between two of them means anything.
        mode_seg="nearest",
        border_mode_seg="zeros",
    )
    return ComposeTransforms([Convert3DTo2DTransform(), turn, Convert2DTo3DTransform()])


def _intensity(settings: Augmentation) -> list[RandomTransform]:
    change: list[tuple[Any, float]] = [
        (GaussianNoiseTransform((0, 0.1), p_per_channel=1, synchronize_channels=True), settings.noise),
        (GaussianBlurTransform((0.5, 1.0), False, False, p_per_channel=0.5, benchmark=False), settings.blur),
        (MultiplicativeBrightnessTransform(_around_one(0.8, 1.2), False, p_per_channel=1), settings.brightness),
        (ContrastTransform(_around_one(0.8, 1.2), True, False, p_per_channel=1), settings.contrast),
        (
            # Axis 0 is z, where the slices are thick already.
            SimulateLowResolutionTransform((0.5, 1), False, True, ignore_axes=(0,), p_per_channel=0.5),
            settings.low_resolution,
        ),
        (GammaTransform(_around_one(0.7, 1.5), 0, False, p_per_channel=1, p_retain_stats=1), settings.gamma),
    ]
    return [RandomTransform(transform, apply_probability=chance) for transform, chance in change]


def _around_one(low: float, high: float) -> Any:
    """Random factor that is below 1 as often as above."""
    return BGContrast((low, high))
