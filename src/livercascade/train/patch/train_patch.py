"""Training of UNet^patch from a folder of cases to a model folder; runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from livercascade.data.labels import LESION_TYPES, PHASES
from livercascade.reclassification.patches import NUM_PATCH_CLASSES, PATCH_OUTSIDE
from livercascade.segment.model_card import ModelCard, ModelKind, PhaseNormalisation
from livercascade.system.files import write_file
from livercascade.train.augmentation import build_augmentation
from livercascade.train.cross_validation import split_cases
from livercascade.train.model_export import export_run
from livercascade.train.network_trainer import NetworkTrainer, seed_everything, set_random_state
from livercascade.train.nnunet_network import plan_architecture
from livercascade.train.patch.patch_cases import PatchCase, prepare_cases
from livercascade.train.patch.patch_sampling import PatchSampler, build_schedule, endless_batches, training_steps
from livercascade.train.patch.patch_validation import validate_patches, validation_patches
from livercascade.train.phase_dropout import needed_phases
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_log import open_tensorboard
from livercascade.train.training_loop import TrainingReporter, TrainingSession, fit
from livercascade.train.training_request import TrainRequest, find_training_cases, fold_title
from livercascade.train.training_settings import PatchSettings

_FINGERPRINT_CASES = 60
_FINGERPRINT_VOXELS = 20_000
"""Voxels of a case; every case weighs alike, however large the liver."""


def train_patch(
    folder: RunFolder, request: TrainRequest, reporter: TrainingReporter, stop: Callable[[], bool] = lambda: False
) -> bool:
    """Prepare the liver boxes, train from where the run stands, and export; True when the training is complete.

    Raises:
        InputError: The data set cannot be used.
    """
    settings = request.settings
    if not isinstance(settings, PatchSettings):
        raise TypeError("settings of another training")
    torch.set_num_threads(settings.threads)
    found = find_training_cases(request)
    cases = prepare_cases(folder, found, request.hard, settings, reporter)
    card = _card(folder, cases, settings)
    reporter.stage(f"training UNet^patch{fold_title(settings.fold)}")
    rng = seed_everything(settings.seed)
    # The folds are those of the whole data set, cases without liver included.
    split = split_cases(folder, found, settings.fold)
    learnt = [case for case in cases if case.name in set(split.train)]
    held_out = [case for case in cases if case.name in set(split.validation)]
    schedule = build_schedule(learnt, settings)
    settings = settings.model_copy(update={"steps": training_steps(settings, schedule)})
    trainer = NetworkTrainer.of_card(card, settings, request.start_from)
    patches = validation_patches(held_out, settings, card.normalisation, np.random.default_rng(settings.seed))
    if folder.checkpoint.is_file():
        set_random_state(trainer.restore(folder.checkpoint), rng)
    augment, _ = build_augmentation(settings.augmentation, settings.patch_size)
    sampler = PatchSampler(learnt, settings, card.normalisation, augment, schedule=schedule)
    validate = partial(validate_patches, patches, settings.batch_size)
    board = open_tensorboard(folder, trainer.step)
    session = TrainingSession(settings, folder, rng, validate, reporter, stop, board)
    complete = fit(trainer, endless_batches(sampler, rng, trainer.step), session)
    export_run(folder)
    return complete


def _card(folder: RunFolder, cases: Sequence[PatchCase], settings: PatchSettings) -> ModelCard:
    """Card of the run; the intensities are taken once, so that a continued run keeps them."""
    if folder.card.is_file():
        return ModelCard.model_validate_json(folder.card.read_text())
    card = ModelCard(
        name=settings.name,
        kind=ModelKind.PATCH,
        version=settings.version,
        phases=PHASES,
        needs=needed_phases(settings.phases),
        classes=("outside", *(lesion.title for lesion in LESION_TYPES), "liver"),
        spacing_mm=settings.spacing_mm,
        patch_size=settings.patch_size,
        normalisation=_normalisation(cases, settings),
        architecture=plan_architecture(settings),
        class_priors=settings.class_priors,
    )
    if len(card.classes) != NUM_PATCH_CLASSES:
        raise ValueError("patch classes and their names differ")
    write_file(folder.card, card.model_dump_json(indent=1))
    return card


def _normalisation(cases: Sequence[PatchCase], settings: PatchSettings) -> tuple[PhaseNormalisation, ...]:
    """nnU-Net's CT statistics of the liver region, per phase; of all phases together where none has it."""
    rng = np.random.default_rng(settings.seed)
    values: list[list[np.ndarray]] = [[] for _ in PHASES]
    for case in cases[:: max(1, len(cases) // _FINGERPRINT_CASES)]:
        inside = np.flatnonzero(case.labels() != PATCH_OUTSIDE)
        picked = rng.choice(inside, min(_FINGERPRINT_VOXELS, inside.size), replace=False)
        for index in np.flatnonzero(case.present):
            values[index].append(case.hu()[index].reshape(-1)[picked])
    everything = np.concatenate([v for phase in values for v in phase])
    return tuple(_statistics(np.concatenate(phase) if phase else everything) for phase in values)


def _statistics(values: np.ndarray) -> PhaseNormalisation:
    # Percentiles as in nnU-Net's fingerprint.
    lower, upper = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    spread = max(float(values.std()), 1e-6)
    return PhaseNormalisation(lower=lower, upper=upper, mean=float(values.mean()), std=spread)
