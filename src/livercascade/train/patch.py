"""Training of UNet^patch from a folder of cases to a model folder; runs in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import torch

from livercascade.data.labels import LESION_TYPES, PHASES
from livercascade.reclassify.patches import NUM_PATCH_CLASSES, PATCH_OUTSIDE
from livercascade.segment.card import ModelCard, ModelKind, PhaseNormalisation
from livercascade.segment.network import start_weights
from livercascade.train.augment import build_augmentation
from livercascade.train.cases import find_cases
from livercascade.train.export import export
from livercascade.train.learner import Learner, seed_everything, set_random_state
from livercascade.train.loop import Reporter, Session, fit
from livercascade.train.nnunet.network import build_for_training, build_loss, plan_architecture, split_cases
from livercascade.train.patch_cases import PatchCase, prepare_cases
from livercascade.train.patch_samples import PatchSampler, endless
from livercascade.train.request import TrainRequest
from livercascade.train.run_folder import RunFolder
from livercascade.train.settings import PatchSettings

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
    cases = prepare_cases(folder, find_cases(request.data), request.hard, settings, reporter)
    card = _card(folder, cases, settings)
    reporter.stage("training UNet^patch")
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
    network = build_for_training(
        card.architecture, card.input_channels, len(card.classes), deep_supervision=settings.deep_supervision
    )
    if request.start_from is not None:
        start_weights(network, request.start_from)
    loss = build_loss(settings, card.architecture.n_stages - 1)
    learner = Learner(network, loss, card.architecture.strides, settings)
    train_cases, held_out = _split(folder, cases, settings)
    quiet = settings.model_copy(update={"hard_share": 0.0, "predicted_liver_share": 0.0, "shuffling": False})
    judge = PatchSampler(held_out, quiet, card.normalisation, dropout=False)
    fixed = np.random.default_rng(settings.seed)
    batches = [judge.batch(fixed) for _ in range(settings.validation_batches)]
    if folder.checkpoint.is_file():
        set_random_state(learner.restore(folder.checkpoint), rng)
    augment = build_augmentation(settings.augmentation, settings.patch_size)
    sampler = PatchSampler(train_cases, settings, card.normalisation, augment)
    session = Session(settings, folder, rng, lambda: batches, reporter, stop)
    return fit(learner, endless(sampler, rng, learner.step), session)


def _split(
    folder: RunFolder, cases: Sequence[PatchCase], settings: PatchSettings
) -> tuple[list[PatchCase], list[PatchCase]]:
    names, others = split_cases([case.name for case in cases], settings.fold)
    folder.split.write_text(json.dumps({"train": names, "validation": others}, indent=1))
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
        classes=("outside", *(lesion.title for lesion in LESION_TYPES), "liver"),
        spacing_mm=settings.spacing_mm,
        patch_size=settings.patch_size,
        normalisation=_intensities(cases, settings),
        architecture=plan_architecture(settings),
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
