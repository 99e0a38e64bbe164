"""``livercascade deidentify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livercascade.cli.error_exit import exit_on_error
from livercascade.cli.progress_bars import bars
from livercascade.deidentification.export import deidentify
from livercascade.deidentification.pseudonyms import Pseudonyms, read_key


def deidentify_command(
    source: Annotated[Path, typer.Argument(help="Folder with DICOM studies, of several patients perhaps.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            help="File with the secret that replacements follow from; made if absent. Without it a new one is "
            "used and forgotten, and a later export fits this one no more.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Copy the CT images of studies without anything that names a person, a place or a day.

    Times keep their distances, identifiers their relations, series the contrast phase that was found.

    Example: livercascade deidentify studies --out shared --key secret.key
    """
    with exit_on_error():
        pseudonyms = Pseudonyms() if key is None else read_key(key)
        with bars(quiet=quiet) as tell:
            written, notices = deidentify(source, out, pseudonyms, progress=tell)
    if quiet:
        return
    for notice in notices:
        typer.echo(f"{notice.code} {notice.message}")
    typer.echo(f"{out}: {written} images")
