"""nnU-Net's own training disturbances, mirroring included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nnunetv2.configuration import ANISO_THRESHOLD
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from livercascade.segment.card import Size
from livercascade.train.augmentation import Sample, build_augmentation, margin
from livercascade.train.training_settings import Augmentation, AugmentationRecipe


def augmentation(settings: Augmentation, patch_size: Size) -> tuple[Callable[..., Sample], Size]:
    """Function that disturbs image and segmentation and cuts them to size, and the size (z, y, x) it starts from."""
    if settings.recipe is AugmentationRecipe.LIGHT:
        return build_augmentation(settings, patch_size), margin(settings, patch_size)
    return _nnunets(patch_size)


def _nnunets(patch_size: Size) -> tuple[Callable[..., Sample], Size]:
    # As nnUNetTrainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size, which needs a whole trainer.
    flat = max(patch_size) / patch_size[0] > ANISO_THRESHOLD
    angle = np.pi if flat else np.pi / 6
    turn: Any = (-angle, angle)
    size = [int(n) for n in get_patch_size(patch_size, turn, turn, turn, (0.85, 1.25))]
    if flat:
        size[0] = patch_size[0]
    transform: Any = nnUNetTrainer.get_training_transforms(np.array(patch_size), turn, None, (0, 1, 2), flat)
    return transform, (size[0], size[1], size[2])
