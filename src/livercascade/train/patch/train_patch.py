"""Training of UNet^patch from a folder of cases to a model folder; runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from livercascade.data.labels import LESION_TYPES, PHASES
from livercascade.reclassify.patches import NUM_PATCH_CLASSES, PATCH_OUTSIDE
from livercascade.segment.card import ModelCard, ModelKind, PhaseNormalisation
from livercascade.segment.network import start_weights
from livercascade.train.cross_validation import split_cases
from livercascade.train.curves import Curves
from livercascade.train.model_export import export
from livercascade.train.network_trainer import Learner, seed_everything, set_random_state
from livercascade.train.nnunet_network import build_for_training, build_loss, plan_architecture
from livercascade.train.patch.patch_cases import PatchCase, prepare_cases
from livercascade.train.patch.patch_sampling import PatchSampler, endless
from livercascade.train.patch.patch_schedule import build_deck, steps_of
from livercascade.train.patch.patch_validation import PatchExaminer, build_questions
from livercascade.train.phase_dropout import needed_phases
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_loop import Reporter, Session, fit
from livercascade.train.training_request import TrainRequest, find_training_cases, fold_title
from livercascade.train.training_settings import PatchSettings
from livercascade.train.whole.nnunet_augmentation import augmentation

_FINGERPRINT_CASES = 60
_FINGERPRINT_VOXELS = 20_000


def train_patch(
    folder: RunFolder, request: TrainRequest, reporter: Reporter, stop: Callable[[], bool] = lambda: False
) -> bool:
    """Prepares the liver boxes, trains from where the run stands, and exports; True when the training is complete.

    Raises:
        InputError: The data set cannot be used.
    """
    settings = _settings(request)
    torch.set_num_threads(settings.threads)
    cases = prepare_cases(folder, find_training_cases(request), request.hard, settings, reporter)
    card = _card(folder, cases, settings)
    reporter.stage(f"training UNet^patch{fold_title(settings.fold)}")
    complete = _fit(folder, cases, card, request, reporter, stop)
    export(folder)
    return complete


def _settings(request: TrainRequest) -> PatchSettings:
    if not isinstance(request.settings, PatchSettings):
        raise TypeError("settings of another training")
    return request.settings


def _fit(
    folder: RunFolder,
    cases: Sequence[PatchCase],
    card: ModelCard,
    request: TrainRequest,
    reporter: Reporter,
    stop: Callable[[], bool],
) -> bool:
    settings = _settings(request)
    rng = seed_everything(settings.seed)
    train_cases, held_out = _split(folder, cases, request)
    deck = build_deck(train_cases, settings)
    settings = settings.model_copy(update={"steps": steps_of(settings, deck)})
    learner = _learner(card, settings, request.start_from)
    fixed = np.random.default_rng(settings.seed)
    questions = build_questions(held_out, settings.validation_patches, settings.phases, card.normalisation, fixed)
    if folder.checkpoint.is_file():
        set_random_state(learner.restore(folder.checkpoint), rng)
    augment, _ = augmentation(settings.augmentation, settings.patch_size)
    sampler = PatchSampler(train_cases, settings, card.normalisation, augment, deck=deck)
    examine = PatchExaminer(questions, settings.batch_size)
    curves = Curves.open(folder.tensorboard, learner.step)
    session = Session(settings, folder, rng, examine, reporter, stop, curves)
    return fit(learner, endless(sampler, rng, learner.step), session)


def _learner(card: ModelCard, settings: PatchSettings, start: Path | None) -> Learner:
    network = build_for_training(
        card.architecture, card.input_channels, len(card.classes), deep_supervision=settings.deep_supervision
    )
    if start is not None:
        start_weights(network, start)
    return Learner(network, build_loss(settings, card.architecture.n_stages - 1), card.architecture.strides, settings)


def _split(
    folder: RunFolder, cases: Sequence[PatchCase], request: TrainRequest
) -> tuple[list[PatchCase], list[PatchCase]]:
    """Cases to train on and held out; the folds are those of the whole data set, cases without liver included."""
    names, others = split_cases(folder, find_training_cases(request), request.settings.fold)
    return [c for c in cases if c.name in set(names)], [c for c in cases if c.name in set(others)]


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
        normalisation=_intensities(cases, settings),
        architecture=plan_architecture(settings),
        class_priors=settings.class_priors,
    )
    if len(card.classes) != NUM_PATCH_CLASSES:
        raise ValueError("patch classes and their names differ")
    folder.card.write_text(card.model_dump_json(indent=1))
    return card


def _intensities(cases: Sequence[PatchCase], settings: PatchSettings) -> tuple[PhaseNormalisation, ...]:
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
    lower, upper = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    spread = max(float(values.std()), 1e-6)
    return PhaseNormalisation(lower=lower, upper=upper, mean=float(values.mean()), std=spread)
