"""Peak memory is the process's own: what it takes counts, what its parent held does not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from livercascade.cascade.memory import peak_resident_mb


def test_a_large_array_is_seen_and_a_child_does_not_inherit_it() -> None:
    before = peak_resident_mb()
    held = np.ones(300_000_000, dtype=np.uint8)
    assert peak_resident_mb() > max(before, 280)
    code = "from livercascade.cascade.memory import peak_resident_mb; print(peak_resident_mb())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 5 < float(child.stdout) < 280
    assert held[-1] == 1
