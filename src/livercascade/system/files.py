"""Files and folders that appear whole or not at all, and their hashes."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from livercascade.data.errors import CascadeError, OutputError

TRY_AGAIN = 75
"""Exit code of what may succeed later, for example when there is room on the disk again."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal digits.

    >>> sha256_text("")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(text.encode()).hexdigest()


def shown(path: str | Path) -> str:
    """Path to show people, valid in any encoding: bytes that are no text are replaced.

    >>> shown("M\\udcfcller.nii") == "M\\ufffdller.nii"
    True
    """
    return os.fsencode(path).decode("utf-8", "replace")


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file aside, flush it to the disk and rename it to its place; missing folders are made.

    After a crash or a power cut at any moment the old file is there, or the new one. Texts are written in UTF-8.

    Raises:
        OutputError: ``NO_SPACE`` (exit code 75) or ``CANNOT_WRITE``.
    """
    data = content.encode() if isinstance(content, str) else content
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        try:
            with aside.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        flush(path.parent)


@contextmanager
def new_folder(target: Path) -> Generator[Path, None, None]:
    """Write a folder aside: all of it appears at ``target`` at the end of the block, or none of it.

    What lies at ``target`` is replaced by the whole new folder; ask first whether it may be. Yields the folder to
    write into, beside ``target`` and so on the same disk.

    Raises:
        OutputError: ``NO_SPACE`` (exit code 75) or ``CANNOT_WRITE``.
    """
    target = target.absolute()
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        with output_errors(target):
            yield aside
            for path in files_in(aside):
                flush(path)
            # mkdtemp makes folders for their owner alone; a result is as readable as any other file of the user.
            aside.chmod(0o777 & ~_umask())
            flush(aside)
            _replace(target, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def files_in(folder: Path) -> list[Path]:
    """Every file of a folder and of the folders in it, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flush(path: Path) -> None:
    """Make a file, or a rename in a folder, durable; Windows opens no folders, and needs nothing there."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def output_errors(target: Path) -> Generator[None, None, None]:
    """Turn the system's refusals to write into errors with a code.

    Args:
        target: Named in the message.

    Raises:
        OutputError: ``NO_SPACE`` (exit code 75) or ``CANNOT_WRITE``.
    """
    try:
        yield
    except CascadeError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            full = OutputError("NO_SPACE", f"{target}: the disk is full.", "Make room and try again.", stage="write")
            full.exit_code = TRY_AGAIN
            raise full from error
        reason = error.strerror or error
        message = f"{target}: {reason}."
        raise OutputError("CANNOT_WRITE", message, "Check the folder and its permissions.", stage="write") from error


def _replace(target: Path, aside: Path) -> None:
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
    flush(target.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
