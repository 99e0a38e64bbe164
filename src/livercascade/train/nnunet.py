"""Everything of nnU-Net (nnunetv2 2.8.x): fingerprint, plan, preprocessing, folds, and a trainer for absent phases.

nnU-Net reads its folders from environment variables, so this module runs only in a process of its own, started by
`livercascade.train.child`. Importing it takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cc3d
import nibabel as nib
import numpy as np
import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.crossval_split import generate_crossval_split
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from livercascade.data.labels import FIRST_LESION, LAST_LESION, NUM_CLASSES, PHASES, label_name
from livercascade.segment.card import Architecture, ModelCard, ModelKind, NetworkClass, PhaseNormalisation, Size
from livercascade.segment.phase_input import phase_input
from livercascade.train.augment import build_augmentation, margin
from livercascade.train.cases import TrainingCase, is_lps, lps
from livercascade.train.fast_norm import use_fast_norm
from livercascade.train.learner import Batch, Learner, seed_everything, set_random_state
from livercascade.train.loop import Reporter, Session, fit
from livercascade.train.loss import build_grouped
from livercascade.train.phase_dropout import drop_phases
from livercascade.train.run_folder import RunFolder
from livercascade.train.settings import LossKind, TrainSettings, WholeSettings

DATASET = "Dataset001_livercascade"
CONFIGURATION = "3d_fullres"
PLANS = "nnUNetPlans"
_SAMPLES_PER_CLASS = 1000


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
        return build_grouped(settings.deep_supervision)
    dice = {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}
    loss = DC_and_CE_loss(dice, {}, dice_class=MemoryEfficientSoftDiceLoss)
    if not settings.deep_supervision:
        return loss
    weights = np.array([0.5**i for i in range(outputs)])
    weights[-1] = 0 if outputs > 1 else 1
    return DeepSupervisionWrapper(loss, weights / weights.sum())


def intensity_scheme(properties: dict[str, Any]) -> tuple[PhaseNormalisation, ...]:
    """Normalisation of each phase from nnU-Net's intensity fingerprint."""
    return tuple(
        PhaseNormalisation(
            lower=properties[str(i)]["percentile_00_5"],
            upper=properties[str(i)]["percentile_99_5"],
            mean=properties[str(i)]["mean"],
            std=max(properties[str(i)]["std"], 1e-6),
        )
        for i in range(len(PHASES))
    )


def split_cases(names: Sequence[str], fold: int | str) -> tuple[list[str], list[str]]:
    """Training and validation cases of one of nnU-Net's folds; ``all`` trains and validates on every case."""
    ordered = sorted(names)
    if fold == "all" or len(ordered) < 2:
        return ordered, ordered
    splits = generate_crossval_split(ordered, n_splits=min(5, len(ordered)))
    split = splits[int(fold) % len(splits)]
    return [str(name) for name in split["train"]], [str(name) for name in split["val"]]


@dataclass(frozen=True, slots=True)
class NnUNetFolders:
    """nnU-Net's three folders inside a run."""

    home: Path

    @property
    def raw(self) -> Path:
        """Data set as nnU-Net wants it."""
        return self.home / "raw" / DATASET

    @property
    def preprocessed(self) -> Path:
        """Fingerprint, plans, and below them the preprocessed cases."""
        return self.home / "preprocessed" / DATASET

    @property
    def arrays(self) -> Path:
        """Preprocessed cases."""
        return self.preprocessed / f"{PLANS}_{CONFIGURATION}"

    @property
    def plans(self) -> Path:
        """Plans file."""
        return self.preprocessed / f"{PLANS}.json"


