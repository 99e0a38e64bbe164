"""nnU-Net's trainer for networks that must cope with absent phases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from livercascade.data.labels import NUM_CLASSES, PHASES
from livercascade.segment.network import start_weights
from livercascade.segment.phase_input import phase_input
from livercascade.train.cross_validation import split_cases
from livercascade.train.curves import Curves
from livercascade.train.network_trainer import Batch, Learner, seed_everything, set_random_state
from livercascade.train.nnunet_network import build_for_training, build_loss
from livercascade.train.phase_dropout import drop_phases, seen_phases
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import TrainingCase
from livercascade.train.training_loop import Reporter, Session, fit
from livercascade.train.training_request import TrainRequest, fold_title
from livercascade.train.training_settings import WholeSettings
from livercascade.train.whole.held_out import held_out_patients
from livercascade.train.whole.nnunet_augmentation import augmentation
from livercascade.train.whole.whole_preparation import CONFIGURATION, NnUNetFolders, Plan, quiet
from livercascade.train.whole.whole_sampling import HARD, DatasetWithHardCases, hard_voxels
from livercascade.train.whole.whole_validation import HeldOut, WholeExaminer


def train(
    folder: RunFolder,
    cases: Sequence[TrainingCase],
    plan: Plan,
    request: TrainRequest,
    reporter: Reporter,
    stop: Callable[[], bool],
) -> bool:
    """Trains UNet^whole on the prepared cases, from the newest checkpoint if there is one; True when at its end."""
    settings = request.settings
    if not isinstance(settings, WholeSettings):
        raise TypeError("settings of another training")
    places = NnUNetFolders(folder.nnunet)
    plans = json.loads(places.plans.read_text()) | {"continue_training": folder.checkpoint.is_file()}
    dataset = json.loads((places.raw / "dataset.json").read_text())
    with quiet(folder):
        trainer = PhaseTrainer(plans, CONFIGURATION, 0, dataset, torch.device("cpu"))
    trainer.settings, trainer.folder, trainer.reporter, trainer.stop = settings, folder, reporter, stop
    trainer.plan, trainer.split = plan, split_cases(folder, cases, settings.fold)
    trainer.seen = {case.name: seen_phases(case.present, settings.phases) for case in cases}
    trainer.start_from = request.start_from
    if request.hard is not None:
        learnt = [case for case in cases if case.name in set(trainer.split[0])]
        trainer.hard = hard_voxels(places.arrays, learnt, request.hard, reporter)
        reporter.stage(f"training UNet^whole{fold_title(settings.fold)}")
    trainer.run_training()
    return trainer.complete


class PhaseTrainer(nnUNetTrainer):
    """nnU-Net's trainer with eight input channels, random loss of phases, steps for epochs and safe checkpoints."""

    settings: WholeSettings
    folder: RunFolder
    reporter: Reporter
    stop: Callable[[], bool]
    plan: Plan
    split: tuple[list[str], list[str]]
    seen: dict[str, np.ndarray]
    start_from: Path | None
    hard: Mapping[str, Mapping[str, np.ndarray]] = {}
    complete: bool = False

    def run_training(self) -> None:
        """Trains to the last step, then ``complete`` is true, or until asked to stop."""
        rng = seed_everything(self.settings.seed)
        architecture = self.plan.architecture
        self.network = build_for_training(
            architecture, 2 * len(PHASES), NUM_CLASSES, deep_supervision=self.settings.deep_supervision
        )
        if self.start_from is not None:
            start_weights(self.network, self.start_from)
        learner = Learner(self.network, self._build_loss(), architecture.strides, self.settings)
        self.optimizer = learner.optimiser
        self.dataloader_train, _ = self.get_dataloaders()
        examine = WholeExaminer(self._held_out(), self.plan.patch_size, self.plan.spacing_mm)
        if self.folder.checkpoint.is_file():
            set_random_state(learner.restore(self.folder.checkpoint), rng)
        curves = Curves.open(self.folder.tensorboard, learner.step)
        session = Session(self.settings, self.folder, rng, examine, self.reporter, self.stop, curves)
        self.complete = fit(learner, self._batches(rng), session)

    def get_dataloaders(self) -> Any:
        """Endless training samples, augmented; patients are examined whole, so there are no validation samples."""
        settings = self.settings
        transforms, size = augmentation(settings.augmentation, self.plan.patch_size)
        dataset = self._dataset(self.split[0])
        dataset.hard = self.hard
        loader: Any = SampleLoader(
            dataset, self.plan.batch_size, size, self.plan.patch_size, self.label_manager, transforms=transforms
        )
        loader.lesion_share, loader.organ_share = settings.lesion_share, settings.organ_share
        loader.hard_share = settings.hard_share
        if settings.workers > 0:
            seeds = [settings.seed * 1000 + i for i in range(settings.workers)]
            loader = NonDetMultiThreadedAugmenter(loader, None, settings.workers, 4 * settings.workers, seeds)
        return loader, None

    def _dataset(self, names: list[str]) -> DatasetWithHardCases:
        return DatasetWithHardCases(str(NnUNetFolders(self.folder.nnunet).arrays), list(names))

    def _held_out(self) -> tuple[HeldOut, ...]:
        count = self.settings.validation_patients
        plan = self.plan
        return held_out_patients(self._dataset(self.split[1]), self.seen, count, plan.patch_size, plan.spacing_mm)

    def _build_loss(self) -> Any:
        return build_loss(self.settings, self.plan.architecture.n_stages - 1)

    def _batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        for raw in self.dataloader_train:
            yield self._batch(raw, rng)

    def _batch(self, raw: dict[str, Any], rng: np.random.Generator) -> Batch:
        there = [drop_phases(self.seen[str(name)], self.settings.phase_dropout, rng) for name in raw["keys"]]
        flags = torch.from_numpy(np.stack(there))
        return Batch(phase_input(raw["data"], flags), raw["target"].clamp_min(0))


