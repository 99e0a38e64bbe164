"""Files of a model folder, and how one takes the place of another: card, weights, page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel
from safetensors.torch import save_file

from livercascade.data.errors import ModelError
from livercascade.system.files import new_folder, sha256_of
from livercascade.system.manifest import check_free

CARD_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
PAGE_FILE = "MODEL_CARD.md"
Card = TypeVar("Card", bound=BaseModel)


def write_folder(folder: Path, card: Card, weights: Mapping[str, torch.Tensor], page: Callable[[Card], str]) -> Card:
    """Writes a model folder beside its place, then moves it there; returns the card with the weights' hash.

    Args:
        folder: An older one there is replaced.
        card: Has a field ``sha256``, which is set here.
        weights: By name, as they are to be stored.
        page: Markdown of a card.

    Raises:
        OutputError: ``OUT_TAKEN`` if something that is no model lies there, ``NO_SPACE`` or ``CANNOT_WRITE``.
    """
    check_free(folder, CARD_FILE)
    with new_folder(folder) as aside:
        path = aside / WEIGHTS_FILE
        save_file({name: value.detach().contiguous() for name, value in weights.items()}, path)
        # safetensors makes files for the owner alone; a model is for everyone who may read its folder.
        path.chmod(0o644)
        card = card.model_copy(update={"sha256": sha256_of(path)})
        (aside / CARD_FILE).write_text(card.model_dump_json(indent=1) + "\n")
        (aside / PAGE_FILE).write_text(page(card))
    return card


def copy_folder(source: Path, folder: Path) -> None:
    """Copies a model folder beside ``folder``, then moves it there; an older one there is replaced.

    Raises:
        OutputError: As `write_folder`.
    """
    check_free(folder, CARD_FILE)
    with new_folder(folder) as aside:
        shutil.copytree(source, aside, dirs_exist_ok=True)


def check_weights(path: Path, sha256: str) -> None:
    """Refuse weights that are not those of their card.

    Raises:
        ModelError: ``MODEL_HASH``.
    """
    if sha256_of(path) != sha256:
        raise ModelError("MODEL_HASH", f"{path} is not the file its card describes.", "Install the model again.")
