"""Which steps of a reproduction are finished, by the hash of what went into each: a killed run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, JsonValue, ValidationError

from livercascade.data.record import Record, Sha256
from livercascade.system.files import sha256_text, write_file

StepInputs = Mapping[str, Any]
"""Everything that the result of a step depends on, as values of JSON: settings, seeds, hashes of networks, version."""


class StepRecord(Record):
    """One finished step, as ``steps/NAME.json`` of the run's folder keeps it.

    Attributes:
        name: Name of the step.
        inputs: Values it depends on.
        sha256: Hash of ``inputs``.
        finished: Time at which it was finished.
        seconds: Time that the last call worked; a step that was killed before worked longer.
        outputs: Files and folders it made, relative to the run's folder.
    """

    name: str
    inputs: dict[str, JsonValue]
    sha256: Sha256
    finished: AwareDatetime
    seconds: float
    outputs: tuple[str, ...] = ()


def read_step(run: Path, name: str) -> StepRecord | None:
    """The record of a step; None if it never finished or its record cannot be read.

    Args:
        run: Folder of the run.
        name: Name of the step.
    """
    try:
        return StepRecord.model_validate_json(_record_file(run, name).read_bytes())
    except (OSError, ValidationError):
        return None


def finished_step(run: Path, name: str, inputs: StepInputs) -> StepRecord | None:
    """The record of a step that was finished with the same inputs and whose outputs are there."""
    record = read_step(run, name)
    if record is None or record.sha256 != inputs_sha256(inputs):
        return None
    # A folder that somebody tidied away is made again.
    return record if all((run / path).exists() for path in record.outputs) else None


def do_step(run: Path, name: str, inputs: StepInputs, outputs: Sequence[Path], work: Callable[[], None]) -> StepRecord:
    """Do a step, whether it is finished or not, and keep its record.

    The record is written last: a step that was killed is not finished.

    Args:
        run: Folder of the run.
        name: Name of the step, and file stem of its record.
        inputs: Values its result depends on.
        outputs: Files and folders that must be there when it is finished, inside the run's folder.
        work: Function that does it, and goes on from where an earlier call was killed as far as it can.
    """
    # Not the wall clock, which is set right now and then.
    start = time.monotonic()
    work()
    record = StepRecord(
        name=name,
        inputs=json.loads(_json(inputs)),
        sha256=inputs_sha256(inputs),
        finished=datetime.now(UTC),
        seconds=round(time.monotonic() - start, 2),
        outputs=tuple(path.relative_to(run).as_posix() for path in outputs),
    )
    write_file(_record_file(run, name), record.model_dump_json(indent=1) + "\n")
    return record


def inputs_sha256(inputs: StepInputs) -> str:
    """SHA-256 of values of JSON, whatever their order.

    >>> inputs_sha256({"a": 1, "b": 2}) == inputs_sha256({"b": 2, "a": 1})
    True
    """
    return sha256_text(_json(inputs))


def _json(inputs: StepInputs) -> str:
    # Sorted, so that the order in which inputs were put together does not do a step again.
    return json.dumps(inputs, sort_keys=True, ensure_ascii=False)


def _record_file(run: Path, name: str) -> Path:
    return run / "steps" / f"{name}.json"