class SampleLoader(nnUNetDataLoader):
    """nnU-Net's loader with samples centred near a lesion, each type in the case as likely, or near an organ.

    Where it is known what UNet^whole missed or found where nothing is, a share of the samples is centred there.
    """

    lesion_share: float
    organ_share: float
    hard_share: float

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
            shift = np.random.uniform(-0.25, 0.25, 3) * self.final_patch_size  # noqa: NPY002
            start = np.rint(centre + shift - size / 2).astype(int)
            overhang = np.maximum(size - shape, 0) + self.need_to_pad
            start = np.clip(start, -(overhang // 2) - 1, np.maximum(shape - size, 0) + overhang // 2 + 1)
        return [int(v) for v in start], [int(v) for v in start + size]

    def _centre(self, locations: dict[Any, np.ndarray]) -> np.ndarray | None:
        hard = [key for key in locations if str(key).startswith(HARD)]
        lesions = [key for key in locations if isinstance(key, tuple)]
        organs = [key for key in locations if isinstance(key, int | np.integer) and len(locations[key])]
        draw = np.random.uniform()  # noqa: NPY002
        if hard and np.random.uniform() < self.hard_share:  # noqa: NPY002
            keys: list[Any] = hard
        elif draw < self.lesion_share and lesions:
            types = sorted({key[0] for key in lesions})
            chosen = types[np.random.randint(len(types))]  # noqa: NPY002
            keys = [key for key in lesions if key[0] == chosen]
        elif draw < self.lesion_share + self.organ_share and organs:
            keys = organs
        else:
            return None
        voxels = locations[keys[np.random.randint(len(keys))]]  # noqa: NPY002
        return voxels[np.random.randint(len(voxels))][1:]  # noqa: NPY002


def _anywhere(have: int, want: int) -> int:
    low, high = sorted((0, have - want))
    return int(np.random.randint(low, high + 1))  # noqa: NPY002
