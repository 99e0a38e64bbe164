"""The process a training runs in: nnU-Net's environment variables exist there and nowhere else."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Generator, Sequence
from types import FrameType

from livercascade.train.run_folder import RunFolder

STOPPED = 75
"""Exit code of a training that was asked to stop and can be continued."""


def training_environment(folder: RunFolder, threads: int) -> dict[str, str]:
    """Environment of this process plus nnU-Net's folders and threads that sleep instead of spinning."""
    home = folder.nnunet.resolve()
    return {
        **os.environ,
        "nnUNet_raw": str(home / "raw"),
        "nnUNet_preprocessed": str(home / "preprocessed"),
        "nnUNet_results": str(home / "results"),
        "nnUNet_n_proc_DA": "1",
        "OMP_NUM_THREADS": str(threads),
        # Threads that spin while they wait take the cores from the processes that make samples.
        "OMP_WAIT_POLICY": "passive",
        "GOMP_SPINCOUNT": "0",
        # Keeps freed memory: giving the large arrays of each step back to the system costs a tenth of the time.
        "MALLOC_MMAP_THRESHOLD_": str(2**32),
        "MALLOC_TRIM_THRESHOLD_": str(2**33),
        "MALLOC_TOP_PAD_": str(2**28),
    }


def run_process(arguments: Sequence[str], environment: dict[str, str]) -> int:
    """Exit code of a command that runs to its end; SIGTERM and SIGINT are passed on, so that it can save."""
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        # A process group of its own hears no Ctrl-C; its `stop_requests` takes both signals for the same.
        sent = signal.SIGTERM if number == signal.SIGINT else number
        if process is None:
            early.append(sent)
        else:
            process.send_signal(sent)

    # From before the process is there: a signal in between would end this one and leave the other alone.
    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        # A session of its own: Ctrl-C reaches this process alone, which passes it on once.
        process = subprocess.Popen(list(arguments), env=environment, start_new_session=True)
        for number in early:
            process.send_signal(number)
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def one_torch_thread() -> Generator[None]:
    """Block that runs torch on one thread: faster for small layers, and right where processes share the cores."""
    # Torch takes a second to import, and the commands that only start a process do without it.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def stop_requests(*, with_parent: bool = True) -> Generator[Callable[[], bool]]:
    """Block in which SIGTERM and Ctrl-C ask to save and stop; yields what is true once they did.

    Args:
        with_parent: True to stop too when the parent has gone; False goes on, as a command whose shell was closed.
    """
    asked: list[int] = []
    parent = os.getppid()
    # Only noted here: a handler runs between any two instructions, also in the middle of a checkpoint.
    before = {number: signal.signal(number, lambda n, _: asked.append(n)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked) or (with_parent and os.getppid() != parent)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