def prepare(
    folder: RunFolder, cases: Sequence[TrainingCase], settings: WholeSettings, reporter: Reporter
) -> tuple[tuple[PhaseNormalisation, ...], Architecture]:
    """Raw data set, fingerprint, plan and preprocessed cases; what is already there is not made again."""
    places = NnUNetFolders(folder.nnunet)
    _write_raw(places, cases)
    if not places.plans.is_file():
        reporter.stage("nnU-Net: fingerprint and plan")
        with _quiet(folder):
            _fingerprint(settings)
            _Planner.of(settings).plan_experiment()
    reporter.stage("nnU-Net: preprocessing")
    _preprocess(folder, places, cases, settings, reporter)
    plans = json.loads(places.plans.read_text())
    return intensity_scheme(plans["foreground_intensity_properties_per_channel"]), plan_architecture(settings)


def train(
    folder: RunFolder,
    cases: Sequence[TrainingCase],
    settings: WholeSettings,
    reporter: Reporter,
    stop: Callable[[], bool],
) -> bool:
    """Trains UNet^whole on the prepared cases, from the newest checkpoint if there is one; True when at its end."""
    places = NnUNetFolders(folder.nnunet)
    plans = json.loads(places.plans.read_text()) | {"continue_training": folder.checkpoint.is_file()}
    dataset = json.loads((places.raw / "dataset.json").read_text())
    with _quiet(folder):
        trainer = PhaseTrainer(plans, CONFIGURATION, 0, dataset, torch.device("cpu"))
    trainer.settings, trainer.folder, trainer.reporter, trainer.stop = settings, folder, reporter, stop
    trainer.present = {case.name: case.present for case in cases}
    return trainer.run_training()


class PhaseTrainer(nnUNetTrainer):
    """nnU-Net's trainer with eight input channels, random loss of phases, steps for epochs and safe checkpoints."""

    settings: WholeSettings
    folder: RunFolder
    reporter: Reporter
    stop: Callable[[], bool]
    present: dict[str, np.ndarray]

    def run_training(self) -> bool:
        """Trains to the last step or until asked to stop; True when at the end."""
        rng = seed_everything(self.settings.seed)
        architecture = plan_architecture(self.settings)
        self.network = build_for_training(
            architecture, 2 * len(PHASES), NUM_CLASSES, deep_supervision=self.settings.deep_supervision
        )
        learner = Learner(self.network, self._build_loss(), architecture.strides, self.settings)
        self.optimizer = learner.optimiser
        self.dataloader_train, self.dataloader_val = self.get_dataloaders()
        held_out = [self._batch(next(self.dataloader_val)) for _ in range(self.settings.validation_batches)]
        if self.folder.checkpoint.is_file():
            set_random_state(learner.restore(self.folder.checkpoint), rng)
        session = Session(self.settings, self.folder, rng, lambda: held_out, self.reporter, self.stop)
        return fit(learner, self._batches(rng), session)

    def do_split(self) -> tuple[list[str], list[str]]:
        """Training and validation cases, also written to the run's folder."""
        train_names, held_out = split_cases(sorted(self.present), self.settings.fold)
        self.folder.split.write_text(json.dumps({"train": train_names, "validation": held_out}, indent=1))
        return train_names, held_out

    def get_dataloaders(self) -> tuple[Iterator[dict[str, Any]], Iterator[dict[str, Any]]]:
        """Endless training samples, augmented, and validation samples as they are."""
        train_names, held_out = self.do_split()
        settings, patch = self.settings, self.settings.patch_size
        wide = margin(settings.augmentation, patch)
        loader = self._loader(train_names, wide, build_augmentation(settings.augmentation, patch))
        if settings.workers > 0:
            seeds = [settings.seed * 1000 + i for i in range(settings.workers)]
            loader = NonDetMultiThreadedAugmenter(loader, None, settings.workers, 4 * settings.workers, seeds)
        return loader, self._loader(held_out, patch, None)

    def _loader(self, names: list[str], size: Size, transforms: Any) -> Any:
        dataset = nnUNetDatasetBlosc2(str(NnUNetFolders(self.folder.nnunet).arrays), list(names))
        loader = SampleLoader(
            dataset, self.settings.batch_size, size, self.settings.patch_size, self.label_manager, transforms=transforms
        )
        loader.lesion_share, loader.organ_share = self.settings.lesion_share, self.settings.organ_share
        return loader

    def _build_loss(self) -> Callable[[Any, Any], torch.Tensor]:
        return build_loss(self.settings, plan_architecture(self.settings).n_stages - 1)

    def _batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        for raw in self.dataloader_train:
            yield self._batch(raw, rng)

    def _batch(self, raw: dict[str, Any], rng: np.random.Generator | None = None) -> Batch:
        there = [self.present[str(name)] for name in raw["keys"]]
        if rng is not None:
            there = [drop_phases(present, self.settings.phase_dropout, rng) for present in there]
        flags = torch.from_numpy(np.stack(there))
        return Batch(phase_input(raw["data"], flags), raw["target"].clamp_min(0))


