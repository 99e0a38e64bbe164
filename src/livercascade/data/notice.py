"""What a reader noticed but could live with: a stable code and a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning that goes with a result.

    Attributes:
        code: Stable upper-case code, for example ``NOT_ALIGNED``.
        message: One sentence; never a patient's name.
    """

    code: str
    message: str
