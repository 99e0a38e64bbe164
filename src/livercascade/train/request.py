"""What a training run was asked to do, kept in its folder so that a killed run can be taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from livercascade.data.errors import UsageError
from livercascade.segment.card import ModelKind
from livercascade.train.run_folder import RunFolder
from livercascade.train.settings import PatchSettings, WholeSettings

_FIXED = ("spacing_mm", "patch_size", "network", "base_features", "max_features", "stages", "fold", "deep_supervision")


class TrainRequest(BaseModel):
    """One training.

    Attributes:
        data: Folder of training cases.
        hard: Folder of predicted label maps for the hard cases of UNet^patch.
        start_from: Model folder whose weights the training starts from; None starts from random ones.
        command: Command line, for the model card.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ModelKind
    data: Path
    settings: WholeSettings | PatchSettings
    hard: Path | None = None
    start_from: Path | None = None
    command: str = ""


def write_request(folder: RunFolder, request: TrainRequest) -> None:
    """Notes the request in a new run folder, or in one that was made for the same network.

    Raises:
        UsageError: The folder belongs to a run that cannot be continued with these settings (``RUN_TAKEN``).
    """
    if folder.request.is_file():
        before = read_request(folder)
        changed = [key for key in _FIXED if _of(before, key) != _of(request, key)]
        if before.kind is not request.kind or changed:
            raise UsageError(
                "RUN_TAKEN",
                f"{folder.root} holds another run (different {', '.join(changed) or 'kind'}).",
                "Give a new --out, or the settings it was started with.",
            )
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.request.write_text(request.model_dump_json(indent=1) + "\n")


def read_request(folder: RunFolder) -> TrainRequest:
    """Request of a run folder.

    Raises:
        UsageError: Nothing was started there (``NO_RUN``).
    """
    if not folder.request.is_file():
        raise UsageError("NO_RUN", f"{folder.root} is not a training run.", "Give the --out of an earlier run.")
    return TrainRequest.model_validate_json(folder.request.read_text())


def _of(request: TrainRequest, key: str) -> Any:
    return getattr(request.settings, key)
