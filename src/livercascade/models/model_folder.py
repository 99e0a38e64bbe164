"""Files of a model folder, and how one takes the place of another: card, weights, page."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel
from safetensors.torch import save_file

from livercascade.data.errors import ModelError

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
    """
    aside = _aside(folder)
    aside.mkdir(parents=True)
    path = aside / WEIGHTS_FILE
    save_file({name: value.detach().contiguous() for name, value in weights.items()}, path)
    # safetensors makes files for the owner alone; a model is for everyone who may read its folder.
    path.chmod(0o644)
    card = card.model_copy(update={"sha256": _sha256(path)})
    (aside / CARD_FILE).write_text(card.model_dump_json(indent=1) + "\n")
    (aside / PAGE_FILE).write_text(page(card))
    _replace(aside, folder)
    return card


def copy_folder(source: Path, folder: Path) -> None:
    """Copies a model folder beside ``folder``, then moves it there; an older one there is replaced."""
    aside = _aside(folder)
    shutil.copytree(source, aside)
    _replace(aside, folder)


def check_weights(path: Path, sha256: str) -> None:
    """Refuse weights that are not those of their card.

    Raises:
        ModelError: ``MODEL_HASH``.
    """
    if _sha256(path) != sha256:
        raise ModelError("MODEL_HASH", f"{path} is not the file its card describes.", "Install the model again.")


def _aside(folder: Path) -> Path:
    """A place beside ``folder`` where nothing is."""
    aside = folder.with_name(folder.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    return aside


def _replace(aside: Path, folder: Path) -> None:
    """Moves a finished folder to its place; an older one there goes only when the new one is on the disk."""
    for path in aside.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
