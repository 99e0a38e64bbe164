"""Records of a project on the disk: append-only journals of checksummed lines, and JSON files.

What was appended to a journal survives a kill of the server, and a power cut.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from livercascade.labeler.label_error import LabelError
from livercascade.system.files import flush, output_errors, write_file

_CHECKSUM = re.compile(rb', "crc": "([0-9a-f]{8})"\}\n\Z')


@dataclass(frozen=True, slots=True)
class Journal:
    """A file of records, oldest first.

    Attributes:
        path: The file; it need not exist.
    """

    path: Path

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; when this returns, it is on the disk.

        Raises:
            OutputError: ``NO_SPACE`` or ``CANNOT_WRITE``; then the file is as before.
        """
        line = encode_record(record)
        with output_errors(self.path):
            fresh = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what `write` has not taken is known, and can be cut off again.
            with self.path.open("ab", buffering=0) as stream:
                length = stream.tell()
                try:
                    _write_all(stream.fileno(), line)
                    os.fsync(stream.fileno())
                except OSError:
                    # Half a record at the end would be joined to the next one.
                    os.ftruncate(stream.fileno(), length)
                    raise
            # The name of a new file is in its folder's blocks: without this a power cut could take the file away whole.
            if fresh:
                flush(self.path.parent)

    def read(self) -> list[dict[str, Any]]:
        """All records.

        A last record that was cut off while it was written was never confirmed: it is left out, and cut from the
        file so that the next one starts on a line of its own.

        Raises:
            LabelError: ``BAD_PROJECT_FILE`` if a record before the last is damaged.
        """
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        lines = data.splitlines(keepends=True)
        records: list[dict[str, Any]] = []
        good = 0
        for number, line in enumerate(lines, start=1):
            record = decode_record(line)
            # Only the last line may be cut off: appending is the one way in which a journal grows.
            if record is None and number == len(lines):
                with output_errors(self.path):
                    os.truncate(self.path, good)
                break
            if record is None:
                message = f"record {number} of {self.path.name} in the project is damaged."
                raise LabelError("BAD_PROJECT_FILE", message, "Restore the file from a backup.", http=500)
            records.append(record)
            good += len(line)
        return records


def now() -> str:
    """Present time, ISO 8601 with zone, to the millisecond."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def write_json(path: Path, record: object) -> None:
    """Write a record as JSON for people; it appears whole or not at all.

    Raises:
        OutputError: ``NO_SPACE`` or ``CANNOT_WRITE``.
    """
    write_file(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


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


def encode_record(record: dict[str, Any]) -> bytes:
    """One line: the record as JSON with ``crc``, the CRC-32 of what stands before it."""
    # The closing brace is put on again after the checksum, so that a line is JSON for any other program too.
    body = json.dumps(record, ensure_ascii=False).encode()[:-1]
    return b'%s, "crc": "%08x"}\n' % (body, zlib.crc32(body))


def decode_record(line: bytes) -> dict[str, Any] | None:
    """Record of a line without ``crc``; None if it is incomplete or damaged.

    >>> decode_record(encode_record({"step": "brush"}))
    {'step': 'brush'}
    >>> decode_record(encode_record({"step": "brush"})[:-3]) is None
    True
    """
    match = _CHECKSUM.search(line)
    if not match or int(match[1], 16) != zlib.crc32(line[: match.start()]):
        return None
    record: dict[str, Any] = json.loads(line[: match.start()] + b"}")
    return record


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        # On a disk that is nearly full the system takes less than it is given, and reports the lack with the next call.
        view = view[os.write(handle, view) :]
