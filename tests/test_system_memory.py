"""Peak memory is the process's own: what it takes counts, what its parent held does not."""

from __future__ import annotations

import subprocess
import sys

IMPORT = "from livercascade.system.memory import peak_resident_mb; "
CHILD = IMPORT + "print(peak_resident_mb())"
PARENT = (
    "import subprocess, sys; import numpy as np; "
    + IMPORT
    + "held = np.ones(400_000_000, dtype=np.uint8); print(peak_resident_mb()); sys.stdout.flush(); "
    + f"subprocess.run([sys.executable, '-c', {CHILD!r}], check=True)"
)


def test_a_large_array_is_seen_and_a_child_does_not_inherit_it() -> None:
    done = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, check=True)
    parent, child = map(float, done.stdout.split())
    assert parent > 390
    assert 5 < child < 390
