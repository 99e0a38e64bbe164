"""Settings by name (``ci``, ``desk``, ``full``) from the package, and from a user's TOML file on top."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from livercascade.data.errors import UsageError
from livercascade.train.training_settings import PatchSettings, TrainSettings, WholeSettings

_Settings = TypeVar("_Settings", bound=BaseModel)


class TrainingPreset(StrEnum):
    """Named settings."""

    CI = "ci"
    """Minutes on two cores, to see every step work; the networks are of no use."""
    DESK = "desk"
    """One night per network on a small CPU."""
    FULL = "full"
    """The paper's: nnU-Net's defaults, 1,000 epochs, for a GPU."""


class PhasePurpose(StrEnum):
    """Phases one model serves (paper, Sec. IV)."""

    ANY = "any"
    """Every subset of phases: phases are hidden at random (our default)."""
    DIAGNOSIS = "diagnosis"
    """All four phases, as the paper's diagnosis model."""
    SCREENING = "screening"
    """NC alone, as the paper's screening model."""

    @property
    def changes(self) -> dict[str, Any]:
        """Settings it replaces."""
        if self is PhasePurpose.ANY:
            return {}
        # Phases that are always there need not be hidden: nothing is dropped.
        whole = {"all_phases": 1.0, "nc_only": 0.0, "ap_only": 0.0}
        return {"phase_dropout": whole} | ({"phases": ["NC"]} if self is PhasePurpose.SCREENING else {})


def preset_text(preset: TrainingPreset, kind: type[TrainSettings]) -> str:
    """TOML file of a preset, as it lies in the package."""
    name = "whole" if issubclass(kind, WholeSettings) else "patch"
    return (files("livercascade.train") / "presets" / preset.value / f"{name}.toml").read_text()


def read_settings(
    kind: type[_Settings],
    path: Path | None,
    overrides: dict[str, Any],
    *,
    preset: TrainingPreset | None = None,
    purpose: PhasePurpose = PhasePurpose.ANY,
) -> _Settings:
    """Settings of a preset, then of a TOML file, then of ``purpose``, then ``overrides``; later ones win.

    Tables are merged entry by entry. Overrides that are None do not count.

    Raises:
        UsageError: The file is absent or holds something unknown or impossible (``BAD_SETTINGS``).
    """
    values: dict[str, Any] = {}
    if preset is not None and issubclass(kind, TrainSettings):
        values = tomllib.loads(preset_text(preset, kind))
    try:
        given = {} if path is None else tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError("BAD_SETTINGS", f"{path} cannot be read: {error}.", "Give a TOML file.") from error
    # None is what the command line gives for an option that is not there.
    chosen = {key: value for key, value in overrides.items() if value is not None}
    for layer in (given, purpose.changes, chosen):
        values = _merged(values, layer)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise UsageError("BAD_SETTINGS", f"{where}: {first['msg']}.", "See 'livercascade train --help'.") from error


def describe_preset(preset: TrainingPreset) -> str:
    """One line per network: architecture and length of the training."""
    lines: list[str] = []
    for kind in (WholeSettings, PatchSettings):
        made = read_settings(kind, None, {}, preset=preset)
        planned = isinstance(made, WholeSettings) and made.planner == "nnunet"
        size = "as nnU-Net plans it" if planned else _size(made)
        lines.append(
            f"UNet^{made.name}: {made.steps:,} steps of {made.batch_size} patches, {size}, {made.base_features} to "
            f"{made.max_features} features, {made.optimiser}, loss {made.loss}"
        )
    return "\n".join(lines)


def _size(settings: TrainSettings) -> str:
    patch = "x".join(str(n) for n in settings.patch_size)
    return f"{patch} at {'x'.join(f'{v:g}' for v in settings.spacing_mm)} mm"


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = below | above
    tables = [key for key in above if isinstance(above[key], dict) and isinstance(below.get(key), dict)]
    return both | {key: below[key] | above[key] for key in tables}
