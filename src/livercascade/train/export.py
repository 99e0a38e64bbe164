"""Model folder from the newest checkpoint of a run: averaged weights, card, provenance."""

from __future__ import annotations

import json
from pathlib import Path

from livercascade.data.errors import UsageError
from livercascade.segment.card import ModelCard, Provenance
from livercascade.segment.network import load_card, save_model
from livercascade.train.learner import read_checkpoint
from livercascade.train.loop import read_log
from livercascade.train.request import TrainRequest, read_request
from livercascade.train.run_folder import RunFolder


def export(folder: RunFolder) -> Path:
    """Writes ``RUN/model``; may be called while the training goes on.

    Raises:
        UsageError: There is no checkpoint yet (``NO_CHECKPOINT``).
    """
    if not folder.checkpoint.is_file():
        raise UsageError("NO_CHECKPOINT", f"{folder.root} has no checkpoint yet.", "Wait for the first one.")
    request = read_request(folder)
    state = read_checkpoint(folder.checkpoint)
    card = ModelCard.model_validate_json(folder.card.read_text())
    made = _provenance(folder, request, int(state["step"]))
    save_model(folder.model, card.model_copy(update={"training": made}), state["average"])
    return folder.model


def _provenance(folder: RunFolder, request: TrainRequest, steps: int) -> Provenance:
    cases = len(json.loads(folder.split.read_text())["train"])
    return Provenance(
        command=request.command,
        seed=request.settings.seed,
        cases=cases,
        steps=steps,
        trained_on=request.settings.trained_on,
        log_summary=read_log(folder),
        settings=request.settings.model_dump(mode="json"),
        started_from=_named(request.start_from),
    )


def _named(start: Path | None) -> str:
    if start is None:
        return ""
    card = load_card(start)
    return f"{card.name} {card.version}, {card.training.steps} steps, {card.sha256[:12]}"
