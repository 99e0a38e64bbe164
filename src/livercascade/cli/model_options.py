"""Options that name networks, settings and what computes; importing them loads no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
WholeOption = Annotated[Path | None, typer.Option("--whole", help="Model folder of UNet^whole; bundled if absent.")]
PatchOption = Annotated[Path | None, typer.Option("--patch", help="Model folder of UNet^patch; bundled if absent.")]
TypesOption = Annotated[
    Path | None, typer.Option("--types", help="Model folder that tells types from enhancement; bundled if absent.")
]
SettingsOption = Annotated[Path | None, typer.Option("--settings", help="TOML file with other settings.")]
