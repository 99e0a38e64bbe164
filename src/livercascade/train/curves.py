"""The training log for TensorBoard, where that is installed (extra ``train``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_GROUPS = {"val": "validation"}


class Curves:
    """Event files of one run; a continued run hides what it does again."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=step if step else None, flush_secs=20)

    @classmethod
    def open(cls, folder: Path, step: int) -> Curves | None:
        """Curves from ``step`` on, or None where TensorBoard is not installed."""
        return cls(folder, step) if importlib.util.find_spec("tensorboard") else None

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """Adds values of one step; ``val_recall`` appears as ``validation/recall``, others under ``training``."""
        for name, value in values.items():
            head, _, rest = name.partition("_")
            tag = f"{_GROUPS[head]}/{rest}" if head in _GROUPS else f"training/{name}"
            if value is not None:
                self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Ends the event file."""
        self._writer.close()