class SampleLoader(nnUNetDataLoader):
    """nnU-Net's loader with samples centred near a lesion, each lesion as likely as any other, or near an organ."""

    lesion_share: float
    organ_share: float

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
        draw = np.random.uniform()  # noqa: NPY002
        lesions = [key for key in locations if isinstance(key, tuple)]
        organs = [key for key in locations if not isinstance(key, tuple) and len(locations[key])]
        if draw < self.lesion_share and lesions:
            keys = lesions
        elif draw < self.lesion_share + self.organ_share and organs:
            keys = organs
        else:
            return None
        voxels = locations[keys[np.random.randint(len(keys))]]  # noqa: NPY002
        return voxels[np.random.randint(len(voxels))][1:]  # noqa: NPY002


class _Planner(ExperimentPlanner):
    """nnU-Net's planner held to a spacing, a patch size and linear resampling."""

    settings: WholeSettings

    @classmethod
    def of(cls, settings: WholeSettings) -> _Planner:
        planner = cls(DATASET, plans_name=PLANS, overwrite_target_spacing=settings.spacing_mm, suppress_transpose=True)
        planner.settings = settings
        # One resolution is enough; looking for a second one takes minutes.
        planner.lowres_creation_threshold = 0
        return planner

    def determine_resampling(self, *_: Any, **__: Any) -> tuple[Any, dict[str, Any], Any, dict[str, Any]]:
        common = {"num_threads": self.settings.threads, "force_separate_z": False}
        function = resample_torch_fornnunet
        return function, {"is_seg": False, **common}, function, {"is_seg": True, **common}

    def get_plans_for_configuration(self, spacing: Any, median_shape: Any, *rest: Any, **named: Any) -> dict[str, Any]:
        if len(spacing) == 2:
            return {}
        # The wanted patch size in place of the image size makes the planner's own topology fit it.
        plan = super().get_plans_for_configuration(spacing, np.array(self.settings.patch_size), *rest, **named)
        return plan | {
            "median_image_size_in_voxels": median_shape,
            "patch_size": list(self.settings.patch_size),
            "batch_size": self.settings.batch_size,
            "architecture": plan_entry(plan_architecture(self.settings)),
        }


