"""What a stage noticed but could live with: a stable code and a sentence for people."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Code = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]+$")]
"""Stable upper-case code; scripts may rest on it."""


# A dataclass, unlike the other records, so that a notice is made in one line: Notice("CODE", "sentence").
@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Notice:
    """Something that may change how far the result can be trusted."""

    code: Code
    message: Annotated[str, Field(min_length=1, description="One sentence; never a patient's name.")]
    remedy: Annotated[str, Field(description="What the user can do about it, if anything.")] = ""
