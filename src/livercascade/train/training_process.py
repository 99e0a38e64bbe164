"""The process a training runs in: nnU-Net's environment variables exist there and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from types import FrameType

from livercascade.train.run_folder import RunFolder

STOPPED = 75
"""Exit code of a training that was asked to stop and can be continued."""


def child_environment(folder: RunFolder, threads: int) -> dict[str, str]:
    """Environment of the present process plus nnU-Net's folders and threads that sleep instead of spinning."""
    home = folder.nnunet.resolve()
    return {
        **os.environ,
        "nnUNet_raw": str(home / "raw"),
        "nnUNet_preprocessed": str(home / "preprocessed"),
        "nnUNet_results": str(home / "results"),
        "nnUNet_n_proc_DA": "1",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",
        "GOMP_SPINCOUNT": "0",
        # Keeps freed memory: giving the large arrays of each step back to the system costs a tenth of the time.
        "MALLOC_MMAP_THRESHOLD_": str(2**32),
        "MALLOC_TRIM_THRESHOLD_": str(2**33),
        "MALLOC_TOP_PAD_": str(2**28),
    }


def run_child(arguments: Sequence[str], environment: dict[str, str]) -> int:
    """Runs a command to its end and returns its exit code; SIGTERM and SIGINT are passed on, so that it can save."""
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        told = signal.SIGTERM if number == signal.SIGINT else number
        if child is None:
            early.append(told)
        else:
            child.send_signal(told)

    # From before the child is there: a signal that came in between would end this process and leave the child alone.
    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        child = subprocess.Popen(list(arguments), env=environment, start_new_session=True)
        for number in early:
            child.send_signal(number)
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopFlag:
    """True once this process was told to end, or its parent has gone.

    Args:
        with_parent: False goes on without the parent, as a command does whose shell was closed.
    """

    def __init__(self, *, with_parent: bool = True) -> None:
        self._asked = False
        self._parent = os.getppid() if with_parent else None
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}

    def __call__(self) -> bool:
        """True if the training should save and stop."""
        return self._asked or (self._parent is not None and os.getppid() != self._parent)

    def close(self) -> None:
        """Gives the signals back to whom they belonged to."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: FrameType | None) -> None:
        self._asked = number > 0
