"""Training of UNet^whole from a folder of cases to a model folder; runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from livercascade.system.files import write_file
from livercascade.train.cross_validation import CaseSplit, split_cases
from livercascade.train.model_export import export_run
from livercascade.train.network_trainer import NetworkTrainer, seed_everything, set_random_state
from livercascade.train.phase_dropout import seen_phases
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import TrainingCase
from livercascade.train.training_log import open_tensorboard
from livercascade.train.training_loop import TrainingReporter, TrainingSession, fit
from livercascade.train.training_request import TrainRequest, find_training_cases, fold_title
from livercascade.train.training_settings import WholeSettings
from livercascade.train.whole.whole_preparation import prepare_arrays
from livercascade.train.whole.whole_sampling import CaseArrays, find_hard_voxels, training_batches
from livercascade.train.whole.whole_validation import validate_livers, validation_livers


def train_whole(
    folder: RunFolder, request: TrainRequest, reporter: TrainingReporter, stop: Callable[[], bool] = lambda: False
) -> bool:
    """Prepare the data, train from where the run stands, and export; True when the training is complete.

    Raises:
        InputError: The data set cannot be used.
    """
    settings = request.settings
    if not isinstance(settings, WholeSettings):
        raise TypeError("settings of another training")
    torch.set_num_threads(settings.threads)
    cases = find_training_cases(request)
    card = prepare_arrays(folder, cases, request, reporter)
    write_file(folder.card, card.model_dump_json(indent=1))
    split = split_cases(folder, cases, settings.fold)
    learnt = _learnt_cases(folder, cases, split, request, reporter)
    reporter.stage(f"training UNet^whole{fold_title(settings.fold)}")
    seen = {case.name: seen_phases(case.present, settings.phases) for case in cases}
    # The global generators, which nnU-Net's loader draws from, are seeded before the network gets its random weights.
    rng = seed_everything(settings.seed)
    trainer = NetworkTrainer.of_card(card, settings, request.start_from)
    batches = training_batches(folder, learnt, seen, settings, card.patch_size, rng)
    held_out = CaseArrays(folder, split.validation)
    livers = validation_livers(held_out.labelled_case, held_out.identifiers, seen, settings.validation_patients, card)
    validate = partial(validate_livers, livers, card.patch_size, card.spacing_mm)
    if folder.checkpoint.is_file():
        set_random_state(trainer.restore(folder.checkpoint), rng)
    board = open_tensorboard(folder, trainer.step)
    complete = fit(trainer, batches, TrainingSession(settings, folder, rng, validate, reporter, stop, board))
    export_run(folder)
    return complete


def _learnt_cases(
    folder: RunFolder,
    cases: Sequence[TrainingCase],
    split: CaseSplit,
    request: TrainRequest,
    reporter: TrainingReporter,
) -> CaseArrays:
    """Arrays of the training cases, with the voxels of their hard cases where those are known."""
    arrays = CaseArrays(folder, split.train)
    arrays.weights = {case.name: case.weight for case in cases}
    if request.hard is not None:
        learnt = [case for case in cases if case.name in set(split.train)]
        arrays.hard = find_hard_voxels(folder, learnt, request.hard, reporter)
    return arrays
