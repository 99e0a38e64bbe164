"""Livers of held-out patients from nnU-Net's prepared arrays, for the examination of UNet^whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from livercascade.data.grid import Triple
from livercascade.data.lesion import Box
from livercascade.detect.liver import liver_with_content
from livercascade.detect.seg2det import bounding_box
from livercascade.segment.card import Size
from livercascade.segment.phase_input import phase_input
from livercascade.train.cross_validation import by_hash
from livercascade.train.whole.whole_validation import HeldOut

_AROUND_MM = 15.0


def held_out_patients(
    arrays: nnUNetDatasetBlosc2,
    present: Mapping[str, Bool[np.ndarray, " phase"]],
    count: int,
    patch_size: Size,
    spacing: Triple,
) -> tuple[HeldOut, ...]:
    """Up to ``count`` patients of prepared cases, the same for the same names; those without liver are passed over.

    Args:
        arrays: Prepared held-out cases.
        present: Phases the network may see of each.
        count: How many.
        patch_size: Of the network's windows; smaller livers are given so much of their surroundings, or zeros.
        spacing: (z, y, x) in mm.
    """
    found: list[HeldOut] = []
    for name in sorted(arrays.identifiers, key=by_hash):
        loaded: Any = arrays.load_case(name)
        data, seg = loaded[0], loaded[1]
        labels = np.maximum(np.asarray(seg[0]), 0).astype(np.uint8)
        box = bounding_box(liver_with_content(labels))
        if box is not None:
            box = _wider(box, labels.shape, patch_size, spacing)
            image = phase_input(
                torch.from_numpy(np.asarray(data[(slice(None), *box)])), torch.from_numpy(present[name])
            )
            found.append(_padded(name, image, labels[box], present[name], patch_size))
        if len(found) == count:
            break
    return tuple(found)


def _wider(box: Box, shape: Sequence[int], size: Size, spacing: Triple) -> Box:
    sides: list[slice] = []
    for side, have, want, mm in zip(box, shape, size, spacing, strict=True):
        grow = max(math.ceil(_AROUND_MM / mm), math.ceil((want - (side.stop - side.start)) / 2))
        sides.append(slice(max(side.start - grow, 0), min(side.stop + grow, have)))
    return sides[0], sides[1], sides[2]


def _padded(
    name: str,
    image: Float32[torch.Tensor, "channel z y x"],
    labels: UInt8[np.ndarray, "z y x"],
    present: Bool[np.ndarray, " phase"],
    size: Size,
) -> HeldOut:
    """Images smaller than a window are filled up as in training: phases with 0, flags go on."""
    missing = [max(want - have, 0) for have, want in zip(labels.shape, size, strict=True)]
    around = (0, missing[2], 0, missing[1], 0, missing[0])
    phases = torch.nn.functional.pad(image[: len(present)], around)
    flags = torch.from_numpy(present).to(image.dtype)[:, None, None, None].expand(phases.shape)
    filled = np.pad(labels, [(0, n) for n in missing])
    shown = 2 if present[2] else int(np.flatnonzero(present)[0])
    return HeldOut(name, torch.cat((phases, flags)), filled, shown)
