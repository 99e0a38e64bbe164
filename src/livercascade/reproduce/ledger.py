"""Which steps of a reproduction are finished, by the hash of what went into each: a killed run goes on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue, ValidationError


class StepRecord(BaseModel):
    """One finished step.

    Attributes:
        name: The step.
        inputs: What it depends on: settings, seeds, hashes of models, version.
        sha256: Hash of ``inputs``.
        finished: When.
        seconds: How long the last call worked; a step that was killed before worked longer.
        outputs: Files and folders it made, relative to the run's folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    inputs: dict[str, JsonValue]
    sha256: str
    finished: AwareDatetime
    seconds: float
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ledger:
    """Records of the steps under ``OUT/steps``.

    Attributes:
        out: Folder of the run.
    """

    out: Path

    def record(self, name: str) -> StepRecord | None:
        """The record of a step; None if it never finished or its record cannot be read."""
        try:
            return StepRecord.model_validate_json(self._path(name).read_bytes())
        except (OSError, ValidationError):
            return None

    def finished(self, name: str, inputs: dict[str, Any]) -> StepRecord | None:
        """The record of a step that was finished with the same inputs and whose outputs are there."""
        made = self.record(name)
        if made is None or made.sha256 != digest(inputs):
            return None
        return made if all((self.out / path).exists() for path in made.outputs) else None

    def run(
        self, name: str, inputs: dict[str, Any], outputs: Sequence[Path], work: Callable[[], None]
    ) -> tuple[StepRecord, bool]:
        """Do a step unless it is finished; its record, and whether it was done now.

        Args:
            name: File stem of its record.
            inputs: Everything its result depends on, as values of JSON.
            outputs: What must be there when it is finished, inside the run's folder.
            work: Does it; goes on from where an earlier call was killed as far as it can.
        """
        known = self.finished(name, inputs)
        if known is not None:
            return known, False
        start = time.monotonic()
        work()
        made = StepRecord(
            name=name,
            inputs=json.loads(_text(inputs)),
            sha256=digest(inputs),
            finished=datetime.now(UTC),
            seconds=round(time.monotonic() - start, 2),
            outputs=tuple(path.relative_to(self.out).as_posix() for path in outputs),
        )
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".partial")
        aside.write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
        aside.replace(path)
        return made, True

    def _path(self, name: str) -> Path:
        return self.out / "steps" / f"{name}.json"


def digest(inputs: dict[str, Any]) -> str:
    """SHA-256 of values of JSON, whatever their order.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(_text(inputs).encode()).hexdigest()


def _text(inputs: dict[str, Any]) -> str:
    return json.dumps(inputs, sort_keys=True, ensure_ascii=False)
