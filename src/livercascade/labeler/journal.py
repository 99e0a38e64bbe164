"""Append-only journal: one JSON record a line, each with its checksum; what was appended survives a kill."""

from __future__ import annotations

import json
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livercascade.labeler.errors import LabelError
from livercascade.labeler.plain_files import flush_folder, writing

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
            LabelError: ``NO_SPACE`` or ``CANNOT_WRITE``; then the file is as before.
        """
        line = encode_record(record)
        with writing(self.path):
            fresh = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as stream:
                length = stream.tell()
                try:
                    _write_all(stream.fileno(), line)
                    os.fsync(stream.fileno())
                except OSError:
                    os.ftruncate(stream.fileno(), length)
                    raise
            if fresh:
                flush_folder(self.path.parent)

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
            if record is None and number == len(lines):
                with writing(self.path):
                    os.truncate(self.path, good)
                break
            if record is None:
                message = f"record {number} of {self.path.name} in the project is damaged."
                raise LabelError("BAD_PROJECT_FILE", message, "Restore the file from a backup.", http=500)
            records.append(record)
            good += len(line)
        return records


def encode_record(record: dict[str, Any]) -> bytes:
    """One line: the record as JSON with ``crc``, the CRC-32 of what stands before it."""
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
        view = view[os.write(handle, view) :]
