"""Where the weights that come with the package lie."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent


def bundled(kind: str) -> Path:
    """Folder of the bundled network: ``whole``, ``patch`` or ``types``.

    >>> bundled("whole").name
    'whole'
    """
    return ROOT / kind
