"""Training of UNet^whole from a folder of cases to a model folder; runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch

from livercascade.data.labels import NUM_CLASSES, PHASES, label_name
from livercascade.segment.card import ModelCard, ModelKind
from livercascade.train.model_export import export
from livercascade.train.phase_dropout import needed_phases
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_loop import Reporter
from livercascade.train.training_request import TrainRequest, find_training_cases, fold_title
from livercascade.train.training_settings import WholeSettings
from livercascade.train.whole.trainer import train
from livercascade.train.whole.whole_preparation import Plan, prepare


def train_whole(
    folder: RunFolder, request: TrainRequest, reporter: Reporter, stop: Callable[[], bool] = lambda: False
) -> bool:
    """Prepares the data, trains from where the run stands, and exports; True when the training is complete.

    Raises:
        InputError: The data set cannot be used.
    """
    settings = request.settings
    if not isinstance(settings, WholeSettings):
        raise TypeError("settings of another training")
    torch.set_num_threads(settings.threads)
    cases = find_training_cases(request)
    plan = prepare(folder, cases, settings, reporter)
    folder.card.write_text(_card(settings, plan).model_dump_json(indent=1))
    reporter.stage(f"training UNet^whole{fold_title(settings.fold)}")
    complete = train(folder, cases, plan, request, reporter, stop)
    export(folder)
    return complete


def _card(settings: WholeSettings, plan: Plan) -> ModelCard:
    return ModelCard(
        name=settings.name,
        kind=ModelKind.WHOLE,
        version=settings.version,
        phases=PHASES,
        needs=needed_phases(settings.phases),
        classes=tuple(label_name(i) for i in range(NUM_CLASSES)),
        spacing_mm=plan.spacing_mm,
        patch_size=plan.patch_size,
        normalisation=plan.normalisation,
        architecture=plan.architecture,
        resampling=plan.resampling,
        class_priors=settings.class_priors,
    )
