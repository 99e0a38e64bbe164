"""Files that appear whole or not at all, and survive a power cut once they are told of."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from livercascade.labeler.errors import LabelError


def now() -> str:
    """The time, ISO 8601 with zone, to the millisecond."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file aside, flush it to the disk, rename it to its place.

    Raises:
        LabelError: ``NO_SPACE`` (507) or ``CANNOT_WRITE`` (500).
    """
    with writing(path):
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
        flush_folder(path.parent)


def write_json(path: Path, record: object) -> None:
    """Write a record as JSON for people.

    Raises:
        LabelError: As `write_whole`.
    """
    write_whole(path, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Record of a JSON file.

    Raises:
        LabelError: ``BAD_PROJECT_FILE`` (500) if it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{path.name} in the project cannot be read."
        raise LabelError("BAD_PROJECT_FILE", message, "Restore it from a backup.", http=500) from error


def flush_folder(folder: Path) -> None:
    """Make a rename in the folder durable; where a folder cannot be opened (Windows), nothing is to be done."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(path: Path) -> Generator[None, None, None]:
    """Turn refusals of the system into errors with a code."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = "The disk of the project is full; nothing was changed."
            raise LabelError("NO_SPACE", message, "Make room and try again.", http=507) from error
        message = f"{path.name} cannot be written ({error.strerror or type(error).__name__}); nothing was changed."
        raise LabelError("CANNOT_WRITE", message, "Check the permissions of the project.", http=500) from error
