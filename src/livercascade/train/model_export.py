"""Model folder from the best or newest weights of a run, or of its folds: averaged weights, card, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from livercascade.data.errors import UsageError
from livercascade.models.model_folder import copy_folder
from livercascade.segment.model_card import ModelCard, TrainingProvenance
from livercascade.segment.network_folder import load_card, save_model, write_ensemble_page
from livercascade.train.cross_validation import CaseSplit
from livercascade.train.network_trainer import CheckpointChoice, read_checkpoint
from livercascade.train.run_folder import RunFolder
from livercascade.train.training_log import latest_values, read_lines
from livercascade.train.training_request import TrainRequest, read_request


def export_run(folder: RunFolder, weights: CheckpointChoice = CheckpointChoice.BEST) -> Path:
    """Model folder ``RUN/model`` with the chosen weights; may be called while the training goes on.

    Raises:
        UsageError: There is no checkpoint yet (``NO_CHECKPOINT``).
    """
    if not folder.checkpoint.is_file():
        raise UsageError("NO_CHECKPOINT", f"{folder.root} has no checkpoint yet.", "Wait for the first one.")
    request = read_request(folder)
    # A run on all cases was validated on cases it learnt from: its best score means nothing.
    best = weights is CheckpointChoice.BEST and folder.best.is_file() and request.settings.fold != "all"
    state = read_checkpoint(folder.best if best else folder.checkpoint)
    chosen = _best_words(folder) if best else "newest"
    card = ModelCard.model_validate_json(folder.card.read_text())
    made = _provenance(folder, request, int(state["step"])).model_copy(
        update={"chosen": chosen, "scores": dict(state.get("scores", {}))}
    )
    save_model(folder.model, card.model_copy(update={"training": made}), state["average"])
    return folder.model


def export_folds(folder: RunFolder, folds: Sequence[int], weights: CheckpointChoice = CheckpointChoice.BEST) -> Path:
    """Ensemble ``RUN/model`` of the folds that have a checkpoint.

    Raises:
        UsageError: None has one (``NO_CHECKPOINT``).
    """
    ready = [fold for fold in folds if folder.fold(fold).checkpoint.is_file()]
    if not ready:
        raise UsageError("NO_CHECKPOINT", f"{folder.root} has no checkpoint yet.", "Wait for the first one.")
    for fold in ready:
        made, place = export_run(folder.fold(fold), weights), folder.model / f"fold_{fold}"
        copy_folder(made, place)
    write_ensemble_page(folder.model)
    return folder.model


def _best_words(folder: RunFolder) -> str:
    validations = sum("val_score" in line for line in read_lines(folder))
    return f"best of {validations} validations by the running mean of the held-out score"


def _provenance(folder: RunFolder, request: TrainRequest, steps: int) -> TrainingProvenance:
    fold = request.settings.fold
    return TrainingProvenance(
        command=request.command,
        seed=request.settings.seed,
        cases=len(CaseSplit.read(folder).train),
        steps=steps,
        trained_on=request.settings.trained_on,
        log_summary=latest_values(folder, steps),
        settings=request.settings.model_dump(mode="json"),
        started_from=_named(request.start_from),
        fold=fold if isinstance(fold, int) else None,
    )


def _named(start: Path | None) -> str:
    if start is None:
        return ""
    card = load_card(start)
    return f"{card.name} {card.version}, {card.training.steps} steps, {card.sha256[:12]}"