class _Preprocessor(DefaultPreprocessor):
    """nnU-Net's preprocessing that also lists voxels of every single lesion, for sampling."""

    def run_case_npy(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        data, seg, properties = super().run_case_npy(*args, **kwargs)
        organs = {k: v[:_SAMPLES_PER_CLASS] for k, v in properties["class_locations"].items() if k > LAST_LESION}
        properties["class_locations"] = organs | _lesion_voxels(seg)
        return data, seg, properties


def _lesion_voxels(seg: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Voxels (0, z, y, x) of each connected lesion, by (type of its first voxel, number)."""
    parts: Any = cc3d.connected_components((seg[0] >= FIRST_LESION) & (seg[0] <= LAST_LESION), connectivity=26)
    found: dict[tuple[int, int], np.ndarray] = {}
    for number in range(1, int(parts.max(initial=0)) + 1):
        voxels = np.argwhere(parts[None] == number)
        step = max(1, len(voxels) // _SAMPLES_PER_CLASS)
        found[int(seg[tuple(voxels[0])]), number] = voxels[::step]
    return found


def _write_raw(places: NnUNetFolders, cases: Sequence[TrainingCase]) -> None:
    places.raw.mkdir(parents=True, exist_ok=True)
    turned = places.raw / "turned"
    files = {
        case.name: {
            "images": [str(_readable(path, turned / case.name)) for path in case.channels],
            "label": str(_readable(case.labels, turned / case.name)),
        }
        for case in cases
    }
    content = {
        "channel_names": {str(i): "CT" for i in range(len(PHASES))},
        "labels": {label_name(i): i for i in range(NUM_CLASSES)},
        "numTraining": len(files),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
        "dataset": files,
    }
    (places.raw / "dataset.json").write_text(json.dumps(content, indent=1))


def _readable(path: Path, turned: Path) -> Path:
    """The file itself, or a copy of it turned to LPS: nnU-Net takes axes as they lie."""
    if is_lps(path):
        return path
    copy = turned / path.name
    if not copy.is_file():
        turned.mkdir(parents=True, exist_ok=True)
        nib.save(lps(nib.load(path)), copy)
    return copy


def _fingerprint(settings: WholeSettings) -> None:
    extractor = DatasetFingerprintExtractor(DATASET, settings.processes)
    extractor.num_foreground_voxels_for_intensitystats = 10**7
    names = sorted(extractor.dataset)
    step = max(1, len(names) // settings.fingerprint_cases)
    extractor.dataset = {name: extractor.dataset[name] for name in names[::step]}
    extractor.run(overwrite_existing=True)


def _preprocess(
    folder: RunFolder,
    places: NnUNetFolders,
    cases: Sequence[TrainingCase],
    settings: WholeSettings,
    reporter: Reporter,
) -> None:
    places.arrays.mkdir(parents=True, exist_ok=True)
    waiting = [case.name for case in cases if not (places.arrays / f"{case.name}.done").is_file()]
    jobs = [(places, folder, name) for name in waiting]
    if settings.processes == 1:
        for done, job in enumerate(jobs, start=1):
            _preprocess_case(job)
            reporter.prepared(done, len(jobs))
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.processes, mp_context=spawn) as pool:
        for done, _ in enumerate(pool.map(_preprocess_case, jobs), start=1):
            reporter.prepared(done, len(jobs))


def _preprocess_case(job: tuple[NnUNetFolders, RunFolder, str]) -> None:
    places, folder, name = job
    plans = PlansManager(json.loads(places.plans.read_text()))
    dataset = json.loads((places.raw / "dataset.json").read_text())
    files = dataset["dataset"][name]
    for stale in (f"{name}.b2nd", f"{name}_seg.b2nd"):
        (places.arrays / stale).unlink(missing_ok=True)
    with _quiet(folder):
        _Preprocessor(verbose=False).run_case_save(
            str(places.arrays / name),
            files["images"],
            files["label"],
            plans,
            plans.get_configuration(CONFIGURATION),
            dataset,
        )
    (places.arrays / f"{name}.done").touch()


@contextlib.contextmanager
def _quiet(folder: RunFolder) -> Iterator[None]:
    with folder.chatter.open("a") as stream, contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        yield


def whole_card(
    settings: WholeSettings, normalisation: tuple[PhaseNormalisation, ...], architecture: Architecture
) -> ModelCard:
    """Card of a UNet^whole in training."""
    return ModelCard(
        name=settings.name,
        kind=ModelKind.WHOLE,
        version=settings.version,
        phases=PHASES,
        classes=tuple(label_name(i) for i in range(NUM_CLASSES)),
        spacing_mm=settings.spacing_mm,
        patch_size=settings.patch_size,
        normalisation=normalisation,
        architecture=architecture,
    )


def _size(values: Sequence[int]) -> Size:
    z, y, x = (int(v) for v in values)
    return z, y, x


def _anywhere(have: int, want: int) -> int:
    low, high = sorted((0, have - want))
    return int(np.random.randint(low, high + 1))  # noqa: NPY002
