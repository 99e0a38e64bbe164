"""Where UNet^whole erred before, as voxels of nnU-Net's prepared cases: samples centred there teach it most."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from livercascade.data.lesion import Lesion
from livercascade.detect.seg2det import seg2det
from livercascade.train.hard_cases import MIN_LESION_ML, hard_lesions, prediction_of, read_prediction
from livercascade.train.training_cases import TrainingCase, read_oriented, translate
from livercascade.train.training_loop import Reporter

HARD = "hard"
"""Begin of the keys of missed lesions and false findings among nnU-Net's ``class_locations``."""
_VOXELS = 200
"""Kept of each: they only say where a sample may have its centre."""

Voxels = Int[np.ndarray, "n 4"]


class DatasetWithHardCases(nnUNetDatasetBlosc2):
    """nnU-Net's cases; ``hard`` adds to the voxels of each what `hard_voxels` gives."""

    hard: Mapping[str, Mapping[str, Voxels]] = {}

    def load_case(self, identifier: str) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Image, truth, none, and properties."""
        data, seg, earlier, properties = super().load_case(identifier)
        properties["class_locations"] = properties["class_locations"] | dict(self.hard.get(identifier, {}))
        return data, seg, earlier, properties


def hard_voxels(
    arrays: Path, cases: Sequence[TrainingCase], predictions: Path, reporter: Reporter
) -> dict[str, dict[str, Voxels]]:
    """Voxels (0, z, y, x) of every missed lesion and false finding, by case and finding; cached beside the arrays.

    Args:
        arrays: Folder of nnU-Net's prepared cases.
        cases: Those to look at; one without a prediction has none.
        predictions: Label maps of ``train out-of-fold``.
        reporter: Is told how far it is.

    Raises:
        InputError: A prediction is not on the grid of its case (``GRID_MISMATCH``).
    """
    reporter.stage("hard cases")
    found: dict[str, dict[str, Voxels]] = {}
    for done, case in enumerate(cases, start=1):
        path = prediction_of(predictions, case.name)
        if path is not None:
            found[case.name] = _cached(arrays, case, path)
        reporter.prepared(done, len(cases))
    return found


def _cached(arrays: Path, case: TrainingCase, prediction: Path) -> dict[str, Voxels]:
    digest = hashlib.sha256(prediction.read_bytes()).hexdigest()[:16]
    cache = arrays / f"{case.name}_hard_{digest}.npz"
    if not cache.is_file():
        aside = cache.with_suffix(".part.npz")
        np.savez(aside, allow_pickle=False, **_voxels(arrays, case, prediction))
        aside.replace(cache)
    with np.load(cache) as stored:
        return dict(stored)


def _voxels(arrays: Path, case: TrainingCase, prediction: Path) -> dict[str, Voxels]:
    stored, spacing = read_oriented(case.labels)
    labels = translate(stored, case)
    guess = read_prediction(prediction, labels)
    if guess is None:
        return {}
    prepared: Any = nnUNetDatasetBlosc2(str(arrays), [case.name]).load_case(case.name)
    shape, properties = prepared[0].shape[1:], prepared[3]
    missed, false = hard_lesions(seg2det(labels, spacing, min_volume_ml=MIN_LESION_ML), labels, guess)
    return {
        f"{HARD} {kind} {number}": _prepared(lesion, properties, shape)
        for kind, lesions in (("missed", missed), ("false", false))
        for number, lesion in enumerate(lesions)
    }


def _prepared(lesion: Lesion, properties: Mapping[str, Any], shape: tuple[int, ...]) -> Voxels:
    """Voxels of a lesion where nnU-Net's cropping and resampling have put them."""
    inside = np.argwhere(lesion.mask)[:: max(1, lesion.mask.sum() // _VOXELS)] + [part.start for part in lesion.bbox]
    low = np.array([first for first, _ in properties["bbox_used_for_cropping"]])
    scale = np.array(shape) / properties["shape_after_cropping_and_before_resampling"]
    moved = np.clip(np.floor((inside - low + 0.5) * scale), 0, np.array(shape) - 1).astype(np.int64)
    return np.pad(moved, ((0, 0), (1, 0)))
