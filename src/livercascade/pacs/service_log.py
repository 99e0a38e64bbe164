"""The service's log: one JSON object a line, which names studies by salted hashes alone."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

FIELDS = (
    "study", "code", "status", "images", "files", "seconds", "attempt", "address", "port", "signal", "destination",
)  # fmt: skip
"""What a line may tell beside its time, level and event. None of them can hold a name, an ID or a UID."""
_LIBRARIES = ("pynetdicom", "dicomweb_client", "pydicom", "urllib3", "py.warnings")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON with the fields of `FIELDS`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line: time in UTC, level, event, and the fields that were given."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": at, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= {name: vars(record)[name] for name in FIELDS if vars(record).get(name) not in (None, "")}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def write_log(stream: Any = None, *, debug: bool = False) -> None:
    """Write the service's log to a stream.

    The libraries quote identifiers and data sets of patients in theirs: they are silent unless ``debug``.

    Args:
        stream: Text stream; standard error if absent.
        debug: True writes everything, patients' identifiers among it.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    ours = logging.getLogger("livercascade.pacs")
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.captureWarnings(True)
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers[:] = [handler if debug else logging.NullHandler()]
        library.propagate = False
