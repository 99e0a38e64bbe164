"""Settings of the alignment."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AlignSettings(BaseModel):
    """How phases are aligned.

    The field does not depend on ``threads``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threads: int = Field(default=0, ge=0, le=256, description="Threads; 0 takes one per core.")
