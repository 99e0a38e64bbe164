"""Which samples UNet^whole is shown: nnU-Net's prepared cases, and where in them a sample has its centre.

A sample lies near a lesion, near an organ or anywhere; where it is known what an earlier UNet^whole missed or found
where nothing is, a share of the samples lies there, for those teach it most.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from jaxtyping import Bool, Int, Integer
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from livercascade.data.coverage import ignored, resolved
from livercascade.data.labels import LesionType
from livercascade.data.lesion import Lesion
from livercascade.detect.seg2det import seg2det
from livercascade.segment.model_card import Size
from livercascade.segment.network_input import phase_input
from livercascade.system.files import sha256_of, write_file
from livercascade.train.augmentation import build_augmentation
from livercascade.train.hard_cases import MIN_LESION_ML, hard_lesions, prediction_of, read_prediction
from livercascade.train.network_trainer import TrainingBatch
from livercascade.train.phase_dropout import drop_phases
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import TrainingCase, read_labels
from livercascade.train.training_loop import TrainingReporter
from livercascade.train.training_settings import WholeSettings
from livercascade.train.whole.whole_preparation import read_plans

HARD = "hard"
"""Begin of the keys of missed lesions and false findings among nnU-Net's ``class_locations``."""
_VOXELS = 200
"""Voxels kept of each: they only say where a sample may have its centre."""
_SHIFT = 0.25
"""Most a sample's centre lies off the chosen voxel, as a share of the patch: lesions are seen off centre too."""

HardVoxels = Int[np.ndarray, "n 4"]


