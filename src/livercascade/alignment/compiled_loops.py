"""Compiled loops, and the threads that run them: numba without its thread pool, cached on disk where that can be.

numba is large. It is imported where a loop is defined; modules with loops are imported where an alignment begins, so
that whoever only asks for its settings or its record, or analyses phases as they lie, does without.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")
# More pieces than threads, so that none waits long for one whose slices hold more of the body.
_CHUNKS_PER_THREAD = 4


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """The function compiled on its first call, without the interpreter lock.

    The code is kept beside the source or in the user's cache folder; where neither can be written it is compiled anew
    in every process, which takes some seconds.
    """
    import numba

    # Type checks that tests wrap round every function cannot be compiled.
    plain = inspect.unwrap(function)
    try:
        compiled = numba.njit(nogil=True, cache=True, error_model="numpy")(plain)
    except RuntimeError:
        # numba finds no folder it may write to.
        compiled = numba.njit(nogil=True, error_model="numpy")(plain)
    return cast("Callable[P, R]", compiled)


@dataclass(frozen=True, slots=True)
class AlignmentThreads:
    """Threads of one alignment; they share nothing with those of torch or numba.

    Work is cut into pieces that write to places of their own, so that results do not depend on the number of threads.

    Attributes:
        threads: Number of threads.
    """

    threads: int
    _pool: ThreadPoolExecutor | None

    @classmethod
    @contextmanager
    def of(cls, threads: int) -> Generator[AlignmentThreads, None, None]:
        """Threads for the length of the block; a single one is that of the caller."""
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
