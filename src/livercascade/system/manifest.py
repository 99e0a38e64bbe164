"""A result is a folder with a manifest: written aside, hashed, then renamed into place as a whole."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from livercascade.data.errors import OutputError
from livercascade.data.record import Record
from livercascade.system.files import files_in, flush, new_folder, sha256_of

MANIFEST = "manifest.json"
"""Name of the list of files; it is written last."""


class Manifest(Record):
    """SHA-256 of every file of a result folder by its path inside the folder, with ``/``."""

    version: int = 1
    files: dict[str, str]


@contextmanager
def new_result_folder(out_dir: Path) -> Generator[Path, None, None]:
    """Write a result: all of it appears at ``out_dir`` at the end of the block, or none of it.

    An earlier result there is replaced only by a complete new one. Yields the folder to write into.

    Raises:
        OutputError: ``OUT_TAKEN`` if ``out_dir`` holds something that is not a result, ``NO_SPACE`` if the disk is
            full (exit code 75), ``CANNOT_WRITE`` for any other refusal of the system.
    """
    check_free(out_dir.absolute())
    with new_folder(out_dir) as folder:
        yield folder
        _seal(folder)


def check_free(target: Path) -> None:
    """Refuse a place where something lies that is not a result; a result may be replaced.

    Raises:
        OutputError: ``OUT_TAKEN``.
    """
    if not target.exists() or (target / MANIFEST).is_file():
        return
    if not target.is_dir() or any(target.iterdir()):
        message = f"{target}: something that is not a result lies there."
        raise OutputError("OUT_TAKEN", message, "Choose another folder.", stage="write")


def verify(folder: Path) -> bool:
    """True if the folder holds exactly the files of its manifest, unchanged."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return False
    return _hashes(folder) == manifest.files


def _seal(folder: Path) -> None:
    """Write the manifest after all files have reached the disk."""
    for path in files_in(folder):
        flush(path)
    manifest = folder / MANIFEST
    manifest.write_text(Manifest(files=_hashes(folder)).model_dump_json(indent=2) + "\n", encoding="utf-8")


def _hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_of(path) for path in files_in(folder) if path != folder / MANIFEST
    }
