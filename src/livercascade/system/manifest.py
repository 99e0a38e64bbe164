"""A result is a folder with a manifest: written aside, hashed, then renamed into place as a whole."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from livercascade.data.errors import OutputError
from livercascade.data.record import Record
from livercascade.system.files import LAST, check_writable, files_in, flush, is_aside, new_folder, sha256_of

MANIFEST = LAST
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
    check_free(out_dir)
    with new_folder(out_dir) as folder:
        yield folder
        _seal(folder)


def check_place(target: Path) -> None:
    """Refuse, before the work, a place where `new_result_folder` would refuse the result after it.

    Raises:
        OutputError: As `new_result_folder`.
    """
    check_free(target)
    check_writable(target)


def check_free(target: Path, mark: str = MANIFEST) -> None:
    """Refuse a place where something lies that is not a result; a result may be replaced.

    Args:
        target: Place of a new folder.
        mark: Name of the file that a folder of the same kind holds.

    Raises:
        OutputError: ``OUT_TAKEN``.
    """
    if not target.exists() or (target / mark).is_file():
        return
    # What a killed run left is hidden, and no reason to refuse the place for ever.
    if not target.is_dir() or not all(is_aside(path) for path in target.iterdir()):
        message = f"{target}: something else lies there."
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
    inside = {path.relative_to(folder): path for path in files_in(folder) if path != folder / MANIFEST}
    return {name.as_posix(): sha256_of(path) for name, path in inside.items() if not is_aside(Path(name.parts[0]))}
