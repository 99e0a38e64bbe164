"""Request of a training run, kept in its folder so that a killed run can be taken up again."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from livercascade.data.dataset_names import DatasetNames
from livercascade.data.errors import InputError, UsageError
from livercascade.data.record import Record
from livercascade.segment.model_card import ModelKind
from livercascade.segment.network_folder import member_folders
from livercascade.system.files import write_file
from livercascade.train.phase_dropout import seen_phases
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_cases import TrainingCase, find_cases
from livercascade.train.training_settings import PatchSettings, WholeSettings

_FIXED = (
    "spacing_mm",
    "patch_size",
    "network",
    "base_features",
    "max_features",
    "stages",
    "fold",
    "phases",
    "deep_supervision",
    "wide_window",
)


class TrainRequest(Record):
    """One training.

    Attributes:
        kind: Network to train.
        data: Folder of training cases.
        settings: Settings of the training.
        hard: Folder of predicted label maps for the hard cases, those of an earlier UNet^whole.
        start_from: Model folder whose weights the training starts from; None starts from random ones.
        names: Meaning of channels and labels of an nnU-Net data set.
        unchecked_hard: True takes hard cases whose origin is not known to be out of fold.
        folds: Folds that were asked for, each a run inside this one; empty for an ordinary run.
        prepared: Run whose prepared data serve this one too; None for its own.
        command: Command line, for the model card.
    """

    kind: ModelKind
    data: Path
    settings: WholeSettings | PatchSettings
    hard: Path | None = None
    start_from: Path | None = None
    names: DatasetNames = DatasetNames()
    unchecked_hard: bool = False
    folds: tuple[int, ...] = ()
    prepared: Path | None = None
    command: str = ""


def write_request(folder: RunFolder, request: TrainRequest) -> None:
    """Note the request in a new run folder, or in one that was made for the same network.

    Raises:
        UsageError: The folder belongs to a run that cannot be continued with these settings (``RUN_TAKEN``).
    """
    if folder.request.is_file():
        before = read_request(folder)
        had, wants = (one.settings.model_dump(include=set(_FIXED)) for one in (before, request))
        changed = [key for key in _FIXED if had.get(key) != wants.get(key)]
        changed += ["folds"] if bool(before.folds) != bool(request.folds) else []
        if before.kind is not request.kind or changed:
            raise UsageError(
                "RUN_TAKEN",
                f"{folder.root} holds another run (different {', '.join(changed) or 'kind'}).",
                "Give a new --out, or the settings it was started with.",
            )
    write_file(folder.request, request.model_dump_json(indent=1) + "\n")


def read_request(folder: RunFolder) -> TrainRequest:
    """Request of a run folder.

    Raises:
        UsageError: Nothing was started there (``NO_RUN``).
    """
    if not folder.request.is_file():
        raise UsageError("NO_RUN", f"{folder.root} is not a training run.", "Give the --out of an earlier run.")
    return _parsed(folder.request.read_text())


def request_of_fold(request: TrainRequest, folder: RunFolder, fold: int) -> TrainRequest:
    """Request of one fold of a training over folds."""
    settings = request.settings.model_copy(update={"fold": fold})
    one = request.model_copy(update={"settings": settings, "folds": (), "prepared": folder.root})
    return one.model_copy(update={"start_from": start_folder(one)})


def start_folder(request: TrainRequest) -> Path | None:
    """Model folder that an ordinary training starts from.

    Of an ensemble it is the member of the same fold, which has not seen the held-out patients either.

    Raises:
        UsageError: The ensemble has no such member (``START_ENSEMBLE``).
    """
    start, fold = request.start_from, request.settings.fold
    if start is None or member_folders(start) == (start,):
        return start
    if (start / f"fold_{fold}") not in member_folders(start):
        raise UsageError(
            "START_ENSEMBLE",
            f"{start} is an ensemble without a network of fold {fold}.",
            "Give one of its folders fold_0 to fold_4 that saw none of the patients held out now.",
        )
    return start / f"fold_{fold}"


def is_finished(folder: RunFolder, request: TrainRequest) -> bool:
    """True if the run has come to its end with this very request, whatever the command line was."""
    if not folder.finished.is_file():
        return False
    try:
        return _parsed(folder.finished.read_text()) == request.model_copy(update={"command": ""})
    except ValidationError:
        # The file is of a version with settings that are no more.
        return False


def note_finished(folder: RunFolder, request: TrainRequest) -> None:
    """Note that the run has come to its end."""
    write_file(folder.finished, request.model_dump_json(indent=1, exclude={"command"}) + "\n")


def find_training_cases(request: TrainRequest) -> tuple[TrainingCase, ...]:
    """Cases of the data set that have a phase the network may see.

    Raises:
        InputError: As `find_cases`, or none has such a phase (``NO_PHASE``).
    """
    cases = find_cases(request.data, request.names)
    usable = tuple(case for case in cases if seen_phases(case.present, request.settings.phases).any())
    if not usable:
        wanted = ", ".join(phase.value for phase in request.settings.phases)
        raise InputError("NO_PHASE", f"No case in {request.data} has one of {wanted}.", "Train for other phases.")
    return usable


def fold_title(fold: int | str) -> str:
    """Addition to a title: nothing for a training on all cases."""
    return f", fold {fold}" if isinstance(fold, int) else ""


def _parsed(text: str) -> TrainRequest:
    content = json.loads(text)
    # Runs of version 0.2 and before noted how many random batches they validated on.
    content["settings"].pop("validation_batches", None)
    if content["kind"] == ModelKind.WHOLE.value:
        # Runs of before 0.3 showed each phase once.
        content["settings"].setdefault("wide_window", False)
    return TrainRequest.model_validate(content)
