"""The log of a training: one JSON object per line, numbers by name, and the same for TensorBoard where it is there."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from livercascade.train.run_folder import RunFolder

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_GROUPS = {"val": "validation"}


def append_log(
    folder: RunFolder, step: int, values: Mapping[str, float | None], board: SummaryWriter | None = None
) -> None:
    """Add a line; values that are None are left out.

    Args:
        folder: Run to log.
        step: Step the values belong to.
        values: Numbers by name; on the board ``val_recall`` appears as ``validation/recall``, others as ``training/``.
        board: Event files from `open_tensorboard`.
    """
    kept = {name: value for name, value in values.items() if value is not None}
    with folder.log.open("a") as stream:
        stream.write(json.dumps({"step": step} | kept) + "\n")
    if board is not None:
        for name, value in kept.items():
            head, _, rest = name.partition("_")
            board.add_scalar(f"{_GROUPS[head]}/{rest}" if head in _GROUPS else f"training/{name}", value, step)
        board.flush()


def open_tensorboard(folder: RunFolder, step: int) -> SummaryWriter | None:
    """Event files of a run from ``step`` on, or None where TensorBoard is not installed (extra ``train``).

    What an interrupted run had logged beyond ``step`` is hidden, for it is done again.
    """
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    # A new run has nothing to hide.
    return SummaryWriter(str(folder.tensorboard), purge_step=step if step else None, flush_secs=20)


def read_lines(folder: RunFolder) -> list[dict[str, float]]:
    """Lines of the log; steps done again after a stop appear twice."""
    text = folder.log.read_text() if folder.log.is_file() else ""
    return [{name: float(value) for name, value in json.loads(line).items()} for line in text.splitlines()]


def latest_values(folder: RunFolder, last_step: int | None = None) -> dict[str, float]:
    """Newest value of every quantity in the log, up to a step if one is given."""
    latest: dict[str, float] = {}
    for line in read_lines(folder):
        if last_step is None or line["step"] <= last_step:
            latest |= line
    return latest
