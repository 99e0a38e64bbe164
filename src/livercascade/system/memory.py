"""Memory this process has held."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_resident_mb() -> float:
    """Largest resident memory of this process so far, MB.

    On Linux ``ru_maxrss`` begins with what the parent held when it started the process; its own peak stands elsewhere.
    """
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, others kB.
    return used / (1024**2 if sys.platform == "darwin" else 1024)
