"""Threads of one alignment."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

_CHUNKS_PER_THREAD = 4


@dataclass(frozen=True, slots=True)
class Workers:
    """Threads of one alignment; they share nothing with those of torch or numba.

    Work is cut into pieces that write to places of their own, so that results do not depend on their number.

    Attributes:
        threads: How many run side by side.
    """

    threads: int
    _pool: ThreadPoolExecutor | None

    @classmethod
    @contextmanager
    def of(cls, threads: int) -> Generator[Workers, None, None]:
        """Workers for the length of the block; one thread works in the caller's."""
        if threads == 1:
            yield cls(1, None)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="align") as pool:
            yield cls(threads, pool)

    def ranges(self, function: Callable[[int, int], None], count: int) -> None:
        """Call ``function(start, stop)`` on pieces that cover 0 to ``count``."""
        if self._pool is None:
            function(0, count)
            return
        pieces = min(count, self.threads * _CHUNKS_PER_THREAD)
        bounds = [count * i // pieces for i in range(pieces + 1)]
        list(self._pool.map(function, bounds[:-1], bounds[1:]))
