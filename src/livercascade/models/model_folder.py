"""Files of a model folder, and how one takes the place of another: card, weights, page."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

CARD_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
PAGE_FILE = "MODEL_CARD.md"


def open_aside(folder: Path) -> Path:
    """An empty folder beside ``folder``, to be filled and then moved there by `replace_folder`."""
    aside = folder.with_name(folder.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    return aside


def replace_folder(aside: Path, folder: Path) -> None:
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


def sha256_of(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
