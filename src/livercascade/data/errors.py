"""Errors a user can meet: each has a stable code, a sentence and a remedy."""

from __future__ import annotations

from typing import Any


class CascadeError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        code: Stable upper-case code, for example ``TRUNCATED_FILE``; scripts may rest on it.
        message: One sentence that names the case or file and the value found.
        remedy: What the user can do about it.
        stage: Step of the cascade: read, phase, register, segment, classify, measure, write.
    """

    status = "failed"
    exit_code = 1

    def __init__(self, code: str, message: str, remedy: str, *, stage: str = "read") -> None:
        super().__init__(f"{code}: {message} {remedy}")
        self.code = code
        self.message = message
        self.remedy = remedy
        self.stage = stage

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders; the default would call the class with the joined sentence alone.
        return _rebuild, (type(self), self.code, self.message, self.remedy, self.stage), self.__dict__


class InputError(CascadeError):
    """The study cannot be used as it is: refused before any model runs (status ``rejected``)."""

    status = "rejected"


class ModelError(CascadeError):
    """Weights or model card are missing, damaged, or made for something else."""


class OutputError(CascadeError):
    """Results cannot be written: disk full, no permission, or the place is taken."""


class PacsError(CascadeError):
    """A PACS cannot be reached, refuses us or what we send, or answers what it should not."""


class UsageError(CascadeError):
    """The command was called wrongly (exit code 2)."""

    # Shells and click keep 2 for a wrong call.
    exit_code = 2


def _rebuild(kind: type[CascadeError], code: str, message: str, remedy: str, stage: str) -> CascadeError:
    return kind(code, message, remedy, stage=stage)
