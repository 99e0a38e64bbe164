import sys
import threading

import numba
import numpy as np
import pytest

from livercascade.alignment import precompile
from livercascade.alignment.compiled_loops import AlignmentThreads, kernel
from livercascade.alignment.self_similarity import popcount


@kernel
def bits(words, out):
    for i in range(len(words)):
        out[i] = popcount(words[i])


def test_popcount_is_that_of_numpy():
    words = np.random.default_rng(0).integers(0, 2**64, 50, dtype=np.uint64)
    out = np.empty(50, dtype=np.uint64)
    bits(words, out)
    assert np.array_equal(out, np.bitwise_count(words))


def test_no_folder_for_the_cache_means_compiling_without_one(monkeypatch):
    compile_with = numba.njit

    def refuse(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return compile_with(**options)

    monkeypatch.setattr(numba, "njit", refuse)

    @kernel
    def double(x):
        return 2 * x

    assert double(4) == 8


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_ranges_cover_everything_once_and_errors_come_through(threads):
    seen = np.zeros(37, dtype=int)
    lock = threading.Lock()

    def count(start, stop):
        with lock:
            seen[start:stop] += 1

    with AlignmentThreads.of(threads) as workers:
        workers.ranges(count, len(seen))
        with pytest.raises(ZeroDivisionError):
            workers.ranges(lambda start, stop: 1 // 0, 3)
    assert np.all(seen == 1)


def test_precompiling_leaves_no_kernel_out():
    precompile.precompile()
    modules = [m for name, m in sys.modules.items() if name.startswith("livercascade.alignment.")]
    kernels = [v for m in modules for v in vars(m).values() if isinstance(v, numba.core.dispatcher.Dispatcher)]
    # These are parts of the kernels that call them, and come from the cache with those.
    parts = {"linear_at", "_vector_at", "_squares", "_add", "min_convolution"}
    entries = {k.py_func.__name__: k.signatures for k in kernels if k.py_func.__name__ not in parts}
    assert len(entries) >= 11 and all(entries.values())
