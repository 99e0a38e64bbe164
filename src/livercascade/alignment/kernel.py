"""Compiled loops: numba without its thread pool, cached on disk where the folder can be written.

numba is large. Modules with kernels are imported where an alignment begins, so that whoever only asks for its settings
or its record, or analyses phases as they lie, does without.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

P = ParamSpec("P")
R = TypeVar("R")


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
