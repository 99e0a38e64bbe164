"""``livercascade reproduce``: the paper's experiment from seeds to one page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from livercascade.cli.error_exit import exit_on_error
from livercascade.cli.progress_bars import bars


def reproduce(
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; the same command goes on where it stopped.")],
    preset: Annotated[
        str, typer.Option(help="ci (minutes), desk (two nights), full (the paper's size, GPU), or a TOML file.")
    ] = "ci",
    whole: Annotated[
        Path | None, typer.Option("--whole", help="Judge this UNet^whole; nothing is trained (with --patch).")
    ] = None,
    patch: Annotated[Path | None, typer.Option("--patch", help="Judge this UNet^patch (with --whole).")] = None,
    patch_without_shuffling: Annotated[
        Path | None, typer.Option(help='UNet^patch trained without lesion shuffling, for "w/o LS".')
    ] = None,
    patch_twin: Annotated[
        Path | None,
        typer.Option(
            help="UNet^patch with lesion shuffling trained as the one without, if that of --patch was not: what is "
            "said of shuffling compares these two."
        ),
    ] = None,
    bundled: Annotated[bool, typer.Option("--bundled", help="Judge the networks that come with the package.")] = False,
    cases: Annotated[int | None, typer.Option(min=1, help="At most so many test patients.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = max(os.cpu_count() or 1, 1),
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Make patients, train, predict, and say of each of the paper's claims whether it holds, with its interval.

    Every step is kept: a killed run goes on with the same command, and nothing finished is done twice.

    Example: livercascade reproduce --preset ci --out runs/ci
    """
    from livercascade.models.bundled import bundled as bundled_model
    from livercascade.reproduce.experiment import read_experiment
    from livercascade.reproduce.predictions import given_networks
    from livercascade.reproduce.reproduction import PAGE, Reproduction

    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    with exit_on_error():
        settings = read_experiment(preset).limited(cases)
        if bundled:
            whole, patch = whole or bundled_model("whole"), patch or bundled_model("patch")
        given = given_networks(
            whole=_resolved(whole),
            patch=_resolved(patch),
            without=_resolved(patch_without_shuffling),
            twin=_resolved(patch_twin),
        )
        with bars(quiet=quiet) as progress:
            run = Reproduction(settings, out.resolve(), given, workers, progress, console.print, quiet=quiet)
            claims = run.run()
    for each in claims:
        console.print(f"{each.statement.value:>14}  {each.claim.title}")
    console.print(f"page: {out / PAGE}")


def _resolved(folder: Path | None) -> Path | None:
    return None if folder is None else folder.resolve()