class CaseArrays(nnUNetDatasetBlosc2):
    """Prepared cases of a run as nnU-Net's loader reads them.

    Args:
        folder: Run with prepared data.
        names: Cases to read.

    Attributes:
        hard: Voxels (0, z, y, x) of missed lesions and false findings, by case and finding.
        weights: Chance of a case to be drawn, relative to 1, the chance of those that are not named.
    """

    def __init__(self, folder: RunFolder, names: Sequence[str]) -> None:
        super().__init__(str(folder.nnunet_arrays), list(names))
        self.hard: Mapping[str, Mapping[str, HardVoxels]] = {}
        self.weights: Mapping[str, float] = {}

    def load_case(self, identifier: str) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Image, labels, none, and properties."""
        data, seg, earlier, properties = super().load_case(identifier)
        properties["class_locations"] = properties["class_locations"] | dict(self.hard.get(identifier, {}))
        return data, seg, earlier, properties

    def labelled_case(self, name: str) -> tuple[Any, Integer[np.ndarray, "z y x"]]:
        """Image [channel, z, y, x], read from the disk where it is sliced, and labels: classes and sets of classes."""
        data, seg, _, _ = self.load_case(name)
        return data, np.maximum(np.asarray(seg[0]), 0).astype(np.int16)


class LesionCentredLoader(nnUNetDataLoader):
    """nnU-Net's loader with samples centred near a lesion, each type in the case as likely, or near an organ.

    Attributes:
        shares: Settings with the shares of samples near lesions, organs and hard cases.
    """

    shares: WholeSettings

    def get_bbox(
        self,
        data_shape: Any,
        force_fg: bool,  # noqa: ARG002
        class_locations: dict[Any, np.ndarray] | None,
        overwrite_class: Any = None,  # noqa: ARG002
        verbose: bool = False,  # noqa: ARG002
    ) -> tuple[list[int], list[int]]:
        """Lower and upper corner of one sample, which may reach over the image's edge."""
        size, shape = np.asarray(self.patch_size), np.asarray(data_shape)
        centre = self._centre(class_locations or {})
        if centre is None:
            start = np.array([_anywhere(have, want) for have, want in zip(shape, size, strict=True)])
        else:
            shift = np.random.uniform(-_SHIFT, _SHIFT, 3) * self.final_patch_size  # noqa: NPY002
            start = np.rint(centre + shift - size / 2).astype(int)
            overhang = np.maximum(size - shape, 0) + self.need_to_pad
            start = np.clip(start, -(overhang // 2) - 1, np.maximum(shape - size, 0) + overhang // 2 + 1)
        return [int(v) for v in start], [int(v) for v in start + size]

    def _centre(self, locations: dict[Any, np.ndarray]) -> np.ndarray | None:
        """Voxel (z, y, x) near which the sample lies; None for anywhere."""
        hard = [key for key in locations if str(key).startswith(HARD)]
        lesions = [key for key in locations if isinstance(key, tuple)]
        organs = [key for key in locations if isinstance(key, int | np.integer) and len(locations[key])]
        shares, draw = self.shares, np.random.uniform()  # noqa: NPY002
        if hard and np.random.uniform() < shares.hard_share:  # noqa: NPY002
            keys: list[Any] = hard
        elif draw < shares.lesion_share and lesions:
            # First the type, then the lesion: rare types are seen as often as common ones.
            types = sorted({key[0] for key in lesions})
            chosen = types[np.random.randint(len(types))]  # noqa: NPY002
            keys = [key for key in lesions if key[0] == chosen]
        elif draw < shares.lesion_share + shares.organ_share and organs:
            keys = organs
        else:
            return None
        voxels = locations[keys[np.random.randint(len(keys))]]  # noqa: NPY002
        return voxels[np.random.randint(len(voxels))][1:]  # noqa: NPY002


def training_batches(
    folder: RunFolder,
    cases: CaseArrays,
    seen: Mapping[str, Bool[np.ndarray, " phase"]],
    settings: WholeSettings,
    patch_size: Size,
    rng: np.random.Generator,
) -> Iterator[TrainingBatch]:
    """Endless augmented batches of random samples, phases hidden at random.

    Args:
        folder: Run with prepared data.
        cases: Cases to draw from.
        seen: Phases the network may see of each case.
        settings: Settings of the training.
        patch_size: Size (z, y, x) of the network's patches.
        rng: Source of the phase dropout; where a sample lies is drawn from numpy's global generator, as in nnU-Net.
    """
    loader = _loader(folder, cases, settings, patch_size)

    def batches() -> Iterator[TrainingBatch]:
        for raw in loader:
            kept = [drop_phases(seen[str(name)], settings.phase_dropout, rng) for name in raw["keys"]]
            flags = torch.from_numpy(np.stack(kept))
            # nnU-Net marks what lies outside the image with -1.
            yield TrainingBatch(phase_input(raw["data"], flags), raw["target"].clamp_min(0))

    return batches()


def _loader(folder: RunFolder, cases: CaseArrays, settings: WholeSettings, patch_size: Size) -> Any:
    plans, chosen = read_plans(folder)
    labels = PlansManager(plans).get_label_manager(json.loads((folder.nnunet_raw / "dataset.json").read_text()))
    transforms, size = build_augmentation(settings.augmentation, patch_size)
    weights = np.array([cases.weights.get(name, 1.0) for name in cases.identifiers])
    loader: Any = LesionCentredLoader(
        cases,
        int(chosen["batch_size"]),
        size,
        patch_size,
        labels,
        sampling_probabilities=weights / weights.sum(),
        transforms=transforms,
    )
    loader.shares = settings
    if settings.workers > 0:
        # Runs of neighbouring seeds must not share the samples of any worker.
        seeds = [settings.seed * 1000 + i for i in range(settings.workers)]
        loader = NonDetMultiThreadedAugmenter(loader, None, settings.workers, 4 * settings.workers, seeds)
    return loader


def find_hard_voxels(
    folder: RunFolder, cases: Sequence[TrainingCase], predictions: Path, reporter: TrainingReporter
) -> dict[str, dict[str, HardVoxels]]:
    """Voxels (0, z, y, x) of every missed lesion and false finding, by case and finding; cached beside the arrays.

    Args:
        folder: Run with prepared data.
        cases: Cases to look at; one without a prediction has none.
        predictions: Folder with the label maps of ``train out-of-fold``.
        reporter: Receiver of the progress.

    Raises:
        InputError: A prediction is not on the grid of its case (``GRID_MISMATCH``).
    """
    reporter.stage("hard cases")
    found: dict[str, dict[str, HardVoxels]] = {}
    for done, case in enumerate(cases, start=1):
        path = prediction_of(predictions, case.name)
        if path is not None:
            found[case.name] = _cached(folder, case, path)
        reporter.prepared(done, len(cases))
    return found


def _cached(folder: RunFolder, case: TrainingCase, prediction: Path) -> dict[str, HardVoxels]:
    cache = folder.nnunet_arrays / f"{case.name}_hard_{sha256_of(prediction)[:16]}.npz"
    if not cache.is_file():
        stream = BytesIO()
        np.savez(stream, allow_pickle=False, **_hard_voxels(folder, case, prediction))
        write_file(cache, stream.getvalue())
    with np.load(cache) as stored:
        return dict(stored)


def _hard_voxels(folder: RunFolder, case: TrainingCase, prediction: Path) -> dict[str, HardVoxels]:
    stored, spacing = read_labels(case)
    labels = resolved(stored, unknown_lesion=LesionType.OTHER)
    guess = read_prediction(prediction, labels)
    if guess is None:
        return {}
    # What nobody could judge is no false finding.
    guess[ignored(stored)] = 0
    image, _, _, properties = CaseArrays(folder, [case.name]).load_case(case.name)
    missed, false = hard_lesions(seg2det(labels, spacing, min_volume_ml=MIN_LESION_ML), labels, guess)
    return {
        f"{HARD} {kind} {number}": _on_prepared_grid(lesion, properties, image.shape[1:])
        for kind, lesions in (("missed", missed), ("false", false))
        for number, lesion in enumerate(lesions)
    }


def _on_prepared_grid(lesion: Lesion, properties: Mapping[str, Any], shape: tuple[int, ...]) -> HardVoxels:
    """Voxels of a lesion where nnU-Net's cropping and resampling have put them."""
    inside = np.argwhere(lesion.mask)[:: max(1, lesion.mask.sum() // _VOXELS)] + [part.start for part in lesion.bbox]
    low = np.array([first for first, _ in properties["bbox_used_for_cropping"]])
    scale = np.array(shape) / properties["shape_after_cropping_and_before_resampling"]
    moved = np.clip(np.floor((inside - low + 0.5) * scale), 0, np.array(shape) - 1).astype(np.int64)
    return np.pad(moved, ((0, 0), (1, 0)))


def _anywhere(have: int, want: int) -> int:
    low, high = sorted((0, have - want))
    return int(np.random.randint(low, high + 1))  # noqa: NPY002
