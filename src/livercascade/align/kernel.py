"""Compiled loops: numba without its thread pool, cached on disk where the folder can be written."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

P = ParamSpec("P")
R = TypeVar("R")
_CHUNKS_PER_THREAD = 4


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """The function compiled on its first call, without the interpreter lock.

    The code is kept beside the source or in the user's cache folder; where neither can be written it is compiled anew
    in every process, which takes some seconds.
    """
    # Type checks that tests wrap round every function cannot be compiled.
    plain = inspect.unwrap(function)
    try:
        compiled = numba.njit(nogil=True, cache=True, error_model="numpy")(plain)
    except RuntimeError:
        # numba finds no folder it may write to.
        compiled = numba.njit(nogil=True, error_model="numpy")(plain)
    return cast("Callable[P, R]", compiled)


def _popcount(_: Any, value: Any) -> Any:
    def codegen(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        count = builder.module.declare_intrinsic("llvm.ctpop", [word], ir.FunctionType(word, [word]))
        return builder.call(count, arguments)

    return types.uint64(value), codegen


popcount: Any = intrinsic(_popcount)
"""Number of set bits of a uint64, inside kernels only."""


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
