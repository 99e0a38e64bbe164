"""The same work on many items, in several processes or in this one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def parallel_map(
    work: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *,
    workers: int,
    advance: Callable[[], None] | None = None,
    setup: Callable[..., None] | None = None,
    setup_arguments: tuple[Any, ...] = (),
) -> list[_Result]:
    """Results in the order of the items, whichever is done first.

    Args:
        work: Function that can be pickled.
        items: What to work on.
        workers: Number of processes, see `as_finished`.
        setup: Called once in every process, see `as_finished`.
        setup_arguments: Arguments of ``setup``.
        advance: Called here after each item, see `livercascade.system.progress.counter`.

    Raises:
        Exception: Whatever ``work`` raises.
    """
    results: dict[int, _Result] = {}
    for number, result in as_finished(work, items, workers=workers, setup=setup, setup_arguments=setup_arguments):
        results[number] = result
        if advance is not None:
            advance()
    return [results[number] for number in range(len(items))]


def as_finished(
    work: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *,
    workers: int,
    setup: Callable[..., None] | None = None,
    setup_arguments: tuple[Any, ...] = (),
) -> Generator[tuple[int, _Result], None, None]:
    """Position of each item and its result, in the order in which they are finished.

    Processes are spawned, not forked: threads of numerical libraries do not survive a fork. The first error ends the
    work; items that were not begun are left.

    Args:
        work: Function that can be pickled.
        items: What to work on.
        workers: Number of processes; with fewer than two, or one item, the work is done in this one.
        setup: Called once in every process before its first item, not where the work is done in this one.
        setup_arguments: Arguments of ``setup``.

    Raises:
        Exception: Whatever ``work`` raises.
    """
    workers = min(workers, len(items))
    if workers < 2:
        yield from enumerate(map(work, items))
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=setup, initargs=setup_arguments) as pool:
        try:
            jobs: dict[Future[_Result], int] = {pool.submit(work, item): n for n, item in enumerate(items)}
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def one_thread() -> None:
    """Keep torch in this process to one thread, where processes share the cores; a ``setup`` for `parallel_map`."""
    import torch

    torch.set_num_threads(1)
