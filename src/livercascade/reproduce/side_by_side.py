"""The same work on many cases, in several processes or in this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def each(
    work: Callable[[_Item], _Made], items: Sequence[_Item], *, workers: int, advance: Callable[[], None]
) -> list[_Made]:
    """Results in the order of the items, whichever is done first.

    Args:
        work: Can be sent to another process.
        items: What to work on.
        workers: Processes; with one the work is done here.
        advance: Called after each item.
    """
    if min(workers, len(items)) < 2:
        made: list[_Made] = []
        for item in items:
            made.append(work(item))
            advance()
        return made
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=get_context("spawn"), initializer=one_thread) as pool:
        try:
            jobs: list[Future[_Made]] = [pool.submit(work, item) for item in items]
            for job in as_completed(jobs):
                job.result()
                advance()
            return [job.result() for job in jobs]
        finally:
            pool.shutdown(cancel_futures=True)


def one_thread() -> None:
    """Keep the networks of one process to one thread: the processes share the cores."""
    import torch

    torch.set_num_threads(1)
