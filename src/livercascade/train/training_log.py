"""The log of a training: one JSON object per line, numbers by name."""

from __future__ import annotations

import json
from collections.abc import Mapping

from livercascade.train.run_folder import RunFolder


def append(folder: RunFolder, step: int, values: Mapping[str, float | None]) -> None:
    """Adds a line; values that are None are left out."""
    kept = {name: value for name, value in values.items() if value is not None}
    with folder.log.open("a") as stream:
        stream.write(json.dumps({"step": step} | kept) + "\n")


def read_lines(folder: RunFolder) -> list[dict[str, float]]:
    """Lines of the log; steps done again after a stop appear twice."""
    text = folder.log.read_text() if folder.log.is_file() else ""
    return [{name: float(value) for name, value in json.loads(line).items()} for line in text.splitlines()]


def read_log(folder: RunFolder, last_step: int | None = None) -> dict[str, float]:
    """Newest value of every quantity in the log, up to a step if one is given."""
    latest: dict[str, float] = {}
    for line in read_lines(folder):
        if last_step is None or line["step"] <= last_step:
            latest |= line
    return latest
