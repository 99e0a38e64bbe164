"""A result is a folder with a manifest: written aside, hashed, then renamed into place as a whole."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from livercascade.data.errors import CascadeError, OutputError

MANIFEST = "manifest.json"
"""Name of the list of files; it is written last."""
_TRY_AGAIN = 75


class Manifest(BaseModel):
    """SHA-256 of every file of a result folder by its path inside the folder, with ``/``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = 1
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class CaseFolder:
    """A result folder while it is being written.

    Attributes:
        path: Where to write files; renamed to its place at the end.
    """

    path: Path

    @classmethod
    @contextmanager
    def open(cls, out_dir: Path) -> Generator[CaseFolder, None, None]:
        """Write a result: all of it appears at ``out_dir`` at the end of the block, or none of it.

        An earlier result there is replaced only by a complete new one.

        Raises:
            OutputError: ``OUT_TAKEN`` if ``out_dir`` holds something that is not a result, ``NO_SPACE`` if the disk is
                full (exit code 75), ``CANNOT_WRITE`` for any other refusal of the system.
        """
        target = out_dir.absolute()
        check_free(target)
        with _as_output_error(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
        try:
            with _as_output_error(target):
                yield cls(aside)
                _seal(aside)
                _put_in_place(aside, target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


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
    for path in _files(folder):
        _flush(path)
    manifest = folder / MANIFEST
    manifest.write_text(Manifest(files=_hashes(folder)).model_dump_json(indent=2) + "\n", encoding="utf-8")
    _flush(manifest)
    # mkdtemp makes folders that only their owner can read; a result is as readable as any other file of the user.
    folder.chmod(0o777 & ~_umask())
    _flush(folder)


def _put_in_place(aside: Path, target: Path) -> None:
    if not target.exists():
        aside.rename(target)
    else:
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent))
        target.rename(old / target.name)
        try:
            aside.rename(target)
        except OSError:
            (old / target.name).rename(target)
            raise
        finally:
            shutil.rmtree(old, ignore_errors=True)
    _flush(target.parent)


def _hashes(folder: Path) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for path in _files(folder):
        with path.open("rb") as stream:
            hashes[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return hashes


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def _as_output_error(target: Path) -> Generator[None, None, None]:
    try:
        yield
    except CascadeError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            full = OutputError("NO_SPACE", f"{target}: the disk is full.", "Make room and try again.", stage="write")
            full.exit_code = _TRY_AGAIN
            raise full from error
        message = f"{target}: {error.strerror or error}."
        raise OutputError("CANNOT_WRITE", message, "Check the folder and its permissions.", stage="write") from error
